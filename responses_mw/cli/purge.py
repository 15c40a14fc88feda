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
    """Erase content for good, from histories and summaries built on it, too.

    What was used stays counted, without the end user. If this is interrupted,
    run it again. What clients keep themselves is theirs to erase.
    """
    if (id is None) == (user is None) and (id is not None or owner is None):
        raise ConfigurationError("purge needs one of --id, --user and --owner")

    async def purged(found: SessionStore) -> tuple[int, int]:
        owners = [owner] if owner is not None else await found.owners(id=id, user=user)
        turns = emptied = 0
        for each in owners:
            if found.keeps_accounts and (id is not None or user is not None):
                # `purge` does so, too, but does not say how many there were.
                emptied += await found.empty_summaries(each, id=id, user=user)
            turns += await found.purge(each, id=id, user=user)
        return turns, emptied

    turns, emptied = in_store(store, config, purged)
    told = [_counted(turns, "turn", "turns") + " erased"]
    if emptied:
        told.append(_counted(emptied, "summary", "summaries") + " of others emptied")
    print(", ".join(told))


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
