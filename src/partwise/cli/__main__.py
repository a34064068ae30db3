"""`python -m partwise.cli`: the command, where its script is not on the path."""

from partwise.cli.main import main

main()
