"""The same app by the CDK CLI and by us, in two accounts of the local AWS: what is there afterwards is the same."""
