"""`python -m responses_mw.cli`, for environments whose scripts are not on the path."""

from responses_mw.cli import main

main()
