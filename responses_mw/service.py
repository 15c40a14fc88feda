"""What the routes ask for, with no HTTP in it: create, read, list, delete.

A request becomes a turn here: its chain is read from the store, its input checked against it, and a
generation started. Nothing is stored for a request that is refused.
"""

import dataclasses
import time
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any, TypeVar

from responses_mw.assembler import ResponseAssembler, Seal
from responses_mw.conversation import rebuild
from responses_mw.envelope import response_body
from responses_mw.errors import Conflict, InvalidRequest, NotFound, StoreUnavailable
from responses_mw.generation import (
    Generation,
    Record,
    lease_until,
    previous_response_not_found,
)
from responses_mw.ids import new_id
from responses_mw.items import stored_items
from responses_mw.runtime import Runtime
from responses_mw.schema import CreateRequest, turn_from
from responses_mw.seals import Sealer
from responses_mw.turn import Turn
from stores.base import RUNNING, History, Lease, NewResponse, SessionStore, StoreError

T = TypeVar("T")


class Service:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    @property
    def _store(self) -> SessionStore:
        return self._runtime.store

    async def create(self, request: CreateRequest, *, owner: str) -> Generation:
        """Starts a generation; it lives on in the runtime. Raises InvalidRequest for a bad turn."""
        self._runtime.router.check(request.model)
        history = await self._history(request.previous_response_id, owner)
        id = new_id("resp")
        items = stored_items(request.items, id)
        sealer = Sealer(self._runtime.seal_key, owner)
        spans = rebuild(history, sealer.spans(items))
        turn = turn_from(request, spans, request.model)
        if self._runtime.settings.strict:
            turn = dataclasses.replace(turn, strict=True)
        created = time.time()
        body = response_body(request, id=id, created_at=int(created), model=request.model)
        seal = sealer.seal if turn.encrypted_reasoning else None
        generation = Generation(
            turn,
            self._assembler(body, turn, seal),
            self._runtime.router,
            self._record(request, body, items, owner, created) if request.store else None,
            self._runtime.settings,
        )
        generation.start(self._runtime.spawn(generation.run()))
        return generation

    async def get(self, id: str, *, owner: str) -> dict[str, Any]:
        stored = await self._kept(self._store.get(id, owner=owner))
        if stored is None:
            raise _not_found(id)
        return {**stored.body, "output": stored.output}

    async def delete(self, id: str, *, owner: str) -> dict[str, Any]:
        if not await self._kept(self._store.delete(id, owner=owner)):
            raise _not_found(id)
        return {"id": id, "object": "response", "deleted": True}

    async def input_items(
        self, id: str, *, owner: str, limit: int, descending: bool, after: str | None
    ) -> dict[str, Any]:
        page = self._store.input_page(
            id, owner=owner, limit=limit, descending=descending, after=after
        )
        try:
            found = await self._kept(page)
        except KeyError as error:
            raise InvalidRequest(
                f"No input item with id {str(after)[:100]!r} in this response.", param="after"
            ) from error
        if found is None:
            raise _not_found(id)
        return {
            "object": "list",
            "data": found.items,
            "first_id": found.items[0]["id"] if found.items else None,
            "last_id": found.items[-1]["id"] if found.items else None,
            "has_more": found.has_more,
        }

    # --- parts of create

    async def _history(self, id: str | None, owner: str) -> History | None:
        if id is None:
            return None
        history = await self._kept(self._store.history(id, owner=owner))
        if history is None:
            raise previous_response_not_found(id)
        if history.status in RUNNING:
            raise Conflict(
                f"Response '{id}' is still being generated; continue it when it has ended.",
                param="previous_response_id",
                code="response_in_progress",
                headers={"Retry-After": "1"},
            )
        return history

    def _assembler(self, body: dict[str, Any], turn: Turn, seal: Seal | None) -> ResponseAssembler:
        return ResponseAssembler(
            body,
            callable_tools=_callable_tools(turn),
            raw_reasoning=self._runtime.settings.raw_reasoning,
            seal=seal,
        )

    def _record(
        self,
        request: CreateRequest,
        body: dict[str, Any],
        items: list[dict[str, Any]],
        owner: str,
        created: float,
    ) -> Record:
        new = NewResponse(
            id=body["id"],
            body={key: value for key, value in body.items() if key != "output"},
            input=items,
            created_at=datetime.fromtimestamp(created, UTC),
            lease=Lease(self._runtime.worker, lease_until(self._runtime.settings)),
            parent=request.previous_response_id,
            end_user=request.safety_identifier or request.user,
        )
        return Record(self._store, owner, new)

    async def _kept(self, reading: Awaitable[T]) -> T:
        try:
            return await reading
        except StoreError as error:
            raise StoreUnavailable(
                "The conversation store is not available. Try again.",
                headers={"Retry-After": "1"},
            ) from error


def _callable_tools(turn: Turn) -> frozenset[str] | None:
    """None where any call is the model's own business: no tool_choice narrowed it."""
    if turn.choice == "none":
        return frozenset()
    if turn.forced_tool is not None:
        return frozenset({turn.forced_tool})
    if len(turn.offered_tools) < len(turn.tools):
        return frozenset(str(tool.get("name")) for tool in turn.offered_tools)
    return None


def _not_found(id: str) -> NotFound:
    return NotFound(f"Response with id '{id[:100]}' not found.")
