"""The CDK app: one stack."""

import aws_cdk as cdk

from notes.stack import NotesStack

app = cdk.App()
NotesStack(app, "Notes", description="Notes: a small HTTP API that keeps text")
app.synth()
