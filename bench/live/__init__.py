"""What the tunnel costs and what it survives: `python -m bench.live [--only ROW] [--rounds N]`.

`__main__.py` has the rows and writes the page. `place.py` starts the real parts: a service, agents with real workers,
and what can be cut between them; `callers.py` is many bridges in one process. `cost.py` has what is measured in
milliseconds, `faults.py` what must not happen, `nobody.py` the real bridge where nobody is connected, and `saves.py`
what a save of a file comes to.
"""
