"""What the command line calls: login, stages, tokens for them, bridges in and out.

In come short JSON requests with a login token; out goes JSON, an error as `{"error": {"id", "what", "remedy"}}` in the
words that the command line prints. Read `views.py` first, then `stages.py`, what a developer does with a stage.
"""
