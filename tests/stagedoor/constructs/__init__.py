"""Our constructs: apps are synthesised in the test's own process, and those that are used are deployed."""

import os

# Before jsii's kernel starts, which keeps the environment of that moment: validating takes longer than all the rest.
os.environ.setdefault("CDK_VALIDATION", "false")
os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "18,20,22")
