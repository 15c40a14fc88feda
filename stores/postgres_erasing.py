"""Erasing in Postgres: which statements follow which, inside a transaction of the caller's."""

from stores import postgres_statements as sql
from stores.postgres_pool import Connection


async def trim(connection: Connection, branches: list[int]) -> None:
    """Erases what nobody needs any more from `branches`, which are locked, and from there up."""
    while branches:
        rows = await connection.fetch(sql.TRIM, branches)
        branches = [row["parent"] for row in rows if row["parent"] is not None]
        if branches:
            await connection.fetch(sql.LOCK_BRANCHES, branches)


async def blank(connection: Connection, places: str, *arguments: str) -> int:
    """`places` finds the turns; it is asked again once their branches cannot change."""
    found = await connection.fetch(places, *arguments)
    lines = await connection.fetch(sql.LOCK_LINES, list({row["branch"] for row in found}))
    locked = {row["id"] for row in lines}
    found = [row for row in await connection.fetch(places, *arguments) if row["branch"] in locked]
    columns = [row["branch"] for row in found], [row["depth"] for row in found]
    await connection.execute(sql.DELETE_AT, *columns)
    await connection.execute(sql.BLANK, *columns)
    await trim(connection, list(locked))
    return len(found)


async def erase_owner(connection: Connection, owner: str) -> int:
    """A turn that holds nothing, like a conversation's first, is not counted."""
    conversations = await connection.fetch(sql.LOCK_OWNERS_CONVERSATIONS, owner)
    locked = [row["id"] for row in conversations]
    found = await connection.fetch(sql.LOCK_OWNERS_BRANCHES, owner, locked)
    branches = [row["id"] for row in found]
    while found:  # who forked one of them while this waited for it has made another
        forks = await connection.fetch(sql.LOCK_FORKS, [row["id"] for row in found])
        found = [row for row in forks if row["id"] not in set(branches)]
        branches += [row["id"] for row in found]
    await connection.execute(sql.DELETE_IN, branches)
    erased = await connection.fetch(sql.ERASE_TURNS_IN, branches)
    await connection.execute(sql.ERASE_BRANCHES, branches)
    await connection.execute(sql.ERASE_CONVERSATIONS, owner)
    return sum(row["held"] for row in erased)
