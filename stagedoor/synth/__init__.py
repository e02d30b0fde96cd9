"""Run an app's own program and get its cloud assembly.

In comes a folder with a `cdk.json` and the names of the stage and its target; out comes the directory of an assembly.
The program is a stranger's: it runs behind an `Executor`, with limits, in an environment that holds nothing of ours.
What it asks about the account it is told by `context_lookup.py`. Read `synthesis.py` first, then `executor.py`,
`dependencies.py`.
"""
