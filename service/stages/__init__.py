"""What is wanted of each stage, who may act on it, and making it so.

In comes "something changed over there" (a source whose generation was raised); out comes a stage that is what it
should be, or gone. Level, not edge: every decision is made from what is true now, so a lost, late or doubled message
costs time and nothing else. Read in this order:

- `wishes.py`  pure: configuration and live pull request → the stages that should be
- `sources.py` asks GitHub what is true now and writes it down as intents
- `lease.py`   one holder a stage, a heartbeat, a fence
- `decide.py`  pure: a stage's row → what to do about it
- `reconcile.py` the loop; `run.py` one run of it; `ledger.py` and `journal.py` what a run writes down
- `doorbell.py` rings workers for what is behind
"""
