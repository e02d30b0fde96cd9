"""Puts assets where CloudFormation finds them: files and long templates into a bucket, images into a repository.

In comes an assembly and which of its stacks change; out come addresses. Read `assets.py` first (where each will be),
then `publish.py` (what waits for what), `sending.py` (the threads), `archives.py` and `uploads.py`, `images.py` and
`docker.py`.
"""
