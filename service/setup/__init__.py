"""`stagedoor setup`: makes the service's GitHub App by GitHub's manifest flow, and keeps what GitHub answers.

In come the service's URL and a place for secrets; out come an App, and its credentials in that place and nowhere else.
Read `command.py` first, then `page.py` (what the browser sees), `manifest.py`, `states.py`, `conversion.py`,
`stores.py`.
Source: https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
"""
