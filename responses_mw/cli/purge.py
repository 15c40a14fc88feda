"""`responses-mw purge`: erases what one response, one end user or one owner said, everywhere."""

from typing import Annotated

import typer

from responses_mw.cli.admin import Config, Store, in_store
from responses_mw.errors import ConfigurationError
from stores.base import SessionStore


def purge(
    *,
    id: Annotated[str | None, typer.Option("--id", help="Of one response.")] = None,
    user: Annotated[
        str | None, typer.Option(help="An end user, as requests named them; of all owners.")
    ] = None,
    owner: Annotated[
        str | None, typer.Option(help="All of an owner's; with --user, that one's user only.")
    ] = None,
    config: Config = None,
    store: Store = None,
) -> None:
    """Erase content for good, from the histories of others built on it, too.

    What was used stays counted, without the end user. If this is interrupted, run it again.
    """
    if (id is None) == (user is None) and (id is not None or owner is None):
        raise ConfigurationError("purge needs one of --id, --user and --owner")

    async def purged(found: SessionStore) -> int:
        owners = [owner] if owner is not None else await found.owners(id=id, user=user)
        return sum([await found.purge(each, id=id, user=user) for each in owners])

    turns = in_store(store, config, purged)
    print(f"{turns} {'turn' if turns == 1 else 'turns'} erased")
