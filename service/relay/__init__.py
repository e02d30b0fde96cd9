"""The tunnel's server side: bridges ask it to carry invocations, agents take them (docs/live.md is the contract).

In come the bridges' HTTPS calls and the agents' WebSockets; out go events to agents, results to bridges, and a record
of each invocation. `switchboard.py` decides everything and does nothing; read it first, then `attempts.py`,
`sessions.py` and `routing.py`, which it is made of. Effects: `bridge_side.py`, `agent_side.py`, `desk.py`.
"""
