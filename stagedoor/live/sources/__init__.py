"""Where the code of a stage's functions is in the repository that it came from, for any CDK app.

In goes an assembly as synth wrote it, before it is rewritten; out comes, for each Lambda function, a `FunctionSource`
or a `NoSource` with the reason and the remedy. An assembly does not say where its assets came from, so the code is
compared with the repository's. Read `model.py` first, then `finding.py` (which way is taken), `tree.py` (what is in a
repository), `copies.py` (assets that are a folder's copy, with or without what was installed into it) and `bundles.py`
(what esbuild wrote).
"""

from stagedoor.live.sources.finding import find_sources
from stagedoor.live.sources.model import FunctionSource, NoSource, Override, overrides_of

__all__ = ["FunctionSource", "NoSource", "Override", "find_sources", "overrides_of"]
