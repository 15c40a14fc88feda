"""Fills the record of one response while it is generated, and shows it to the observers.

What is told of a response to whoever watches it is decided here; what they make of it, in
`telemetry`.
"""

import dataclasses
import logging
import time

from responses_mw.assembler import ResponseAssembler
from responses_mw.cost import NANO
from responses_mw.errors import ResponsesError
from responses_mw.fees import NO_USES, uses_of
from responses_mw.records import Content, Redact, TurnRecord
from responses_mw.routing.deployments import Deployment
from responses_mw.store_errors import unavailable
from responses_mw.turn import Turn
from responses_mw.usage import Ledger, of_cut_answer, row
from responses_mw.watch import Watch
from stores.accounts import Usage
from stores.base import StoreError

logger = logging.getLogger("responses_mw")


class Noting:
    """`asked` is set where the record shall hold what was said. `redact` gets that before any
    observer does."""

    def __init__(
        self,
        record: TurnRecord,
        watch: Watch,
        *,
        asked: Content | None = None,
        redact: Redact | None = None,
        ledger: Ledger,
    ) -> None:
        self.record = record
        self._ledger = ledger
        self._deployment: Deployment | None = None
        self._watch = watch
        self._asked = asked
        self._redact = redact

    def start(self) -> None:
        self._watch.tell(self._watch.started, self.record)

    def first_delta(self) -> None:
        self.record.first_delta_s = time.monotonic()
        self._watch.tell(self._watch.heard, self.record)

    def answered(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self.record.deployment, self.record.upstream_model = deployment.id, deployment.model

    async def settle(self, assembler: ResponseAssembler, *, cut: Turn | None = None) -> None:
        """What was used and what it cost, before the end of the response says so. `cut` is the turn
        whose answer did not come to its end."""
        record = self.record
        record.usage = assembler.usage
        if cut is not None and assembler.chars:
            record.usage = of_cut_answer(cut, assembler.usage, assembler.chars)
            record.estimated = True
        tools = assembler.envelope.get("tools")
        uses = uses_of(assembler.output, tools) if tools else NO_USES
        await self._ledger.price(record, self._deployment, assembler.info, uses)
        if self._ledger.shown and assembler.usage is not None and record.cost_nano is not None:
            assembler.usage = dataclasses.replace(assembler.usage, cost=record.cost_nano / NANO)

    def used(self, status: str) -> Usage:
        return row(self.record, status)

    async def count(self, status: str, *, known: bool = True, only_used: bool = False) -> None:
        """What the store does not count when it ends the response. Not `known`: it was deleted
        meanwhile, maybe for the sake of its end user. `only_used`: not if nothing was."""
        if only_used and self.record.usage is None:
            return
        used = self.used(status)
        try:
            await self._ledger.add(used if known else dataclasses.replace(used, end_user=None))
        except StoreError as error:
            raise unavailable(error) from error

    def end(self, assembler: ResponseAssembler, error: ResponsesError | None) -> None:
        """`error` is what kept it from having any output."""
        record = self.record
        record.ended_s = time.monotonic()
        record.status, record.error = assembler.status, assembler.error_code
        if error is not None:
            record.status, record.error = "failed", error.code or error.type
        if self._asked is not None:
            said = dataclasses.replace(self._asked, output=assembler.output)
            record.content = _redacted(said, self._redact)
        self._watch.tell(self._watch.ended, record)


def _redacted(content: Content, redact: Redact | None) -> Content | None:
    if redact is None:
        return content
    try:
        return redact(content)
    except Exception as error:
        # What could not be redacted is not shown, and is no reason to lose the response. Its
        # message may quote what it was given.
        logger.error(
            "redact_content raised %s: nothing that was said is told", type(error).__name__
        )
        return None
