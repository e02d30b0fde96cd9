"""A CDK app without the CDK: a shell program that writes an assembly with one queue in some ten milliseconds."""

import json

STACK = "Tiny"

_MANIFEST = {
    "version": "48.0.0",
    "artifacts": {
        STACK: {
            "type": "aws:cloudformation:stack",
            "environment": "aws://unknown-account/unknown-region",
            "properties": {"templateFile": "tiny.template.json"},
        }
    },
}


def files(word: str) -> dict[str, str]:
    """Return the app's files; `word` is what tells this commit's stack from another's."""
    program = 'cp tiny.template.json "$CDK_OUTDIR/"\ncp manifest.json "$CDK_OUTDIR/"\n'
    return {
        "cdk.json": json.dumps({"app": "sh app.sh"}),
        "app.sh": program,
        "manifest.json": json.dumps(_MANIFEST),
        "tiny.template.json": template(word),
    }


def template(word: str) -> str:
    """Return the template: a parameter that holds the word, and an output that names it."""
    return json.dumps(
        {
            "Resources": {"Word": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": word}}},
            "Outputs": {"Word": {"Value": word}},
        }
    )
