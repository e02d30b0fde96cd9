"""What GitHub tells us: verify, record, answer.

In comes one HTTP request; out goes, in one transaction, a row of `deliveries` and a higher `Source.generation` for
each pull request or branch that it is about. No queue and no GitHub is touched on the way: a worker re-reads GitHub and
decides. Read `views.py` first, then `signature.py`, `hints.py` (what a payload means) and `record.py` (what is stored).
"""
