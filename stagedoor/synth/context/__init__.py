"""Answers what an app looks up while it is synthesised (`missing` in its manifest), as the CDK CLI does.

In come the questions of one synth; out comes context for the next one. Read `lookup.py` first (the loop), then
`query.py` (what may be asked) and `providers.py`; `kept_file.py` is where the command line keeps the answers.
"""
