"""Put bridges in the place of a stage's functions, so that a developer's machine can answer for them.

In come the rewritten templates of a stage and `Bridges` (where the relay is, what the bridge's archive holds); out come
the same templates with a layer, an `AWS_LAMBDA_EXEC_WRAPPER` and a raised timeout in each function that can be live,
and a list of all functions that says of each whether it is, or why not. Nothing is asked of anybody: all is pure. Read
`model.py` first, then `bridged.py`; `eligibility.py` has the reasons, `queues.py` and `network.py` what is around a
function, `places.py` where a reference leads. docs/live.md tells it to a user.
"""
