"""What differs between the stack that is there and the one that is wanted, and what AWS would refuse of it.

In come two templates and what is known of a stack; out come changes of resources and rights, and refusals. Read
`resolution.py` first (two templates made comparable), then `differences.py`, `permissions.py` and `refusals.py`, which
are pure; `account_checks.py` asks AWS. `resource_types/` knows which changes replace a resource.
"""
