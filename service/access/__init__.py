"""Who may what: tokens of the service's own, login, permission. Read `tokens.py` first."""
