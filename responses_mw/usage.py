"""What responses used and what it cost, from the end of each to the store's rows.

A stored response is counted in the transaction that ends it. One that is not stored waits here for
a moment, so that many are written at once; unless it was asked with a key, whose next request must
find it charged.
"""

import dataclasses
from datetime import UTC, datetime

from responses_mw.cost import NANO, Priced, PriceList
from responses_mw.counting import estimate, estimate_text
from responses_mw.deltas import UpstreamInfo, UsageReported
from responses_mw.fees import NO_USES, Uses
from responses_mw.records import TurnRecord
from responses_mw.turn import Turn
from stores.accounts import Usage
from stores.base import SessionStore, StoredResponse

MOST_WAITING = 1000


class Ledger:
    """`shown`: the cost stands in the response's `usage`, too."""

    def __init__(self, store: SessionStore, *, shown: bool = False) -> None:
        self.shown = shown
        self._store = store
        self._prices = PriceList()
        self._waiting: list[Usage] = []

    async def price(
        self,
        record: TurnRecord,
        deployment: Priced | None,
        info: UpstreamInfo,
        uses: Uses = NO_USES,
    ) -> None:
        """Fills in the cost of `record.usage` and of what tools were used; None where a price is
        unknown. What is known of it is charged all the same: no tool makes the rest free."""
        if record.usage is None or deployment is None:
            return
        await self._prices.load_for(deployment)
        prices = self._prices.of(
            deployment,
            reported=info.model,
            input_tokens=record.usage.input_tokens,
            tier=info.service_tier,
        )
        if prices is not None:
            record.cost_nano = prices.cost_nano(record.usage, uses)
            if record.cost_nano is None:
                record.charged_nano = prices.known_nano(record.usage, uses)

    async def add(self, usage: Usage) -> None:
        """Of a response that is not stored. Raises StoreError where a key cannot be charged."""
        if not self._store.keeps_accounts:
            return
        if usage.api_key is not None or len(self._waiting) >= MOST_WAITING:
            await self._store.add_usage([usage])
        else:
            self._waiting.append(usage)

    async def flush(self) -> None:
        """What could not be written waits for the next time."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            try:
                await self._store.add_usage(waiting)
            except BaseException:
                self._waiting = waiting + self._waiting
                raise


def row(record: TurnRecord, status: str) -> Usage:
    usage = record.usage or UsageReported(0, 0)
    return Usage(
        response=record.id,
        owner=record.caller.owner,
        created_at=datetime.fromtimestamp(record.created_at, UTC),
        ended_at=datetime.now(UTC),
        status=status,
        model=record.model,
        end_user=record.end_user,
        api_key=record.caller.key,
        deployment=record.deployment,
        chain=record.chain,
        tags=record.caller.tags,
        input_tokens=usage.input_tokens,
        cached_tokens=usage.cached_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cost_nano=record.cost_nano,
        charged_nano=record.charged_nano,
        estimated=record.estimated,
    )


def row_of_left(left: StoredResponse, status: str) -> Usage:
    """Of a response whose worker died: what it used is not known any more."""
    return Usage(
        response=left.id,
        owner=left.owner,
        created_at=left.created_at,
        ended_at=datetime.now(UTC),
        status=status,
        model=str(left.body.get("model", "")),
        end_user=left.end_user or left.body.get("safety_identifier") or left.body.get("user"),
        api_key=left.api_key,
        chain=left.chain,
        tags=left.tags,
    )


def of_cut_answer(turn: Turn, reported: UsageReported | None, chars: int) -> UsageReported:
    """Upstreams say what they used at the end: of an answer that was cut short, what they said
    until then, and for the rest an estimate."""
    said = reported or UsageReported(estimate(turn), 0)
    return dataclasses.replace(said, output_tokens=max(said.output_tokens, estimate_text(chars)))


def dollars(nano: int) -> str:
    """With all digits and no exponent, for headers."""
    whole, rest = divmod(nano, NANO)
    return f"{whole}.{rest:09}".rstrip("0").rstrip(".")
