"""The command `responses-mw`. Its parts need the extra `server`; without it this says so."""

import sys


def main() -> None:
    try:
        from responses_mw.cli import commands

        commands.run()
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "uvicorn"):
            raise
        sys.exit(f"responses-mw: {error.name} is missing: pip install 'responses-mw[server]'")
