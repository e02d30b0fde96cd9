"""Who may what: login, permission, and the tokens that the relay believes.

GitHub says who somebody is (`login.py`, the device flow) and whether they may write to a repository (`permission.py`).
Read `tokens.py` first. What asks for all this over HTTP is in `service.api`.
"""
