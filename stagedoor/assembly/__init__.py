"""Read a cloud assembly, look at it as hostile input, and rewrite it for one stage.

In comes the directory that a CDK app's synth wrote (`cdk.out`); out comes an `Assembly` of frozen dataclasses, refused
with a named error where it holds what it must not, and a second, rewritten assembly on disk whose stacks are the
stage's own. Read `model.py` first, then `reader.py`, `inspection.py` and `rewrite.py`, which names the module of each
class of reference; `docs/assembly.md` has the table.
"""
