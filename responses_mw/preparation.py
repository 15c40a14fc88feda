"""From a request to a turn: what it refers to is read from the store, what it may not say
refused."""

import dataclasses
from collections.abc import Awaitable
from typing import Any, TypeVar

from responses_mw.conversation import rebuild
from responses_mw.errors import Conflict
from responses_mw.generation import previous_response_not_found, unavailable
from responses_mw.runtime import Runtime
from responses_mw.schema import CreateRequest, turn_from
from responses_mw.seals import Sealer
from responses_mw.turn import Item, Turn
from stores.base import RUNNING, History, StoreError

T = TypeVar("T")


class Preparation:
    """Of one owner's requests."""

    def __init__(self, runtime: Runtime, owner: str) -> None:
        self._runtime = runtime
        self._owner = owner

    async def history(self, id: str | None) -> History | None:
        """The chain that ends with a response. Raises InvalidRequest if it is missing or runs."""
        if id is None:
            return None
        history = await kept(self._runtime.store.history(id, owner=self._owner))
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

    def turn(self, request: CreateRequest, history: History | None, items: list[Item]) -> Turn:
        """`items` are the request's own, as they are stored."""
        sealer = Sealer(self._runtime.seal_key, self._owner)
        spans = rebuild(history, sealer.spans(items), unseal=sealer.spans)
        turn = turn_from(request, spans, request.model)
        changes: dict[str, Any] = {}
        if request.background:
            changes["stream"] = True
        if self._runtime.settings.strict:
            changes["strict"] = True
        return dataclasses.replace(turn, **changes) if changes else turn


async def kept(reading: Awaitable[T]) -> T:
    """What a store answers, its failure told as ours."""
    try:
        return await reading
    except StoreError as error:
        raise unavailable(error) from error
