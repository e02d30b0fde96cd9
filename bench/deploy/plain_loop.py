"""The floor: each stack of a ready assembly created by boto3, one after the other: `python -m bench.deploy.plain_loop`.

It publishes nothing, compares nothing, and looks at a stack every 20 ms until it is complete.
"""

import json
import sys
import time
from pathlib import Path

import boto3


def main() -> None:
    """Create the stacks of the assembly in the directory that the argument names, in the order of its manifest."""
    directory = Path(sys.argv[1])
    client = boto3.Session().client("cloudformation")
    for name, template in templates(directory).items():
        client.create_stack(
            StackName=name, TemplateBody=template, Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]
        )
        while (status := client.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]) != "CREATE_COMPLETE":
            if not status.endswith("_IN_PROGRESS"):
                raise SystemExit(f"{name} is {status}")
            time.sleep(0.02)


def templates(directory: Path) -> dict[str, str]:
    """Return each stack's template by its name; the manifest has those that others depend on first."""
    artifacts = json.loads((directory / "manifest.json").read_text())["artifacts"]
    return {
        name: (directory / artifact["properties"]["templateFile"]).read_text()
        for name, artifact in artifacts.items()
        if artifact["type"] == "aws:cloudformation:stack"
    }


if __name__ == "__main__":
    main()
