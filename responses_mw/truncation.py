"""`truncation: "auto"`: asks again with less of the conversation when it was too long.

Only how much is left out is decided here; what can be left out, `exchanges` says. Nothing is left
out once the model has begun to answer, nor for any other reason than length.
"""

import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Sequence

from responses_mw.counting import estimate
from responses_mw.deltas import Delta, UpstreamInfo
from responses_mw.errors import ResponsesError
from responses_mw.exchanges import Droppable
from responses_mw.records import TurnRecord
from responses_mw.router import Answers, Deployment
from responses_mw.turn import Turn

TRIES = 5
"""Each leaves out half of what the one before it kept and could have left out; the last, all."""
HEADER = "x-responses-mw-truncated"

Batches = AsyncGenerator[tuple[Deployment, list[Delta]], None]


class Truncating:
    """`notes` are headers of the answer: how many turns were left out is written there before the
    first delta. `window` is how many tokens the model takes, where that is known."""

    def __init__(self, answers: Answers, notes: dict[str, str], *, window: int | None) -> None:
        self._answers = answers
        self._notes = notes
        self._window = window

    async def batches(self, turn: Turn, record: TurnRecord) -> Batches:
        """The turn's whole conversation where it fits."""
        droppable = Droppable.of(turn.spans)
        count = self._to_fit(turn, droppable)
        for attempt in range(TRIES):
            begun = False
            shorter = turn
            if count:
                shorter = dataclasses.replace(turn, spans=droppable.without(count))
            try:
                async with contextlib.aclosing(self._held(shorter, record)) as batches:
                    async for batch in batches:
                        if not begun and count:
                            self._notes[HEADER] = f"turns={count}"
                        begun = True
                        yield batch
            except ResponsesError as error:
                over = count == len(droppable.units) or attempt == TRIES - 1
                if begun or over or error.code != "context_length_exceeded":
                    raise
                count = _more(droppable.sizes, count, last=attempt == TRIES - 2)
            else:
                return

    async def _held(self, turn: Turn, record: TurnRecord) -> Batches:
        """Holds back what only says that the upstream took the request: it may still refuse it."""
        held: list[Delta] = []
        deployment: Deployment | None = None
        async with contextlib.aclosing(self._answers.batches(turn, record)) as batches:
            async for deployment, deltas in batches:
                held += deltas
                if any(not isinstance(delta, UpstreamInfo) for delta in held):
                    yield deployment, held
                    held = []
        if held and deployment is not None:
            yield deployment, held

    def _to_fit(self, turn: Turn, droppable: Droppable) -> int:
        """How many units must go for the estimate to be within the window."""
        if self._window is None:
            return 0
        tokens: float = estimate(turn)
        count = 0
        for size in droppable.sizes:
            if tokens <= self._window:
                break
            tokens -= size
            count += 1
        return count


def _more(sizes: Sequence[float], count: int, *, last: bool) -> int:
    """At least one unit more, and as many as are half of the rest."""
    if last:
        return len(sizes)
    goal = sum(sizes[count:]) / 2
    gone = 0.0
    while count < len(sizes):
        gone += sizes[count]
        count += 1
        if gone >= goal:
            break
    return count
