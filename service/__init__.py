"""The deployment service: webhooks in, live previews out.

A webhook commits what it says and answers; the wanted state of each stage is a row; workers make the world equal to
it. Read `models/` first, then `stages/` (what is wanted, who may act, what to do), `worker/` (how it is run),
`webhooks/` and `github/` (the two directions of talk with GitHub).
"""
