"""What the commands of an operator share: the store, opened for one piece of work."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from responses_mw import config
from responses_mw.errors import ConfigurationError, InvalidRequest
from stores.base import SessionStore, StoreError
from stores.urls import open_store

T = TypeVar("T")

Config = Annotated[
    Path | None,
    typer.Option("--config", envvar="RESPONSES_MW_CONFIG", help="For its database_url."),
]
Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        help="The server's. Else RESPONSES_MW_STORE, the file's database_url, or SQLite in your "
        "data folder.",
    ),
]


def in_store(
    store: str | None,
    config_file: Path | None,
    work: Callable[[SessionStore], Awaitable[T]],
    *,
    must_exist: bool = True,
) -> T:
    """Raises ConfigurationError, in one line, for all that goes wrong.

    A SQLite file that is not there is a mistyped name more often than not: nothing would be found
    in it, and `purge` would seem to have erased what it never saw.
    """
    url = config.store_url(config_file, store)
    if url.startswith("memory:"):
        raise ConfigurationError("memory:// is in the server's process alone: name another --store")

    async def opened() -> T:
        async with open_store(url, must_exist=must_exist) as found:
            return await work(found)

    try:
        return asyncio.run(opened())
    except (ValueError, ImportError) as error:
        raise ConfigurationError(f"the store cannot be used: {error}") from error
    except StoreError as error:
        raise ConfigurationError(f"the store failed: {error}") from error
    except InvalidRequest as error:
        raise ConfigurationError(error.message) from error
