"""What the GitHub Action runs on a CI runner: the face of it is `action.yml`, what it does for a user docs/action.md.

In come the inputs and the workflow's event, by environment variables; out go log lines, annotations, step outputs and a
job summary. There are three modes: `ask.py` lets the service deploy and follows, `synth.py` runs the app's program and
leaves the assembly as an artifact, `alone.py` runs the deploy engine itself. The first two import the standard library
alone and run on Python 3.9; a test holds that. Read `__main__.py` first, then `workflow.py`, `runner.py`.
"""
