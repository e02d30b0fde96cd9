"""What the library costs: a cold start with `stagedoor.runtime`, and what its users wait for.

In comes nothing, out come `bench/results/library.{json,md}`; `__main__.py` names the rows.
"""
