"""From a handler's source to the folder that a function's asset is made of, without Docker.

In comes `"functions/notes.list"`; out goes a `Bundle`: a folder with the code that is ours to write at once, and, where
it depends on packages, a file beside it that says which (`BUNDLE_FILE`). An app's program has no network when Stagedoor
runs it, so packages are installed by `completion.py` when it has ended, once for each set of packages, Python and
architecture. Where nobody said that this will be done (`STAGEDOOR_BUNDLING=later`), as under `cdk synth`, it is done at
once. Nothing in here imports aws-cdk-lib. Read `source.py` first.
"""
