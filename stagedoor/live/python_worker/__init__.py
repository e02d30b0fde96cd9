"""Python functions: the app's own interpreter runs AWS's own runtime client, awslambdaric.

`command.py` finds or fetches awslambdaric for an interpreter and says how a worker is started. `worker_main.py` is what
then runs there, with `stand_in/` in the place of awslambdaric's native HTTP client, which has builds for Linux alone
and needs a thread more for each invocation. Both import the standard library alone, and run on Python 3.9 to 3.14.
"""
