"""`python -m enopax_core.cli`: the command line where its script is not installed."""

from enopax_core.cli import main

main()
