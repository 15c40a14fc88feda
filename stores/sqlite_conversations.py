"""Conversations in a SQLite database: their rows, their locks and their last turns.

Plain functions of a connection, as in `sqlite_operations`, and the store methods that call them.
A conversation has a hidden handle in `rmw_response`, of the same id, on its last turn: whatever
holds for handles (histories, what must be kept) holds for it.
"""

import sqlite3
from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from stores import sqlite_operations as operations
from stores.base import Item, SessionStore, StoredConversation
from stores.codec import decode, encode, from_micros, key, text, to_micros
from stores.connection_thread import Operation, T

CONVERSATION = """
SELECT body, created_at, hidden FROM rmw_conversation WHERE id = ? AND owner = ?
"""


class SQLiteConversations(SessionStore):
    """The methods about conversations; threads and the rest are SQLiteStore's."""

    @abstractmethod
    async def _write(self, operation: Operation[T]) -> T: ...

    @abstractmethod
    async def _read(self, sql: str, *values: Any) -> list[tuple[Any, ...]]: ...

    async def create_conversation(
        self, id: str, body: dict[str, Any], *, owner: str, created_at: datetime
    ) -> None:
        await self._write(
            partial(
                _create,
                id=text(id, "the id"),
                owner=text(owner, "the owner"),
                created_at=to_micros(created_at),
                body=encode(body, "body"),
            )
        )

    async def conversation(self, id: str, *, owner: str) -> StoredConversation | None:
        rows = await self._read(CONVERSATION, key(id), key(owner))
        if not rows:
            return None
        body, created_at, hidden = rows[0]
        return StoredConversation(
            id=id,
            owner=owner,
            body=decode(body),
            created_at=from_micros(created_at),
            hidden=frozenset() if hidden is None else frozenset(decode(hidden)),
        )

    async def update_conversation(self, id: str, body: dict[str, Any], *, owner: str) -> bool:
        encoded = encode(body, "body")
        return await self._write(partial(_update, id=key(id), owner=key(owner), body=encoded))

    async def delete_conversation(self, id: str, *, owner: str) -> bool:
        return await self._write(partial(_delete, id=key(id), owner=key(owner)))

    async def append_items(self, id: str, items: Sequence[Item], *, owner: str) -> bool:
        input = encode(list(items), "items")
        return await self._write(partial(_append, id=key(id), owner=key(owner), input=input))

    async def hide_item(self, id: str, item_id: str, *, owner: str) -> bool:
        item_id = text(item_id, "the item's id")
        return await self._write(partial(_hide, id=key(id), owner=key(owner), item_id=item_id))


def _create(db: sqlite3.Connection, id: str, owner: str, created_at: int, body: bytes) -> None:
    place = operations.root(db, owner, (b"[]", None))
    handle = ("completed", None, None, 1, created_at, b"{}", None, id, None, None, None)
    operations.insert(db, id, owner, place, handle)
    db.execute(
        "INSERT INTO rmw_conversation (id, owner, created_at, body) VALUES (?, ?, ?, ?)",
        (id, owner, created_at, body),
    )


def _update(db: sqlite3.Connection, id: str | None, owner: str | None, body: bytes) -> bool:
    updated = db.execute(
        "UPDATE rmw_conversation SET body = ? WHERE id = ? AND owner = ?", (body, id, owner)
    )
    return updated.rowcount == 1


def _delete(db: sqlite3.Connection, id: str | None, owner: str | None) -> bool:
    deleted = db.execute("DELETE FROM rmw_conversation WHERE id = ? AND owner = ?", (id, owner))
    if not deleted.rowcount:
        return False
    (branch,) = db.execute(
        "DELETE FROM rmw_response WHERE id = ? RETURNING branch", (id,)
    ).fetchall()[0]
    operations.trim(db, branch)
    return True


def _append(db: sqlite3.Connection, id: str | None, owner: str | None, input: bytes) -> bool:
    last = operations.lock(db, id, owner)
    if last is None or owner is None:
        return False
    place = operations.behind(db, owner, last, (input, None))
    db.execute("UPDATE rmw_response SET branch = ?, depth = ? WHERE id = ?", (*place, id))
    return True


def _hide(db: sqlite3.Connection, id: str | None, owner: str | None, item_id: str) -> bool:
    found = db.execute(CONVERSATION, (id, owner)).fetchone()
    if found is None:
        return False
    *_, hidden = found
    items = [] if hidden is None else decode(hidden)
    if item_id not in items:
        db.execute(
            "UPDATE rmw_conversation SET hidden = ? WHERE id = ?",
            (encode([*items, item_id], "hidden"), id),
        )
    return True
