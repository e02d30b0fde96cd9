"""The local GitHub of the demo and the tests.

In: a folder, and what a developer does (push, open, close, merge). Out: an API, git over HTTP and signed webhooks, as
GitHub has them. Read `server.py` first; `overlay.py` is its one port, `emulator.py` the npm package behind it.
"""
