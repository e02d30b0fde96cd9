"""What stands in a live function's place in AWS: standard library and plain Node alone, as it is copied there.

In come the sandbox's invocations, from Lambda's Runtime API; out go their results, which come from the relay or, where
nobody is connected, from the runtime that would have stood here. `bridge` is the shell script that
`AWS_LAMBDA_EXEC_WRAPPER` names; it starts `main.py` in Python functions and `bridge.mjs` in Node functions, which are
one program in two languages: read the Python one first, `main.py`, `relay.py` (what is asked of the relay),
`attempts.py` (what follows from its answer; pure), `runtime.py` (the deployed code). It runs on Python 3.9 to 3.14 and
Node 18 to 24. What it says to the relay is in docs/live.md.
"""
