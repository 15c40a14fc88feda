"""Rebuilds what a provider is shown: the stored turns and the new input, as spans.

The rules of what is left out stand here. Calls that were never answered, and reasoning and calls
that were cut off, are no part of what the model said; but the last completed response must have its
calls answered.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from responses_mw import native_refs
from responses_mw.deltas import NativeTurn
from responses_mw.errors import InvalidRequest
from responses_mw.turn import CALLS, Beginning, Item, Span, Written
from stores.base import History, StoredTurn

Unseal = Callable[[Sequence[Item]], Sequence[Span]]


@dataclass(frozen=True, slots=True)
class Settled:
    """The first `turns` of a history, rebuilt once and for all: whatever follows, these are their
    spans. `calls` are the ids of the calls in them, each of which is answered in them. `written` is
    what adapters wrote of them."""

    turns: int = 0
    spans: Sequence[Span] = ()
    calls: frozenset[Any] = frozenset()
    written: dict[str, Written] = field(default_factory=dict, compare=False)

    @property
    def beginning(self) -> Beginning | None:
        return Beginning(len(self.spans), self.written) if self.spans else None


NOTHING = Settled()


def _plain(items: Sequence[Item]) -> Sequence[Span]:
    return [Span(items)]


def rebuild(
    history: History | None,
    new: Sequence[Span],
    *,
    unseal: Unseal = _plain,
    settled: Settled = NOTHING,
) -> list[Span]:
    """`new` is the request's own input; `unseal` opens what was sealed in earlier ones, and what
    an answer compacted: the conversation begins with the latest that opens. `settled` is what
    `settle` made of the history's beginning.

    Raises InvalidRequest for calls and outputs that do not meet.
    """
    if history is None:
        if not any("call_id" in item for span in new for item in span.items):
            return list(new)
        history = History("completed")
    compacted, turns = _from_compaction(history.turns[settled.turns :], unseal)
    before = compacted if compacted is not None else settled.spans
    new_items = [item for span in new for item in span.items]
    stored_items = [item for span in compacted or () for item in span.items]
    stored_items += [item for turn in turns for item in (*turn.input, *turn.output)]
    paired = [item for item in stored_items if "call_id" in item]
    earlier = settled.calls if compacted is None else frozenset()
    calls = earlier.union(item["call_id"] for item in _calls(paired))
    answered = earlier.union(item["call_id"] for item in _outputs(paired))
    _check_new(new_items, calls)
    if history.status == "completed" and history.turns:
        last = history.turns[-1].output
        _check_pending(last, [*last, *new_items])
    answered |= {item["call_id"] for item in _outputs(new_items)}
    spans = [span for turn in turns for span in _spans(turn, calls, answered, unseal)]
    return [*before, *spans, *new]


def settle(turns: Sequence[StoredTurn], before: Settled = NOTHING) -> Settled:
    """As many turns as nothing later can change. A turn waits while a call has no output yet, and
    for ever behind what is cut off, sealed or compacted: those turns are rebuilt each time."""
    spans: list[Span] = []
    settled: set[Any] = set()
    calls: set[Any] = set()
    waiting: set[Any] = set()
    count = before.turns
    for n in range(before.turns, len(turns)):
        turn = turns[n]
        if not _only_messages(turn.input) or not _only_messages(turn.output):
            items = [*turn.input, *turn.output]
            if any(map(_may_change, items)) or not _paired(items, calls, waiting):
                break
        if not waiting:
            for each in turns[count : n + 1]:
                spans += _spans(each, calls, calls, _plain)
            count = n + 1
            settled |= calls
            calls.clear()
    if count == before.turns:
        return before
    spans = [*before.spans, *spans]
    return Settled(count, spans, before.calls.union(settled), dict(before.written))


def _may_change(item: Item) -> bool:
    cut = item.get("status") == "incomplete"
    return cut or "encrypted_content" in item or _is_compaction(item)


def _paired(items: Sequence[Item], calls: set[Any], waiting: set[Any]) -> bool:
    """Notes the calls, and those of them that wait for an output. False for an output without."""
    for item in items:
        if _is_call(item):
            calls.add(item["call_id"])
            waiting.add(item["call_id"])
        elif _is_output(item):
            if item["call_id"] not in calls:
                return False
            waiting.discard(item["call_id"])
    return True


def _from_compaction(
    turns: Sequence[StoredTurn], unseal: Unseal
) -> tuple[Sequence[Span] | None, Sequence[StoredTurn]]:
    """What the latest compaction stands for, and the turns from its own on; its input is in it.
    None and all turns where nothing was compacted."""
    for n in range(len(turns) - 1, -1, -1):
        for item in turns[n].output:
            if item["type"] == "compaction":
                spans = unseal([item])
                if not any(_is_compaction(inner) for span in spans for inner in span.items):
                    return spans, [turns[n]._replace(input=[]), *turns[n + 1 :]]
    return None, turns


def said_in(history: History, hidden: Collection[str]) -> History:
    """Without the items that were deleted from a conversation."""
    if not hidden:
        return history
    taken: dict[str, int] = {}
    turns = [_without(turn, hidden, taken) for turn in history.turns]
    return History(history.status, turns, history.deployment, history.chain)


def _without(turn: StoredTurn, hidden: Collection[str], taken: dict[str, int]) -> StoredTurn:
    kept_input = [item for item in turn.input if _listed_id(item, taken) not in hidden]
    output = [item for item in turn.output if _listed_id(item, taken) not in hidden]
    whole = len(output) == len(turn.output)
    return StoredTurn(kept_input, output, turn.native if whole else None)


def listed(history: History, hidden: Collection[str]) -> list[Item]:
    """What is left of a conversation, each item under an id of its own."""
    taken: dict[str, int] = {}
    items = [item for turn in history.turns for item in (*turn.input, *turn.output)]
    named = [{**item, "id": _listed_id(item, taken)} for item in items]
    return [item for item in named if item["id"] not in hidden]


def _listed_id(item: Item, taken: dict[str, int]) -> str:
    """Clients may send an id twice: who pages by it would go in circles. It stays the first item's,
    and the others' get a number behind it. `taken` are the ids before it, and must have been told
    every item before it."""
    id: str = item["id"]
    given = id
    while id in taken:
        taken[given] += 1
        id = f"{given}_{taken[given]}"
    taken[id] = 0
    return id


def _check_new(items: Sequence[Item], calls: frozenset[Any]) -> None:
    known = calls | {item["call_id"] for item in _calls(items)}
    for item in _outputs(items):
        if item["call_id"] not in known:
            raise InvalidRequest(
                f"No tool call found for function call output with call_id {item['call_id']}.",
                param="input",
            )
    _check_pending(items, items)


def _check_pending(items: Sequence[Item], then: Sequence[Item]) -> None:
    """Each call of `items` needs an output of its own in `then`: an id may come again later."""
    left = Counter(item["call_id"] for item in _outputs(then))
    for item in _calls(items):
        left[item["call_id"]] -= 1
        if left[item["call_id"]] < 0:
            raise InvalidRequest(
                f"No tool output found for function call {item['call_id']}.", param="input"
            )


def _spans(
    turn: StoredTurn, calls: Collection[Any], answered: Collection[Any], unseal: Unseal
) -> Iterator[Span]:
    if _only_messages(turn.input):
        if turn.input:
            yield Span(turn.input)
    else:
        yield from _asked(turn.input, calls, unseal)
    if _only_messages(turn.output):
        said = kept = turn.output
    else:
        said = [item for item in turn.output if not _is_compaction(item)]
        kept = [_unsealed(item) for item in said if not _left_out(item, answered)]
    if not kept:
        return
    native = None
    if turn.native is not None and len(kept) == len(said):
        state = native_refs.unpack(turn.native.state, turn.output)
        native = NativeTurn(turn.native.scope, state)
    yield Span(kept, native)


def _only_messages(items: Sequence[Item]) -> bool:
    """Nothing of them is ever left out, and most turns of long conversations are only that."""
    for item in items:  # noqa: SIM110 - all() makes a generator, which costs more than two items
        if item["type"] != "message":
            return False
    return True


def _asked(items: Sequence[Item], calls: Collection[Any], unseal: Unseal) -> Sequence[Span]:
    kept = [item for item in items if not _is_output(item) or item["call_id"] in calls]
    if any("encrypted_content" in item for item in kept):
        return unseal(kept)
    return [Span(kept)] if kept else ()


def _unsealed(item: Item) -> Item:
    """Of an output, the native turn holds what its seals do."""
    if "encrypted_content" not in item:
        return item
    return {key: value for key, value in item.items() if key != "encrypted_content"}


def _left_out(item: Item, answered: Collection[Any]) -> bool:
    cut = item.get("status") == "incomplete" and item["type"] in ("reasoning", *CALLS)
    return cut or (_is_call(item) and item["call_id"] not in answered)


def _is_compaction(item: Item) -> bool:
    return bool(item["type"] == "compaction")


def _calls(items: Sequence[Item]) -> Iterator[Item]:
    return (item for item in items if _is_call(item))


def _outputs(items: Sequence[Item]) -> Iterator[Item]:
    return (item for item in items if _is_output(item))


def _is_call(item: Item) -> bool:
    """One that its client must answer: a server runs hosted tools and programs by itself."""
    by_server = item["type"] == "program" or item.get("execution") == "server"
    return bool(item.get("call_id")) and not by_server and not item["type"].endswith("_output")


def _is_output(item: Item) -> bool:
    return bool(item.get("call_id")) and item["type"].endswith("_output")
