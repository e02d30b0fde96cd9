#!/usr/bin/env python3
"""Stands in for Docker's command line: writes down how it was called, and does as the file `script.json` says.

No Docker can be had where the tests run. A push registers the image in the local AWS's registry, as Docker's would.
"""

import json
import os
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(arguments: list[str]) -> int:
    script = json.loads((HERE / "script.json").read_text())
    folder = Path(os.environ.get("DOCKER_CONFIG", "/nowhere"))
    config = json.loads((folder / "config.json").read_text()) if (folder / "config.json").is_file() else None
    with (HERE / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps({"argv": arguments, "env": dict(os.environ), "config": config}) + "\n")
    command = " ".join(arguments[:2]) if arguments[0] in ("buildx", "context") else arguments[0]
    print(f"{command} was called", flush=True)
    time.sleep(script.get("seconds", {}).get(command, 0))
    code: int = script.get("codes", {}).get(command, 0)
    if command == "push" and code == 0:
        import boto3

        name, _, tag = arguments[1].partition("/")[2].rpartition(":")
        aws = boto3.Session(script["aws"]["key"], "local", region_name="us-east-1")
        ecr = aws.client("ecr", endpoint_url=script["aws"]["endpoint"])
        ecr.put_image(repositoryName=name, imageTag=tag, imageManifest=json.dumps({"schemaVersion": 2, "tag": tag}))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
