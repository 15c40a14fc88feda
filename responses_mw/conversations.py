"""What the conversation routes ask for: a conversation, and the items in it.

A conversation is a line of turns with a head. Its items are those of its turns, in order, without
those that were deleted from it.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from responses_mw.conversation import listed
from responses_mw.errors import InvalidRequest, NotFound
from responses_mw.ids import new_id
from responses_mw.items import stored_items
from responses_mw.preparation import Preparation, kept
from responses_mw.preparation import conversation_not_found as not_found
from responses_mw.runtime import Runtime
from responses_mw.turn import Item
from responses_mw.waiting import when_free


class Conversations:
    """Of one owner."""

    def __init__(self, runtime: Runtime, owner: str) -> None:
        self._store = runtime.store
        self._settings = runtime.settings
        self._owner = owner
        self._preparation = Preparation(runtime, owner)

    async def create(self, metadata: dict[str, str], items: Sequence[Item]) -> dict[str, Any]:
        """`items` are checked. Answers with the conversation object."""
        items = await self._preparation.resolved(items, at="items")
        id, created = new_id("conv"), time.time()
        body = {
            "id": id,
            "object": "conversation",
            "created_at": int(created),
            "metadata": metadata,
        }
        at = datetime.fromtimestamp(created, UTC)
        await kept(self._store.create_conversation(id, body, owner=self._owner, created_at=at))
        if items:
            await self._append(id, _with_ids(items))
        return body

    async def get(self, id: str) -> dict[str, Any]:
        found = await kept(self._store.conversation(id, owner=self._owner))
        if found is None:
            raise not_found(id)
        return found.body

    async def update(self, id: str, metadata: dict[str, str]) -> dict[str, Any]:
        body = {**await self.get(id), "metadata": metadata}
        if not await kept(self._store.update_conversation(id, body, owner=self._owner)):
            raise not_found(id)
        return body

    async def delete(self, id: str) -> dict[str, Any]:
        if not await kept(self._store.delete_conversation(id, owner=self._owner)):
            raise not_found(id)
        return {"id": id, "object": "conversation.deleted", "deleted": True}

    # --- items

    async def add(self, id: str, items: Sequence[Item]) -> dict[str, Any]:
        """The list of the added items; waits while a turn of the conversation runs."""
        added = _with_ids(await self._preparation.resolved(items, at="items"))
        await self._append(id, added)
        return page_body(added, has_more=False)

    async def items(
        self, id: str, *, limit: int, descending: bool, after: str | None
    ) -> dict[str, Any]:
        found = await self._items(id)
        if descending:
            found.reverse()
        if after is not None:
            ids = [item["id"] for item in found]
            if after not in ids:
                raise InvalidRequest(
                    f"No item with id {after[:100]!r} in this conversation.", param="after"
                )
            found = found[ids.index(after) + 1 :]
        return page_body(found[:limit], has_more=len(found) > limit)

    async def item(self, id: str, item_id: str) -> Item:
        for item in await self._items(id):
            if item["id"] == item_id:
                return item
        raise NotFound(f"Item with id '{item_id[:100]}' not found in conversation '{id[:100]}'.")

    async def hide(self, id: str, item_id: str) -> dict[str, Any]:
        """The item is out of the conversation; the response that made it keeps it."""
        await self.item(id, item_id)
        if not await kept(self._store.hide_item(id, item_id, owner=self._owner)):
            raise not_found(id)
        return await self.get(id)

    async def _items(self, id: str) -> list[Item]:
        conversation = await kept(self._store.conversation(id, owner=self._owner))
        history = await kept(self._store.history(id, owner=self._owner))
        if conversation is None or history is None:
            raise not_found(id)
        return listed(history, conversation.hidden)

    async def _append(self, id: str, items: Sequence[Item]) -> None:
        async def append() -> bool:
            return await self._store.append_items(id, items, owner=self._owner)

        if not await when_free(append, seconds=self._settings.conversation_wait_s):
            raise not_found(id)


def page_body(items: Sequence[Item], *, has_more: bool) -> dict[str, Any]:
    return {
        "object": "list",
        "data": list(items),
        "first_id": items[0]["id"] if items else None,
        "last_id": items[-1]["id"] if items else None,
        "has_more": has_more,
    }


def _with_ids(items: Sequence[Item]) -> list[Item]:
    """Items that no response made: their random part is of their own."""
    return stored_items(items, new_id("added"))
