"""A fresh database for each run, as a URL and a size. Postgres is the one that the tests use."""

import contextlib
import os
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

STORES = ("sqlite", "memory", "postgres")


@contextlib.contextmanager
def database(store: str) -> Iterator[tuple[str, Callable[[], int]]]:
    """The URL, and what tells the bytes in use."""
    match store:
        case "memory":
            yield "memory://", lambda: 0
        case "sqlite":
            with tempfile.TemporaryDirectory(prefix="responses-mw-bench-") as folder:
                path = Path(folder)
                yield f"sqlite:///{path}/bench.db", lambda: _sizes(path)
        case "postgres":
            with _postgres() as url:
                yield url, lambda: _postgres_size(url)
        case other:
            raise ValueError(f"no store {other!r}: choose from {', '.join(STORES)}")


def _sizes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


@contextlib.contextmanager
def _postgres() -> Iterator[str]:
    # Importing it needs pytest, which only this store's runs should.
    from tests import postgres_server

    with _postgres_server() as server:
        name = f"rmw_{uuid.uuid4().hex}"
        postgres_server.execute(server, f"CREATE DATABASE {name}")
        try:
            yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
        finally:
            postgres_server.execute(server, f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.contextmanager
def _postgres_server() -> Iterator[str]:
    from tests import postgres_server

    if url := os.environ.get(postgres_server.VARIABLE):
        yield url
        return
    binaries = postgres_server.find_binaries()
    if binaries is None:
        sys.exit(postgres_server.UNAVAILABLE)
    with tempfile.TemporaryDirectory(prefix="rmw-pg-") as folder:
        process = postgres_server.start(binaries, Path(folder))
        try:
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            postgres_server.stop(process)


def _postgres_size(url: str) -> int:
    from tests import postgres_server

    rows = postgres_server.execute(url, "SELECT pg_database_size(current_database())")
    size: int = rows[0][0]
    return size
