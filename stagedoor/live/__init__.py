"""The developer's end of a live stage: its functions run here, fed by real events.

In come invocations through the tunnel, one WebSocket to the service's relay; out go their results. Between them stand
AWS's own runtime clients, each in a worker process of its own. What takes a live function's place in AWS is in
`bridge/` (standard library alone). Read docs/live.md first, then `frames.py` (what crosses the tunnel), then
`agent.py`, which puts `tunnel.py`, `custody.py` and `workers/` together.
"""
