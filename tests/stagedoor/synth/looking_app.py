"""A CDK app without the CDK, which looks up a parameter that is named by another one."""

LOOKS_UP = """
import json, os, pathlib
out = pathlib.Path(os.environ["CDK_OUTDIR"])
account, region = os.environ["CDK_DEFAULT_ACCOUNT"], os.environ["CDK_DEFAULT_REGION"]
context = json.loads(os.environ["CDK_CONTEXT_JSON"])
missing = []

def look_up(provider, **properties):
    properties = {"account": account, "region": region, **properties}
    parts = sorted(f"{name}={value}" for name, value in properties.items())
    key = ":".join([provider, *parts])
    if key not in context:
        missing.append({"key": key, "provider": provider, "props": properties})
    return context.get(key, "")

name = look_up("ssm", parameterName="/which")
value = look_up("ssm", parameterName=name) if name else ""
word = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": value or "-"}}
(out / "Tiny.template.json").write_text(json.dumps({"Resources": {"Word": word}, "Outputs": {"Is": {"Value": value}}}))
stack = {"type": "aws:cloudformation:stack", "environment": f"aws://{account}/{region}",
         "properties": {"templateFile": "Tiny.template.json"}}
(out / "manifest.json").write_text(json.dumps({"version": "48.0.0", "artifacts": {"Tiny": stack}, "missing": missing}))
"""
