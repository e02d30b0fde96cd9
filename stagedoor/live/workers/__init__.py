"""Workers: processes that run a function's code on this machine as a sandbox does in AWS, one invocation at a time.

In comes an `Invocation`, out comes its `Outcome`. Read `pool.py` first (which worker gets it), then `worker.py` (one
process and its life), `runtime_api.py` (what its runtime client talks to), `environment.py` and `output.py`.
"""
