"""From a rewritten assembly to a live stage, and from a stage back to nothing.

In comes an `Assembly` and a `Target`; out go stacks, their outputs, and a line in the ledger for each step, written
down before the call and after it, so that a run whose process died is joined and not repeated. Read `plan.py` first
(what would be done, as data), then `apply.py` (all stacks), `change.py` (the protocol for one) and `remove.py`.
`comparison/` says what changes in a stack and what AWS would refuse, `publishing/` puts assets in their place,
`swapping/` changes functions without CloudFormation. `ledger.py` says what is written down, `clients.py` with whose
identity AWS is called, `together.py` how many stacks are worked on at once. docs/deploy.md tells it in prose.
"""
