"""Changes one resource of each template in the assembly that an app has just written: a description, or a tag.

Run by `bench/apps.py` as the last word of an app's own command, in the app's folder.
"""

import json
import os
from pathlib import Path
from typing import Any

MARK = "changed by bench"
TAGS = ("AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::DynamoDB::Table", "AWS::EC2::VPC")
TEXTS = {"AWS::Lambda::Function": "Description", "AWS::SNS::Topic": "DisplayName", "AWS::IAM::Role": "Description"}


def change(template: dict[str, Any]) -> None:
    """Change the first resource that can be, else add one."""
    for resource in template.get("Resources", {}).values():
        properties = resource.get("Properties", {})
        if resource["Type"] in TAGS:
            tags = [*properties.get("Tags", []), {"Key": "bench", "Value": MARK}]
            resource["Properties"] = {**properties, "Tags": tags}
            return
        if resource["Type"] in TEXTS:
            resource["Properties"] = {**properties, TEXTS[resource["Type"]]: MARK}
            return
    template["Resources"]["Bench"] = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": MARK}}


for path in sorted(Path(os.environ["CDK_OUTDIR"]).glob("**/*.template.json")):
    document = json.loads(path.read_text())
    if not path.name.endswith(".nested.template.json"):
        change(document)
        path.write_text(json.dumps(document))
