"""The local GitHub: emulate, an overlay for what it lacks, and git over HTTP."""
