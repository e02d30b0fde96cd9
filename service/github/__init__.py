"""What GitHub is asked and told.

In: rows of the database, and the App's key. Out: what a pull request or a branch is now (`client`), and one comment,
check runs and deployments that say what the database says (`tell`). Nothing else in the service speaks to GitHub.

Read `tell.py` first; what is said is decided in `report.py` and `statements.py`, without any effect.
"""
