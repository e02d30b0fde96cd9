"""From a rewritten assembly to a live stage, and from a stage back to nothing.

In comes an `Assembly` and a `Target`; out go stacks, their outputs, and a line in the ledger for each step, written
down before the call and after it, so that a run whose process died is joined and not repeated. Read `plan.py` first
(what would be done, as data), then `apply.py` (all stacks), `change.py` (the protocol for one) and `remove.py`.
`differences.py` and `permissions.py` say what changes in a stack, `refusals.py` and `account_checks.py` what AWS would
refuse. `ledger.py` says what is written down, `clients.py` with whose identity AWS is called. docs/deploy.md tells it
in prose.
"""
