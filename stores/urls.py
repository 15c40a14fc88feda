"""Opens the store that a URL names. What each URL may say is here, and nowhere else."""

from typing import Literal, cast
from urllib.parse import parse_qs

from stores.base import SessionStore
from stores.memory import MemoryStore
from stores.sqlite import SQLiteStore

KNOWN = "memory://, sqlite:///relative.db, sqlite:////absolute.db, postgresql://user@host/database"


def open_store(url: str, *, must_exist: bool = False) -> SessionStore:
    """The store, not yet open. `sqlite:///file?synchronous=FULL` survives a power cut. `must_exist`
    refuses a SQLite file that is not there, which opening would make.

    Raises ValueError for a URL that names none, ImportError where its driver is not installed.
    """
    scheme, separator, rest = url.partition("://")
    match scheme if separator else None:
        case "memory":
            return MemoryStore()
        case "sqlite":
            return _sqlite(url, rest, must_exist=must_exist)
        case "postgresql" | "postgres":
            from stores import PostgresStore  # its driver is an extra

            return PostgresStore(url)
        case _:
            # The URL may hold a password; what stands before :// cannot.
            named = f"the scheme {scheme!r}" if separator else "no scheme"
            raise ValueError(f"a store URL with {named} is not known. Known are: {KNOWN}")


def _sqlite(url: str, rest: str, *, must_exist: bool) -> SQLiteStore:
    location, _, query = rest.partition("?")
    if not location.startswith("/"):
        raise ValueError(
            f"{url!r} names no file. Write sqlite:///relative.db, or sqlite:////abs.db"
        )
    options = {name: values[-1] for name, values in parse_qs(query).items()}
    synchronous = options.pop("synchronous", "NORMAL").upper()
    if options:
        raise ValueError(f"{url!r} has unknown options {sorted(options)}; known: synchronous")
    store = SQLiteStore(location[1:], synchronous=cast(Literal["NORMAL", "FULL"], synchronous))
    if must_exist and not store.path.exists():
        raise ValueError(f"there is no file {store.path}; a server makes it when it starts")
    return store
