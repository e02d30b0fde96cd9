"""The app whose pull requests are stormed: a shell program that writes a cloud assembly in some ten milliseconds.

What it deploys holds the commit's number as a value, and a wait condition that is new with each number: every deploy
stays in the middle until somebody says that it is ready (`ready.py`).
"""

import json
from typing import Any

STACK = "Shop"


def files(number: int) -> dict[str, str]:
    """Return the repository's files at the commit of this number."""
    return {"cdk.json": json.dumps({"app": "sh app.sh"}), "app.sh": _PROGRAM, **template_file(number)}


def template_file(number: int) -> dict[str, str]:
    """Return the one file that differs from commit to commit."""
    return {"shop.template.json": json.dumps(_template(number))}


_MANIFEST = {
    "version": "48.0.0",
    "artifacts": {
        STACK: {
            "type": "aws:cloudformation:stack",
            "environment": "aws://unknown-account/unknown-region",
            "properties": {"templateFile": "shop.template.json"},
        }
    },
}

_PROGRAM = f"""cp shop.template.json "$CDK_OUTDIR/"
cat > "$CDK_OUTDIR/manifest.json" <<'END'
{json.dumps(_MANIFEST)}
END
"""


def _template(number: int) -> dict[str, Any]:
    ready = {
        "Type": "AWS::CloudFormation::WaitCondition",
        "CreationPolicy": {"ResourceSignal": {"Count": 1, "Timeout": "PT1M"}},
    }
    return {
        "Resources": {
            "Queue": {"Type": "AWS::SQS::Queue"},
            "Bucket": {"Type": "AWS::S3::Bucket"},
            "Number": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": str(number)}},
            f"Ready{number}": {**ready, "DependsOn": ["Number", "Queue", "Bucket"]},
        },
        "Outputs": {"Parameter": {"Value": {"Ref": "Number"}}},
    }
