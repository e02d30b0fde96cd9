"""`python -m stagedoor.cli` is `stagedoor`."""

from stagedoor.cli import main

main()
