"""One response while it is generated: a task writes it, any number of clients listen.

The order of things is kept here: the turn is reserved before a byte leaves, the end is stored
before the terminal event leaves, and a stored response goes on when its client has gone.
"""

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from responses_mw.assembler import ResponseAssembler
from responses_mw.envelope import shrunk
from responses_mw.errors import ResponsesError
from responses_mw.keeping import Record, is_kept, outcome_of
from responses_mw.listening import Listener, Signal
from responses_mw.noting import Noting
from responses_mw.output_items import Event, Told, end_of
from responses_mw.records import TurnRecord
from responses_mw.replay import replay
from responses_mw.router import Answers
from responses_mw.settings import Settings
from responses_mw.store_errors import persistently, previous_response_not_found, unavailable
from responses_mw.turn import Turn
from stores.base import RUNNING, Checkpoint, History, NewResponse, Outcome, StoredTurn, StoreError

logger = logging.getLogger("responses_mw")

_UNKEPT_S = 0.75
"""With a look every quarter of a second, a crash loses a second at most. Shorter streams are
written once, at their end."""
_BROKEN = "The server had an error while generating."
_CHARS_PER_SECOND = 250_000
"""A checkpoint writes the whole output so far: a longer one is written less often."""

Review = Callable[[dict[str, Any]], Awaitable[None]]


class Generation:
    """`record` is None for `store: false`. `background`: no client is waited for or left.

    `router` None: nobody is asked, the turn has no output. `notes`: headers that asking may add.
    `chain`: what an unstored response was asked, this turn's input last, for those who remember it
    themselves. `review` sees the finished response before it is kept, and may raise.
    """

    def __init__(
        self,
        turn: Turn,
        assembler: ResponseAssembler,
        router: Answers | None,
        record: Record | None,
        settings: Settings,
        *,
        noting: Noting,
        notes: Mapping[str, str],
        chain: History | None = None,
        review: Review | None = None,
    ) -> None:
        self.id = assembler.id
        self.background = noting.record.background
        self._noting = noting
        self.deployment: str | None = None
        self._turn = turn
        self._assembler = assembler
        self.as_created = assembler.response
        """What a background response shows before anything happened to it."""
        self._router = router
        self._record = record
        self._settings = settings
        self.notes = notes
        self._chain = chain
        self._review = review
        self._listeners: set[Listener] = set()
        self._signal = Signal()
        self._beginning: asyncio.Task[None] | None = None
        self._begun = False
        self._ended = False
        self._awake = False
        self._stillborn = False
        self._ending = False
        self._error: ResponsesError | None = None
        self._task: asyncio.Task[None] | None = None
        self._published = 0
        self._told = 0
        self._next_checkpoint = 0.0

    # --- the clients' side

    @property
    def dropped(self) -> tuple[str, ...]:
        return self._assembler.info.dropped

    @property
    def noted(self) -> TurnRecord:
        return self._noting.record

    @property
    def response(self) -> dict[str, Any]:
        """As it stands now."""
        return self._assembler.response

    @property
    def history(self) -> History:
        """The chain up to and including this response, as a store would tell it. For a `chain`."""
        assert self._chain is not None
        *before, asked = self._chain.turns
        outcome = self._outcome()
        said = StoredTurn(asked.input, list(outcome.output), outcome.native)
        return History(outcome.status, [*before, said], self.deployment, self._noting.record.chain)

    def listen(self, after: int = -1) -> Listener:
        """Hears every event with a number above `after`: those that were, then those that come."""
        listener = Listener(self._settings.keep_alive_s, after=after, again=self._told_from)
        if self._published > after + 1:
            listener.catch_up()
        if self._ended:
            listener.end()
        else:
            self._listeners.add(listener)
        return listener

    def _told_from(self, number: int) -> list[Event]:
        """An end that is not stored yet is not told either."""
        assembler = self._assembler
        past = replay(assembler.envelope, assembler.output, assembler.cuts)
        published = range(number, self._published)
        return [event for event in past if event["sequence_number"] in published]

    async def accepted(self) -> None:
        """Waits until the status line can be sent: the upstream took the turn, or was long about
        it. Raises the error that happened before."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.hold_status_s):
                while not self._begun and self._error is None:
                    await self._signal.wait()
        if self._error is not None:
            raise self._error
        await self._begin()

    async def reserved(self) -> None:
        """Waits until the response can be found in the store. Raises StoreUnavailable."""
        if self._record is None or self._record.new is None:
            return
        while self._beginning is None:
            await self._signal.wait()
        await asyncio.shield(self._beginning)

    async def result(self) -> dict[str, Any]:
        """The response at its end. Raises the error that kept it from having any output."""
        await self.ended()
        if self._error is not None:
            raise self._error
        return self._assembler.response

    async def ended(self) -> None:
        while not self._ended:
            await self._signal.wait()

    def leave(self, listener: Listener | None = None) -> None:
        """A client has gone; what it was listening with, if it was."""
        if listener is not None:
            listener.leave()
            self._listeners.discard(listener)
        goes_on = self._record is not None and self._settings.finish_when_client_leaves
        if not goes_on and not self.background:
            self.cancel()

    def cancel(self) -> None:
        """Stops the upstream; what was said so far is kept as `cancelled`. Does nothing once the
        end is being kept: there is one then, and it must be told."""
        if not self._awake:
            self._stillborn = True  # a task cancelled before its first step would say nothing
        elif self._task is not None and not self._ending:
            self._task.cancel()

    # --- the generating side

    def start(self, task: "asyncio.Task[None]") -> None:
        self._task = task

    async def run(self) -> None:
        """Raises nothing that is an Exception: whatever happens is said to the clients and kept."""
        self._awake = True
        if self._record is not None and self._record.new is not None:
            self._beginning = asyncio.create_task(self._reserve(self._record, self._record.new))
            self._beginning.add_done_callback(self._reserved)
        if self.background:
            self._signal.send()  # to whoever waits for `reserved`
        self._noting.start()
        try:
            await self._to_its_end()
        except BaseException as error:
            # Nor may it hang where the end could not be kept, whatever a host's store did.
            self._tell(ResponsesError(_BROKEN))
            if not isinstance(error, Exception):
                raise
            logger.exception("the end of %s was not kept", self.id)
        finally:
            self._noting.end(self._assembler, self._error)
            self._ended = True
            for listener in self._listeners:
                listener.end()
            # They know this object: a cycle, which only the garbage collector would end.
            self._listeners.clear()
            self._signal.send()

    async def _to_its_end(self) -> None:
        try:
            if self._stillborn:
                raise asyncio.CancelledError
            await self._generate()
        except asyncio.CancelledError:
            await self._cancelled()
        except ResponsesError as error:
            await self._failed(error)
        except (Exception, BaseExceptionGroup):
            # The one place: a stream must end with an event, whatever a provider did.
            logger.exception("generating %s failed", self.id)
            await self._failed(ResponsesError(_BROKEN))

    async def _generate(self) -> None:
        if self.background:
            await self._begin()
        if self._router is not None:
            await self._ask(self._router)
        await self._begin()
        await self._noting.settle(self._assembler)
        events = self._assembler.finish()
        if self._review is not None:
            *closing, end = events
            self._publish(closing)
            await self._review(self._assembler.response)
            events = [end]
        self._publish(await self._kept(events))

    async def _ask(self, router: Answers) -> None:
        tell, noted = self._assembler.tell, self._noting.record
        async with contextlib.aclosing(router.batches(self._turn, noted)) as batches:
            async for deployment, deltas in batches:
                if self.deployment is None:
                    self.deployment = deployment.id
                    self._noting.answered(deployment)
                    await self._begin()
                self._publish(tell(deltas))
                if noted.first_delta_s is None and self._assembler.chars:
                    self._noting.first_delta()

    async def _reserve(self, record: Record, new: NewResponse) -> None:
        try:
            reserved = await record.store.reserve(new, owner=record.owner)
        except StoreError as error:
            raise unavailable(error) from error
        if not reserved:
            raise previous_response_not_found(new.parent)

    def _reserved(self, task: "asyncio.Task[None]") -> None:
        """A turn that cannot be kept is not generated: nobody waits for the upstream then."""
        error = None if task.cancelled() else task.exception()
        if isinstance(error, ResponsesError) and self._task is not None:
            self._error = error
            self._task.cancel()

    async def _begin(self) -> None:
        if self._begun:
            return
        if self._beginning is not None:
            if self._beginning.done():
                self._beginning.result()
            else:
                await asyncio.shield(self._beginning)
        if not self._begun and self._error is None:
            self._begun = True
            self._next_checkpoint = asyncio.get_running_loop().time() + _UNKEPT_S
            self._publish(self._assembler.start("queued" if self.background else "in_progress"))
            self._signal.send()

    def _publish(self, events: Sequence[Told]) -> None:
        """What was assembled last, or all of it but the end."""
        if events:
            self._published = end_of(events[-1])
            for listener in self._listeners:
                listener.tell(events)

    # --- what is kept

    def checkpoint(self, now: float) -> Checkpoint | None:
        """What was said so far; None where nothing is new, or the last one is not old enough."""
        record, assembler = self._record, self._assembler
        if record is None or not self._begun or self._ended or now < self._next_checkpoint:
            return None
        if assembler.sequence == self._told:
            return None
        self._told = assembler.sequence
        self._next_checkpoint = now + max(_UNKEPT_S, assembler.chars / _CHARS_PER_SECOND)
        return Checkpoint(
            record.id,
            record.owner,
            record.lease,
            shrunk(assembler.envelope),
            assembler.output,
            assembler.cuts,
        )

    async def _failed(self, error: ResponsesError) -> None:
        assembler = self._assembler
        ended = assembler.status not in RUNNING  # it is refused as a whole
        unheard = not self._begun if self._turn.stream else ended or not assembler.output
        if not ended:
            await self._noting.settle(assembler, cut=self._turn)
        if unheard and not self.background:
            await self._release()
            with contextlib.suppress(ResponsesError):
                await self._noting.count("failed", only_used=True)
            self._error = error
            return
        with contextlib.suppress(ResponsesError):
            await self._begin()
            events = [assembler.revoke(error)] if ended else assembler.fail(error)
            self._publish(await self._kept(events))

    async def _cancelled(self) -> None:
        if self._error is not None:
            return
        if not self._begun and not self.background:
            await self._release()
            self._error = ResponsesError("The response was cancelled before it began.")
            return
        with contextlib.suppress(ResponsesError):
            await self._begin()
            await self._noting.settle(self._assembler, cut=self._turn)
            self._publish(self._assembler.cancel())
            await self._save()

    def _tell(self, error: ResponsesError) -> None:
        """An end that is kept nowhere."""
        assembler = self._assembler
        if not self._begun:
            self._error = self._error or error
        elif assembler.status in RUNNING:
            self._publish(assembler.fail(error))
        else:
            self._publish([assembler.revoke(error)])

    async def _kept(self, events: list[Event]) -> list[Event]:
        """The events, once the end is stored; their last one says so if it could not be."""
        try:
            await self._save()
        except ResponsesError as error:
            return [*events[:-1], self._assembler.revoke(error)]
        return events

    async def _save(self) -> None:
        self._ending = True
        record = self._record
        if record is None:
            await self._noting.count(self._assembler.status)
            return
        store, id, owner, lease = record.store, record.id, record.owner, record.lease
        outcome = self._outcome()

        async def finish() -> bool:
            kept = await store.finish(id, outcome, owner=owner, lease=lease)
            return kept or await is_kept(record, outcome)

        # The answer is paid for, and while the lease holds nobody else can give it.
        if not await persistently(finish, seconds=self._settings.lease_s):
            await self._noting.count(self._assembler.status, known=False)
            raise ResponsesError(
                "The response was deleted or taken over by another worker while it was generated.",
                code="response_lost",
            )
        if record.on_end is not None:
            record.on_end(outcome)

    def _outcome(self) -> Outcome:
        outcome, noted = outcome_of(self._assembler), self._noting.record
        return dataclasses.replace(
            outcome,
            deployment=self.deployment,
            cost_nano=noted.cost_nano,
            usage=self._noting.used(outcome.status),
        )

    async def _release(self) -> None:
        """Takes the reservation back; what cannot be taken back runs out with its lease."""
        record = self._record
        if record is None:
            return
        if self._beginning is not None:
            await asyncio.wait([self._beginning])
        with contextlib.suppress(StoreError):
            await record.store.release(record.id, owner=record.owner, lease=record.lease)
