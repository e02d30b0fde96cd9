"""Who calls and what they may: people, runs of GitHub Actions, machines; and the tokens that the relay believes.

In comes an Authorization header or a job's OIDC token, out goes a `Caller` and whether it has a right to a stage. Read
`callers.py` first, then `reach.py` (what a run may: pure) and `oidc.py` (is its token real). GitHub says who people are
(`login.py`, the device flow) and what they may do in a repository (`permission.py`). `tokens.py` has the tokens that
we sign, `machine_tokens.py` those that we keep a digest of, `audit.py` the record of who did what. What asks for all
this over HTTP is in `service.api`; docs/callers.md is the same for people.
"""
