"""The library and the command line that an app's author installs.

In comes the folder of a CDK app and the name of a stage; out goes a live stage of that app on AWS. The phases are
packages of their own and are read in this order: `synth` (program to assembly), `assembly` (read, inspect, rewrite),
`deploy` (plan, publish, apply, remove). Nothing in here knows the deployment service.
"""

__version__ = "0.1.0"
