"""An app with functions, written by hand, that is deployed once for the commands that look at a stage."""

APP = '''
import json, os, pathlib
CODE = """
import json
def handle(event, context):
    print("greeting", json.dumps(event))
    if event.get("fail"):
        raise KeyError("nobody")
    return {"hello": event.get("name", "world")}
"""
out = pathlib.Path(os.environ["CDK_OUTDIR"])
environment = f"aws://{os.environ['CDK_DEFAULT_ACCOUNT']}/{os.environ['CDK_DEFAULT_REGION']}"
lambda_may = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}

def function(path):
    return {"Type": "AWS::Lambda::Function", "Metadata": {"aws:cdk:path": path},
            "Properties": {"Runtime": "python3.11", "Handler": "index.handle", "Code": {"ZipFile": CODE},
                           "Role": {"Fn::GetAtt": ["Role", "Arn"]}}}

def stack(name, resources, outputs):
    role = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Statement": [lambda_may]}}}
    template = {"Resources": {"Role": role, **resources}, "Outputs": outputs}
    (out / f"{name}.template.json").write_text(json.dumps(template))
    return {"type": "aws:cloudformation:stack", "environment": environment,
            "properties": {"templateFile": f"{name}.template.json"}}

api = stack("Api",
    {"Greet0A1B2C3D": function("Api/Greet/Function/Resource"), "Other4E5F6A7B": function("Api/Other/Resource")},
    {"Url": {"Value": "https://api.example.com/"}, "StagedoorBindingFunctionGreet": {"Value": "{}"}})
site = stack("Site", {}, {"Url": {"Value": "https://example.com"}, "Bucket": {"Value": "it's here"}})
(out / "manifest.json").write_text(json.dumps({"version": "48.0.0", "artifacts": {"Api": api, "Site": site}}))
'''
