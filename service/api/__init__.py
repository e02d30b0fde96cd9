"""The service's API, version 1: what the Action, the command line and consoles ask.

In come requests with a bearer token of a person, a workflow's run or a machine; out goes JSON, errors as problem
details. Each operation is a function that declares itself (`operation.py`, read first): `flask_views.py` and `door.py`
make routes of it, `openapi.py` the document. `stages.py` is the one to look at for what such a function is like.
"""
