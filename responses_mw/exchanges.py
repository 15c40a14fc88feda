"""A conversation in the pieces that can be taken out of it without breaking it.

What belongs together stands here: a call and its output, an answer and its native form, a question
and what was said to it. What is taken out, and when, is for others to say.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from responses_mw.counting import estimate_items
from responses_mw.turn import Item, Span

Pieces = Sequence[Span]
"""Spans of one item each, or of a whole answer that has a native form."""


def pieces_of(spans: Sequence[Span]) -> list[Span]:
    pieces: list[Span] = []
    for span in spans:
        pieces += [span] if span.native is not None else [Span([item]) for item in span.items]
    return pieces


def joined(pieces: Pieces) -> list[Span]:
    """The other way: items without a native form in one span for each run."""
    spans: list[Span] = []
    run: list[Item] = []
    for piece in pieces:
        if piece.native is None:
            run += piece.items
            continue
        if run:
            spans.append(Span(run))
            run = []
        spans.append(piece)
    return [*spans, Span(run)] if run else spans


def is_rule(piece: Span) -> bool:
    """A system or developer message: it holds for all that follows, wherever it stands."""
    return piece.items[0].get("role") in ("system", "developer")


def is_question(piece: Span) -> bool:
    return piece.items[0].get("role") == "user"


def newest(pieces: Pieces) -> int:
    """Where the newest input begins, with the calls that it answers; the last answer's beginning if
    there is none."""
    start = len(pieces)
    if start and not _is_input(pieces[-1]):
        return _answer_start(pieces, start)
    while start and _is_input(pieces[start - 1]):
        start -= 1
    called = dict(_calls(pieces))
    while True:
        ids = [id for id, _ in _outputs(pieces[start:])]
        first = min([called.get(id, start) for id in ids], default=start)
        if first >= start:
            return start
        start = _answer_start(pieces, first + 1)


@dataclass(frozen=True, slots=True)
class Droppable:
    """What may be left out, oldest first: whole exchanges, then the oldest steps of the last one.

    Rules, the newest question and the newest input with its calls always stay.
    """

    pieces: Pieces
    units: Sequence[range]

    @classmethod
    def of(cls, spans: Sequence[Span]) -> "Droppable":
        pieces = pieces_of(spans)
        end = newest(pieces)
        open_at = _open_pairs(pieces)
        starts = [n for n in range(end + 1) if not open_at[n] and _begins_exchange(pieces, n)]
        last = starts[-1] if starts else 0
        units = _ranges([0, *starts] if starts and starts[0] else starts)
        steps = [n for n in range(last, end + 1) if not open_at[n] and _begins_step(pieces, n)]
        units += _ranges(steps if not steps or steps[-1] == end else [*steps, end])
        return cls(pieces, [unit for unit in units if not all(map(is_rule, _in(pieces, unit)))])

    @property
    def sizes(self) -> list[float]:
        """In tokens, estimated."""
        return [
            sum(estimate_items(piece.items) for piece in _in(self.pieces, unit))
            for unit in self.units
        ]

    def without(self, count: int) -> list[Span]:
        """The conversation without its `count` oldest units."""
        gone = {n for unit in self.units[:count] for n in unit}
        questions = (n for n in reversed(range(len(self.pieces))) if is_question(self.pieces[n]))
        gone.discard(next(questions, -1))
        return joined([p for n, p in enumerate(self.pieces) if n not in gone or is_rule(p)])


def _in(pieces: Pieces, unit: range) -> Iterator[Span]:
    return (pieces[n] for n in unit)


def _ranges(starts: Sequence[int]) -> list[range]:
    return [range(start, end) for start, end in itertools.pairwise(starts)]


def _begins_exchange(pieces: Pieces, n: int) -> bool:
    """A run of messages to the model with a question among them."""
    if n and _is_told(pieces[n - 1]):
        return False
    run = itertools.takewhile(_is_told, itertools.islice(pieces, n, None))
    return any(map(is_question, run))


def _begins_step(pieces: Pieces, n: int) -> bool:
    """The first answer to a question, or one to the outputs of tools."""
    return 0 < n < len(pieces) and not _is_input(pieces[n]) and _is_input(pieces[n - 1])


def _is_told(piece: Span) -> bool:
    return is_question(piece) or is_rule(piece)


def _is_input(piece: Span) -> bool:
    return _is_told(piece) or any(True for _ in _outputs([piece]))


def _answer_start(pieces: Pieces, end: int) -> int:
    while end and not _is_input(pieces[end - 1]):
        end -= 1
    return end


def _open_pairs(pieces: Pieces) -> list[bool]:
    """For every place between two pieces: whether a call before it is answered behind it."""
    answered = dict(_outputs(pieces))
    open_at = [False] * (len(pieces) + 1)
    for id, n in _calls(pieces):
        for between in range(n + 1, answered.get(id, n) + 1):
            open_at[between] = True
    return open_at


def _calls(pieces: Pieces) -> Iterator[tuple[str, int]]:
    for n, piece in enumerate(pieces):
        for item in piece.items:
            if "call_id" in item and not item["type"].endswith("_output"):
                yield item["call_id"], n


def _outputs(pieces: Pieces) -> Iterator[tuple[str, int]]:
    for n, piece in enumerate(pieces):
        for item in piece.items:
            if "call_id" in item and item["type"].endswith("_output"):
                yield item["call_id"], n
