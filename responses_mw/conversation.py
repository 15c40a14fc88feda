"""Rebuilds what a provider is shown: the stored turns and the new input, as spans.

The rules of what is left out stand here. Calls that were never answered, and reasoning and calls
that were cut off, are no part of what the model said; but the last completed response must have its
calls answered.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from responses_mw import native_refs
from responses_mw.deltas import NativeTurn
from responses_mw.errors import InvalidRequest
from responses_mw.turn import Item, Span
from stores.base import History, StoredTurn

Unseal = Callable[[Sequence[Item]], Sequence[Span]]


def _plain(items: Sequence[Item]) -> Sequence[Span]:
    return [Span(items)]


def rebuild(history: History | None, new: Sequence[Span], *, unseal: Unseal = _plain) -> list[Span]:
    """`new` is the request's own input; `unseal` opens what was sealed in earlier ones, and what
    an answer compacted: the conversation begins with the latest that opens.

    Raises InvalidRequest for calls and outputs that do not meet.
    """
    compacted, turns = _from_compaction([] if history is None else history.turns, unseal)
    new_items = [item for span in new for item in span.items]
    stored_items = [item for span in compacted for item in span.items]
    stored_items += [item for turn in turns for item in (*turn.input, *turn.output)]
    paired = [item for item in stored_items if "call_id" in item]
    calls = {item["call_id"] for item in _calls(paired)}
    answered = {item["call_id"] for item in _outputs(paired)}
    answered |= _check_new(new_items, calls)
    if history is not None and history.status == "completed":
        _check_pending(history.turns[-1].output, answered)
    spans = [span for turn in turns for span in _spans(turn, calls, answered, unseal)]
    return [*compacted, *spans, *new]


def _from_compaction(
    turns: Sequence[StoredTurn], unseal: Unseal
) -> tuple[Sequence[Span], Sequence[StoredTurn]]:
    """What the latest compaction stands for, and the turns from its own on; its input is in it."""
    for n in range(len(turns) - 1, -1, -1):
        for item in turns[n].output:
            if item["type"] == "compaction":
                spans = unseal([item])
                if not any(_is_compaction(inner) for span in spans for inner in span.items):
                    return spans, [turns[n]._replace(input=[]), *turns[n + 1 :]]
    return (), turns


def said_in(history: History, hidden: Collection[str]) -> History:
    """Without the items that were deleted from a conversation."""
    if not hidden:
        return history
    turns = [_without(turn, hidden) for turn in history.turns]
    return History(history.status, turns, history.deployment, history.chain)


def _without(turn: StoredTurn, hidden: Collection[str]) -> StoredTurn:
    kept_input = [item for item in turn.input if item.get("id") not in hidden]
    output = [item for item in turn.output if item.get("id") not in hidden]
    whole = len(output) == len(turn.output)
    return StoredTurn(kept_input, output, turn.native if whole else None)


def _check_new(items: Sequence[Item], calls: set[Any]) -> set[Any]:
    known = calls | {item["call_id"] for item in _calls(items)}
    answered = {item["call_id"] for item in _outputs(items)}
    for item in _outputs(items):
        if item["call_id"] not in known:
            raise InvalidRequest(
                f"No tool call found for function call output with call_id {item['call_id']}.",
                param="input",
            )
    _check_pending(items, answered)
    return answered


def _check_pending(items: Sequence[Item], answered: set[Any]) -> None:
    for item in _calls(items):
        if item["call_id"] not in answered:
            raise InvalidRequest(
                f"No tool output found for function call {item['call_id']}.", param="input"
            )


def _spans(turn: StoredTurn, calls: set[Any], answered: set[Any], unseal: Unseal) -> Iterator[Span]:
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


def _asked(items: Sequence[Item], calls: set[Any], unseal: Unseal) -> Sequence[Span]:
    kept = [item for item in items if not _is_output(item) or item["call_id"] in calls]
    if any("encrypted_content" in item for item in kept):
        return unseal(kept)
    return [Span(kept)] if kept else ()


def _unsealed(item: Item) -> Item:
    """Of an output, the native turn holds what its seals do."""
    if "encrypted_content" not in item:
        return item
    return {key: value for key, value in item.items() if key != "encrypted_content"}


def _left_out(item: Item, answered: set[Any]) -> bool:
    cut = item.get("status") == "incomplete" and item["type"] in ("reasoning", "function_call")
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
