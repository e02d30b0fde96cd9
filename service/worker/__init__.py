"""RQ's side: jobs that call `stages/`, and the processes that run them.

In comes a ring (a row's id); out comes whatever `stages` did. Read `jobs.py`, then `processes.py`.
"""
