"""How a Node function's worker is started, and how its TypeScript is built.

In goes a `LiveFunction`; out comes the command of a process that runs AWS's own runtime client for Node, with our
stand-in for the native part of it. Read `commands.py` first, then `worker_main.mjs` (that process); `builds.py` talks
to `builder.mjs`, which holds esbuild's incremental contexts.
"""
