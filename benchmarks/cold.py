"""`responses-mw serve` with histories not kept in memory, so that each turn reads its chain.

A file cannot say so: it is a setting for hosts. Run by its path, so that it serves whichever
checkout PYTHONPATH names.
"""

import dataclasses
import sys
from pathlib import Path

from responses_mw.cli.serve import serve
from responses_mw.cli.serving import Serving


def main(config: str, store: str) -> None:
    found = Serving.resolve(config_file=Path(config), store=store)
    settings = dataclasses.replace(found.settings, history_cache_bytes=0)
    cold = dataclasses.replace(found, settings=settings)
    serve(cold, host="127.0.0.1", port=0, workers=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
