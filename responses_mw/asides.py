"""What clients ask besides responses: how many tokens an input has, and a conversation compacted.

Nothing is stored for either. What their bodies look like stands in `aside_schema`.
"""

import contextlib
import time
from collections.abc import AsyncGenerator
from typing import Any

from responses_mw import compaction
from responses_mw.aside_schema import NO_MODEL
from responses_mw.checks import missing
from responses_mw.counting import estimate
from responses_mw.deltas import Delta, UpstreamInfo, UsageReported
from responses_mw.envelope import usage_body
from responses_mw.errors import ResponsesError
from responses_mw.ids import new_id, output_item_id
from responses_mw.keys import admit, check_model
from responses_mw.preparation import Preparation, kept
from responses_mw.records import Caller, TurnRecord
from responses_mw.router import Answers, Deployment
from responses_mw.runtime import Runtime
from responses_mw.schema import CreateRequest
from responses_mw.seals import Sealer
from responses_mw.turn import Item, Turn
from responses_mw.usage import row


class Asides:
    """Of one caller."""

    def __init__(self, runtime: Runtime, caller: Caller) -> None:
        self._runtime = runtime
        self._caller = caller
        self._preparation = Preparation(runtime, caller.owner)

    async def count(self, request: CreateRequest) -> tuple[dict[str, Any], bool]:
        """The answer, and whether its number is an estimate: no upstream of the model counts."""
        if request.model != NO_MODEL:
            check_model(self._caller, request.model)
            self._runtime.router.check(request.model)
        turn = await self._turn(request)
        counted = None
        if request.model != NO_MODEL and any(True for _ in turn.items):
            counted = await self._counted(turn)
        tokens = estimate(turn) if counted is None else counted
        return {"object": "response.input_tokens", "input_tokens": tokens}, counted is None

    async def _counted(self, turn: Turn) -> int | None:
        router = self._runtime.router
        hooked = self._runtime.hooks.around(router, self._caller, check=router.check)
        asked = turn if hooked is None else await hooked.turn(turn)
        return None if asked is None else await router.count(asked)

    async def compact(self, request: CreateRequest) -> dict[str, Any]:
        """The user's messages, then one compaction item. Raises InvalidRequest where there is
        nothing to compact, UpstreamError."""
        check_model(self._caller, request.model)
        self._runtime.router.check(request.model)
        turn = await self._turn(request)
        if not any(True for _ in turn.items):
            raise missing("input").error()
        await kept(admit(self._runtime.store, self._caller))
        record = self._record(request)
        watch = self._runtime.watch
        watch.tell(watch.started, record)
        router = self._runtime.router
        hooked = self._runtime.hooks.around(router, self._caller, check=router.check)
        answers = _Listening(hooked or router)
        try:
            items, record.usage = await compaction.compact(
                answers,
                turn,
                record,
                seal=Sealer(self._runtime.seal_key, self._caller.owner).seal_compaction,
            )
            record.status = "completed"
        except ResponsesError as error:
            record.status, record.error = "failed", error.code or error.type
            raise
        finally:
            record.ended_s = time.monotonic()
            await self._count(record, answers)
            watch.tell(watch.ended, record)
        return {
            "id": record.id,
            "object": "response.compaction",
            "created_at": int(record.created_at),
            "output": _with_ids(items, record.id),
            "usage": usage_body(record.usage),
        }

    async def _count(self, record: TurnRecord, heard: "_Listening") -> None:
        ledger = self._runtime.ledger
        record.usage = record.usage or heard.usage
        if record.usage is not None:
            await ledger.price(record, heard.deployment, heard.info)
            await kept(ledger.add(row(record, record.status)))

    async def _turn(self, request: CreateRequest) -> Turn:
        preparation = self._preparation
        history = await preparation.history(request.previous_response_id)
        if request.conversation_id is not None:
            history = await preparation.said_in(request.conversation_id)
        items = await preparation.items(request, new_id("resp"), history)
        return preparation.turn(request, history, items)

    def _record(self, request: CreateRequest) -> TurnRecord:
        return TurnRecord(
            id=new_id("resp"),
            caller=self._caller,
            model=request.model,
            created_at=time.time(),
            started_s=time.monotonic(),
            stored=False,
            streamed=False,
            background=False,
            previous_response_id=request.previous_response_id,
        )


class _Listening:
    """Answers, and who gave them for how much: a summary that fails was paid for, too."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.deployment: Deployment | None = None
        self.info = UpstreamInfo()
        self.usage: UsageReported | None = None

    async def batches(
        self, turn: Turn, record: TurnRecord
    ) -> AsyncGenerator[tuple[Deployment, list[Delta]], None]:
        async with contextlib.aclosing(self._answers.batches(turn, record)) as batches:
            async for self.deployment, deltas in batches:
                for delta in deltas:
                    if isinstance(delta, UsageReported):
                        self.usage = delta
                    elif isinstance(delta, UpstreamInfo):
                        self.info = delta.after(self.info)
                yield self.deployment, deltas


def _with_ids(items: list[Item], response_id: str) -> list[Item]:
    """The compaction has none yet; the user's messages keep theirs."""
    return [
        {"id": output_item_id(response_id, item["type"], n), **item} for n, item in enumerate(items)
    ]
