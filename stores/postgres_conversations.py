"""Conversations in Postgres: their rows, their locks and their last turns.

A conversation has a hidden handle in `rmw_response`, of the same id, on its last turn: whatever
holds for handles (histories, what must be kept) holds for it. Whoever moves or removes it holds the
conversation's row, but for the running response, which moves it where it ends.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from stores import postgres_statements as sql
from stores.base import ConversationLocked, Item, SessionStore, StoredConversation
from stores.codec import decode, encode, from_micros, text, to_micros
from stores.postgres_erasing import trim
from stores.postgres_pool import Connection, Database, Work, possible


class PostgresConversations(SessionStore):
    """The methods about conversations; the rest is PostgresStore's."""

    _database: Database
    _branch_id: Callable[[], int]

    @abstractmethod
    async def _fetch_owned(
        self, statement: str, id: str, owner: str, *arguments: Any
    ) -> list[Any]: ...

    async def create_conversation(
        self, id: str, body: dict[str, Any], *, owner: str, created_at: datetime
    ) -> None:
        id, encoded = text(id, "the id"), encode(body, "body")

        async def work(connection: Connection, lost: bool) -> None:
            if lost and await connection.fetchval(sql.CREATED, id, owner, encoded):
                return
            row = (id, owner, self._branch_id(), to_micros(created_at), encoded)
            await connection.execute(sql.CREATE_CONVERSATION, *row)

        await self._database.run(work)

    async def conversation(self, id: str, *, owner: str) -> StoredConversation | None:
        rows = await self._fetch_owned(sql.CONVERSATION, id, owner)
        if not rows:
            return None
        [row] = rows
        return StoredConversation(
            id=id,
            owner=owner,
            body=decode(row["body"]),
            created_at=from_micros(row["created_at"]),
            hidden=frozenset(_hidden(row)),
        )

    async def update_conversation(self, id: str, body: dict[str, Any], *, owner: str) -> bool:
        encoded = encode(body, "body")
        return bool(await self._fetch_owned(sql.UPDATE_CONVERSATION, id, owner, encoded))

    async def delete_conversation(self, id: str, *, owner: str) -> bool:
        async def work(connection: Connection, lost: bool) -> bool:
            row = await connection.fetchrow(sql.LOCK_CONVERSATION, id, owner)
            if row is None:
                return lost  # the call that was cut off has done it
            places = (id, row["running"] or id)
            branches = [row["id"] for row in await connection.fetch(sql.LOCK_BRANCHES_OF, *places)]
            await connection.execute(sql.DELETE_CONVERSATION, id)
            await trim(connection, branches)
            return True

        return await self._transact(work, id, owner)

    async def append_items(self, id: str, items: Sequence[Item], *, owner: str) -> bool:
        input = encode(list(items), "items")

        async def work(connection: Connection, lost: bool) -> bool:
            place = await connection.fetchrow(sql.LOCK_CONVERSATION, id, owner)
            if place is None:
                return False
            if lost and await connection.fetchval(sql.APPENDED, id, owner, input):
                return True
            await check_free(connection, id, place)
            row = (id, owner, self._branch_id(), input)
            return await connection.fetchval(sql.APPEND, *row) is not None

        return await self._transact(work, id, owner)

    async def hide_item(self, id: str, item_id: str, *, owner: str) -> bool:
        item_id = text(item_id, "the item's id")

        async def work(connection: Connection, _: bool) -> bool:
            row = await connection.fetchrow(sql.LOCK_CONVERSATION, id, owner)
            if row is None:
                return False
            hidden = _hidden(row)
            if item_id not in hidden:
                await connection.execute(sql.HIDE, id, encode([*hidden, item_id], "hidden"))
            return True

        return await self._transact(work, id, owner)

    async def _transact(self, work: Work[bool], id: str, owner: str) -> bool:
        return possible(id, owner) and await self._database.transact(work)


async def check_free(connection: Connection, id: str, row: Any) -> None:
    """`row` is the conversation's, locked. Raises ConversationLocked while a response runs in it.

    Nobody frees that lock: who took it last has it for as long as that response runs.
    """
    last = row["running"]
    if last is not None and await connection.fetchval(sql.RUNS, last, id):
        raise ConversationLocked(f"{last!r} runs in the conversation {id!r}")


def _hidden(row: Any) -> list[str]:
    return [] if row["hidden"] is None else decode(row["hidden"])
