"""Changes functions and state machines without CloudFormation, and keeps account of what that leaves.

In come the template that CloudFormation has, the one that is wanted and the drift of earlier swaps; out comes a `Swap`,
or why the stack goes by CloudFormation. Read `hotswap.py` first (the decision, pure), then `swap.py` (carried out),
`function_swap.py` and `drift.py`.
"""
