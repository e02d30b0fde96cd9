"""Our deploys beside those of the CDK CLI: `python -m bench.deploy [--only ROW] [--rounds N]`.

`__main__.py` has the rows and writes the page. A row measures something that part 2's bars are about, and returns
numbers and a paragraph on how they came about. `shell.py` is what a person types; `ready.py` begins with an assembly;
`model.py` is what a user of real AWS would wait for.
"""
