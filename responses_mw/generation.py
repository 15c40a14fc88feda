"""One response while it is generated: a task writes it, at most one client listens.

The order of things is kept here: the turn is reserved before a byte leaves, the end is stored
before the terminal event leaves, and a stored response goes on when its client has gone.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from responses_mw.assembler import ResponseAssembler
from responses_mw.errors import InvalidRequest, ResponsesError, StoreUnavailable
from responses_mw.native_refs import pack
from responses_mw.output_items import Event
from responses_mw.router import Router
from responses_mw.settings import Settings
from responses_mw.turn import Turn
from stores.base import (
    NativeState,
    NewResponse,
    Outcome,
    SessionStore,
    Status,
    StoreError,
)

logger = logging.getLogger("responses_mw")


@dataclass(frozen=True, slots=True)
class Record:
    """Where a stored response is kept, and under whose claim."""

    store: SessionStore
    owner: str
    new: NewResponse


class Generation:
    """`record` is None for `store: false`."""

    def __init__(
        self,
        turn: Turn,
        assembler: ResponseAssembler,
        router: Router,
        record: Record | None,
        settings: Settings,
    ) -> None:
        self.deployment: str | None = None
        self._turn = turn
        self._assembler = assembler
        self._router = router
        self._record = record
        self._settings = settings
        self._events: deque[list[Event]] = deque()
        self._changed = asyncio.Event()
        self._beginning: asyncio.Task[None] | None = None
        self._begun = False
        self._ended = False
        self._listening = turn.stream
        self._error: ResponsesError | None = None
        self._task: asyncio.Task[None] | None = None

    # --- the client's side

    @property
    def dropped(self) -> tuple[str, ...]:
        return self._assembler.info.dropped

    async def accepted(self) -> None:
        """Waits until the status line can be sent: the upstream took the turn, or the wait was
        long.

        Raises the error that happened before.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.hold_status_s):
                while not self._begun and self._error is None:
                    await self._change()
        if self._error is not None:
            raise self._error
        await self._begin()

    async def batches(self) -> AsyncIterator[list[Event] | None]:
        """Events as they come, several at a time; None after each silence of `keep_alive_s`."""
        while True:
            if self._events:
                events = [event for batch in self._events for event in batch]
                self._events.clear()
                yield events
            elif self._ended:
                return
            else:
                try:
                    async with asyncio.timeout(self._settings.keep_alive_s):
                        await self._change()
                except TimeoutError:
                    yield None

    async def result(self) -> dict[str, Any]:
        """The response at its end. Raises the error that kept it from having any output."""
        while not self._ended and self._error is None:
            await self._change()
        if self._error is not None:
            raise self._error
        return self._assembler.response

    def leave(self) -> None:
        """The client has gone."""
        self._listening = False
        self._events.clear()
        goes_on = self._record is not None and self._settings.finish_when_client_leaves
        if not goes_on and self._task is not None:
            self._task.cancel()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    # --- the generating side

    def start(self, task: "asyncio.Task[None]") -> None:
        self._task = task

    async def run(self) -> None:
        """Never raises: whatever happens is said to the client and kept."""
        self._beginning = asyncio.create_task(self._reserve())
        self._beginning.add_done_callback(self._reserved)
        try:
            await self._generate()
        except asyncio.CancelledError:
            await self._cancelled()
        except ResponsesError as error:
            await self._failed(error)
        except Exception:
            # The one place: a stream must end with an event, whatever a provider did.
            logger.exception("generating %s failed", self._assembler.id)
            await self._failed(ResponsesError("The server had an error while generating."))
        finally:
            self._ended = True
            self._changed.set()

    async def _generate(self) -> None:
        feed = self._assembler.feed
        async with contextlib.aclosing(self._router.batches(self._turn)) as batches:
            async for deployment, deltas in batches:
                if not self._begun:
                    self.deployment = deployment.id
                    await self._begin()
                self._publish([event for delta in deltas for event in feed(delta)])
        await self._begin()
        events = self._assembler.finish()
        self._publish(await self._kept(events))

    async def _reserve(self) -> None:
        record = self._record
        if record is None:
            return
        try:
            reserved = await record.store.reserve(record.new, owner=record.owner)
        except StoreError as error:
            raise _unavailable(error) from error
        if not reserved:
            raise previous_response_not_found(record.new.parent)

    def _reserved(self, task: "asyncio.Task[None]") -> None:
        """A turn that cannot be kept is not generated: nobody waits for the upstream then."""
        error = None if task.cancelled() else task.exception()
        if isinstance(error, ResponsesError) and self._task is not None:
            self._error = error
            self._task.cancel()

    async def _begin(self) -> None:
        assert self._beginning is not None
        await asyncio.shield(self._beginning)
        if not self._begun and self._error is None:
            self._begun = True
            self._publish(self._assembler.start())
            self._changed.set()

    def _publish(self, events: list[Event]) -> None:
        if events and self._listening:
            self._events.append(events)
            self._changed.set()

    # --- ends

    async def _failed(self, error: ResponsesError) -> None:
        unheard = not self._begun if self._turn.stream else not self._assembler.output
        if unheard:
            await self._release()
            self._error = error
            return
        self._publish(await self._kept(self._assembler.fail(error)))

    async def _cancelled(self) -> None:
        if self._record is None or self._error is not None:
            return
        if not self._begun:
            await self._release()
            return
        self._assembler.cancel()
        await self._save("cancelled")

    async def _kept(self, events: list[Event]) -> list[Event]:
        """The events, once the end is stored; their last one says so if it could not be."""
        try:
            await self._save(self._assembler.status)
        except ResponsesError as error:
            return [*events[:-1], self._assembler.revoke(error)]
        return events

    async def _save(self, status: Status) -> None:
        record = self._record
        if record is None:
            return
        output = self._assembler.output
        native = self._assembler.native
        state = None if native is None else NativeState(native.scope, pack(native.state, output))
        outcome = Outcome(status, self._assembler.envelope, output, state)
        try:
            kept = await record.store.finish(
                record.new.id, outcome, owner=record.owner, lease=record.new.lease
            )
        except StoreError as error:
            raise _unavailable(error) from error
        if not kept:
            raise ResponsesError(
                "The response was deleted or taken over by another worker while it was generated.",
                code="response_lost",
            )

    async def _release(self) -> None:
        """Takes the reservation back; what cannot be taken back runs out with its lease."""
        record = self._record
        if record is None or self._beginning is None:
            return
        with contextlib.suppress(ResponsesError, StoreError):
            await self._beginning
            await record.store.release(record.new.id, owner=record.owner, lease=record.new.lease)


def previous_response_not_found(id: str | None) -> InvalidRequest:
    return InvalidRequest(
        f"Previous response with id '{id}' not found.",
        param="previous_response_id",
        code="previous_response_not_found",
    )


def lease_until(settings: Settings) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=settings.lease_s)


def _unavailable(error: StoreError) -> StoreUnavailable:
    logger.error("the store failed: %s", error)
    return StoreUnavailable(
        "The conversation store is not available; nothing was lost. Try again.",
        headers={"Retry-After": "1"},
    )
