"""Pages for people: stages, runs, and a run's log while it goes on.

In come rows and blobs, out goes HTML made on the server; a console with a front end of its own comes later. Read
`views.py`; the event stream that a page follows is `stream.py`, on the asyncio side of the front door.
"""
