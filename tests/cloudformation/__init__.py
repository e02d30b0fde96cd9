"""A scripted CloudFormation for tests: it says what AWS's documentation says, when a test wants it to."""
