"""RQ jobs: thin; they call stages/ and stagedoor."""
