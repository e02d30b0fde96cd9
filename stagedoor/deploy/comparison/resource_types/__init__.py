"""What AWS's resource types take, and which changes replace a resource.

In comes a type's name; out goes a `ResourceType` from the table `types.zip`, which `making.py` makes of AWS's own
specification. Read `reading.py`.
"""
