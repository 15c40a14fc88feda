"""What the routes ask for, with no HTTP in it: create, read, tell again, cancel, list, delete.

A request becomes a turn here: its chain is read from the store, its input checked against it, and a
generation started. Nothing is stored for a request that is refused.
"""

import asyncio
import dataclasses
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from responses_mw.asked import Asked, chain_of, end_user_of, with_tags
from responses_mw.assembler import ResponseAssembler, Seal
from responses_mw.envelope import grown, response_body, shrunk
from responses_mw.errors import InvalidRequest, NotFound, ResponsesError
from responses_mw.following import Follower
from responses_mw.generation import Generation
from responses_mw.ids import new_id
from responses_mw.keeping import Record, lease_until, outcome_of
from responses_mw.keys import admit, check_model
from responses_mw.listening import Listener
from responses_mw.noting import Noting
from responses_mw.preparation import Preparation, check_asked, conversation_not_found, kept
from responses_mw.records import Caller, Content, TurnRecord
from responses_mw.replay import retell
from responses_mw.router import Answers
from responses_mw.runtime import HEAR_S, Runtime
from responses_mw.schema import CreateRequest
from responses_mw.seals import Sealer
from responses_mw.turn import Item, Turn
from responses_mw.usage import row_of_left
from responses_mw.waiting import when_free
from stores.base import (
    RUNNING,
    History,
    Lease,
    NewResponse,
    SessionStore,
    StoredResponse,
    StoredTurn,
)

MAX_ATTEMPTS = 3
"""How often background work is begun again after its worker died."""
_CANCEL_CHECKS = 30
"""A tenth of a second apart: the worker hears within half a second and stops within another."""
_WORKER_STOPPED = "Generation ended early: the worker that generated this response stopped."


class Service:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    @property
    def runtime(self) -> Runtime:
        return self._runtime

    @property
    def _store(self) -> SessionStore:
        return self._runtime.store

    # --- generating

    async def create(
        self,
        request: CreateRequest,
        *,
        owner: str,
        caller: Caller | None = None,
        remembered: History | None = None,
        generate: bool = True,
    ) -> Generation:
        """Starts a generation; it lives on in the runtime. Raises InvalidRequest for a bad turn.

        `caller` says more of who asks than whose data it is. `remembered` is the chain of a
        previous response that was not stored, as a caller kept it.
        `generate` False: the input becomes a turn without output, and no model is asked.
        """
        preparation = Preparation(self._runtime, owner)
        request = await preparation.expanded(request)
        caller = with_tags(caller or Caller(owner), request)
        check_model(caller, request.model)
        self._runtime.router.check(request.model)
        check_asked(request, generate=generate)
        if remembered is None:
            remembered = await preparation.history(request.previous_response_id)
        answers = preparation.answers(request)
        id = new_id("resp")
        items = await preparation.items(request, id, remembered)
        await kept(admit(self._store, caller))
        created = time.time()
        body = response_body(request, id=id, created_at=int(created), model=request.model)
        asked = Asked(caller, chain_of(request, id, remembered), remembered)
        record = self._record(request, body, items, asked, created) if request.store else None
        if record is not None and request.conversation_id is not None:
            record, remembered = await self._take_turn(request.conversation_id, record)
        try:
            turn = preparation.turn(request, remembered, items)
        except BaseException:  # a caller who leaves here holds the conversation, too
            await self._give_back(record)
            raise
        chain = _with_input(remembered, items) if record is None else None
        return self._start(
            request,
            body,
            turn,
            record,
            caller,
            answers=answers if generate else None,
            notes=preparation.notes,
            chain=chain,
            before=remembered,
        )

    async def _take_turn(self, conversation: str, record: Record) -> tuple[Record, History]:
        """What a conversation's turn is built on must not change: it is read once it is ours."""
        new = record.new
        assert new is not None

        async def reserve() -> bool:
            # Of now: it may have waited for longer than a lease.
            lease = dataclasses.replace(new.lease, until=lease_until(self._runtime.settings))
            leased = dataclasses.replace(new, lease=lease)
            return await self._store.reserve(leased, owner=record.owner)

        held = dataclasses.replace(record, new=None)
        wait_s = self._runtime.settings.conversation_wait_s
        try:
            if not await when_free(reserve, seconds=wait_s):
                raise conversation_not_found(conversation)
            return held, await Preparation(self._runtime, record.owner).said_in(conversation)
        except BaseException:  # its caller left, or nobody knows whether it was reserved
            await self._give_back(held)
            raise

    async def _give_back(self, record: Record | None) -> None:
        if record is not None and record.new is None:
            await kept(self._store.release(record.id, owner=record.owner, lease=record.lease))

    async def take_over(self, left: StoredResponse) -> None:
        """Begins background work again that had said nothing; ends everything else."""
        assert left.lease is not None
        again = left.request is not None and not left.output and not left.cancel_requested
        error = ResponsesError(_WORKER_STOPPED)
        if again and left.lease.attempt <= MAX_ATTEMPTS:
            try:
                await self._begin_again(left)
            except ResponsesError as refused:
                error = refused
            else:
                return
        _, assembler = retell(grown(left.body), left.output, left.cuts)
        if left.cancel_requested:
            assembler.cancel()
        else:
            assembler.fail(error)
        ended = outcome_of(assembler)
        ended = dataclasses.replace(ended, usage=row_of_left(left, ended.status))
        await self._store.finish(left.id, ended, owner=left.owner, lease=left.lease)

    async def _begin_again(self, left: StoredResponse) -> None:
        assert left.lease is not None
        history = await self._store.history(left.id, owner=left.owner)
        if history is None:
            return
        request = CreateRequest.of(left.request)
        self._runtime.router.check(request.model)
        preparation = Preparation(self._runtime, left.owner)
        *before, own = history.turns
        # Its parent was checked when it was first asked for; what that left open is left out.
        chain = History("incomplete", before)
        if left.conversation is not None:
            said = await preparation.said_in(left.conversation)
            chain = History("incomplete", said.turns)
        turn = preparation.turn(request, chain, own.input)
        record = Record(self._store, left.owner, left.id, left.lease)
        self._start(
            request,
            grown(left.body),
            turn,
            record,
            Caller(left.owner, key=left.api_key, tags=left.tags, end_user=left.end_user),
            answers=preparation.answers(request),
            notes=preparation.notes,
            before=history,
        )

    def _start(
        self,
        request: CreateRequest,
        body: dict[str, Any],
        turn: Turn,
        record: Record | None,
        caller: Caller,
        *,
        answers: Answers | None,
        notes: Mapping[str, str],
        chain: History | None = None,
        before: History | None,
    ) -> Generation:
        owner = caller.owner
        seal = Sealer(self._runtime.seal_key, owner).seal if turn.encrypted_reasoning else None
        hooked = None
        if answers is not None:
            check = self._runtime.router.check
            hooked = self._runtime.hooks.around(answers, caller, check=check)
        generation = Generation(
            turn,
            self._assembler(body, turn, seal),
            hooked or answers,
            record,
            self._runtime.settings,
            notes=notes,
            noting=self._noting(request, body, caller, before, stored=record is not None),
            chain=chain,
            review=None if hooked is None else hooked.review,
        )
        self._runtime.start(generation)
        return generation

    def _noting(
        self,
        request: CreateRequest,
        body: dict[str, Any],
        caller: Caller,
        before: History | None,
        *,
        stored: bool,
    ) -> Noting:
        record = TurnRecord(
            id=body["id"],
            caller=caller,
            model=request.model,
            created_at=body["created_at"],
            started_s=time.monotonic(),
            stored=stored,
            streamed=request.stream,
            background=request.background,
            previous_response_id=request.previous_response_id,
            conversation=request.conversation_id,
            chain=chain_of(request, body["id"], before),
            previous_deployment=None if before is None else before.deployment,
            end_user=end_user_of(request, caller),
        )
        settings, asked = self._runtime.settings, None
        if settings.log_content:
            asked = Content(request.items, instructions=request.instructions)
        watch, ledger = self._runtime.watch, self._runtime.ledger
        return Noting(record, watch, asked=asked, redact=settings.redact_content, ledger=ledger)

    # --- reading

    async def get(self, id: str, *, owner: str) -> dict[str, Any]:
        return (await self.read(id, owner=owner))[0]

    async def read(self, id: str, *, owner: str) -> tuple[dict[str, Any], int | None]:
        """The response, and its cost in nano-dollars once that is known."""
        stored = await self._stored(id, owner)
        running = self._runtime.generations.get(id)
        if running is not None and stored.status in RUNNING:
            response = running.response
            if response["status"] in RUNNING:
                return response, None
            # Its end is being stored: what was read may be continued, so it must be there.
            await running.ended()
            stored = await self._stored(id, owner)
        response = {**grown(stored.body), "status": stored.status, "output": stored.output}
        return response, stored.cost_nano

    async def tell(self, id: str, *, owner: str, after: int) -> Listener | Follower:
        """Hears the events above `after`: those that were, then those that come, on any worker."""
        stored = await self._stored(id, owner)
        running = self._runtime.generations.get(id)
        if running is not None:
            return running.listen(after)
        keep_alive_s = self._runtime.settings.keep_alive_s
        return Follower(self._store, stored, after=after, keep_alive_s=keep_alive_s)

    async def input_items(
        self, id: str, *, owner: str, limit: int, descending: bool, after: str | None
    ) -> dict[str, Any]:
        page = self._store.input_page(
            id, owner=owner, limit=limit, descending=descending, after=after
        )
        try:
            found = await kept(page)
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

    # --- ending

    async def cancel(self, id: str, *, owner: str) -> dict[str, Any]:
        """Answers with the response once it has stopped; a second call changes nothing."""
        stored = await self._stored(id, owner)
        if not grown(stored.body)["background"]:
            raise InvalidRequest(
                f"Response '{id}' was not made with background: true; only those can be cancelled. "
                "Close the connection instead."
            )
        running = self._runtime.generations.get(id)
        if running is not None:
            running.cancel()
            await running.ended()
        elif await kept(self._store.request_cancel(id, owner=owner)):
            await self._until_stopped(id, owner)
        return await self.get(id, owner=owner)

    async def _until_stopped(self, id: str, owner: str) -> None:
        """Its worker hears of it within `HEAR_S`; a dead one's is ended when its lease is over."""
        for _ in range(_CANCEL_CHECKS):
            if (await self._stored(id, owner)).status not in RUNNING:
                return
            await asyncio.sleep(HEAR_S / 5)

    async def delete(self, id: str, *, owner: str) -> dict[str, Any]:
        if not _is_response(id) or not await kept(self._store.delete(id, owner=owner)):
            raise _not_found(id)
        self._runtime.chains.forget(id, owner=owner)
        running = self._runtime.generations.get(id)
        if running is not None:
            running.cancel()
        return {"id": id, "object": "response", "deleted": True}

    # --- parts

    async def _stored(self, id: str, owner: str) -> StoredResponse:
        found = await kept(self._store.get(id, owner=owner)) if _is_response(id) else None
        if found is None:
            raise _not_found(id)
        return found

    def _assembler(self, body: dict[str, Any], turn: Turn, seal: Seal | None) -> ResponseAssembler:
        return ResponseAssembler(
            body,
            callable_tools=turn.callable_tools,
            raw_reasoning=self._runtime.settings.raw_reasoning,
            seal=seal,
            max_bytes=self._runtime.settings.max_output_bytes,
        )

    def _record(
        self,
        request: CreateRequest,
        body: dict[str, Any],
        items: list[Item],
        asked: Asked,
        created: float,
    ) -> Record:
        if request.background:
            body["status"] = "queued"
        lease = Lease(self._runtime.worker, lease_until(self._runtime.settings))
        new = NewResponse(
            id=body["id"],
            body=shrunk(body),
            input=items,
            created_at=datetime.fromtimestamp(created, UTC),
            lease=lease,
            parent=request.previous_response_id,
            conversation=request.conversation_id,
            status="queued" if request.background else "in_progress",
            request=request.sent() if request.background else None,
            end_user=end_user_of(request, asked.caller),
            chain=asked.chain,
            api_key=asked.caller.key,
            tags=asked.caller.tags,
        )
        owner = asked.caller.owner
        on_end = self._runtime.chains.keeper(asked.before, new, owner=owner)
        return Record(self._store, owner, new.id, lease, new, on_end)


def _is_response(id: str) -> bool:
    return id.startswith("resp_")


def _with_input(history: History | None, items: list[Item]) -> History:
    before = [] if history is None else history.turns
    return History("in_progress", [*before, StoredTurn(items, [])])


def _not_found(id: str) -> NotFound:
    return NotFound(f"Response with id '{id[:100]}' not found.")
