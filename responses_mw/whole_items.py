"""Items that a provider says whole: each must be one that can be kept, listed and sent again.

Whoever reads a conversation later relies on what `items` asks of those that clients send. The same
is asked here of a provider, at the turn that says it. Types that no table names are let pass. What
streams have events for is told in those: clients put it together from them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from responses_mw import items
from responses_mw.checks import (
    Shape,
    Wrong,
    check_shape,
    missing,
    not_among,
    not_too_deep,
    wrong_type,
)
from responses_mw.deltas import (
    AnnotationAdded,
    Delta,
    ItemFinished,
    MessageStarted,
    OutputItem,
    PartFinished,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from responses_mw.errors import UpstreamProtocolError
from responses_mw.items import Item

Calls = set[tuple[str, str]]
"""Of one response so far: calls or outputs, and an id that only one of them may have."""

IN_PIECES = ("message", "reasoning", "function_call")
_CALL_FIELDS = ("id", "type", "status", "call_id", "name", "arguments")


def checked(item: Mapping[str, Any], id: str, calls: Calls) -> Item:
    """A copy that nobody else can change, under this id; a message's content is a list in it. Adds
    to `calls`. Raises UpstreamProtocolError."""
    try:
        own = {**_copied(item), "id": id}
        _check(own, calls)
    except Wrong as wrong:
        at = f"'{wrong.at}' " if wrong.at else ""
        raise UpstreamProtocolError(
            f"the provider said an item that cannot be kept: {at}{wrong.problem}"
        ) from None
    if own["type"] == "message":
        own["content"] = items.normalise(own, id)["content"]
    return own


def _copied(item: Mapping[str, Any]) -> Item:
    try:
        copied: Item = orjson.loads(orjson.dumps(dict(item)))
    except TypeError as error:  # orjson's words name types, never values
        raise Wrong("", f"it is no JSON ({error})") from None
    return copied


def _check(item: Item, calls: Calls) -> None:
    not_too_deep(item)
    kind = item.get("type")
    if not kind:
        raise missing("type")
    if type(kind) is not str:
        raise wrong_type("type", kind, "a string")
    check_shape(item, items.SHAPES.get(kind, Shape()))
    check_shape(item, items.LINKS)
    if kind == "message" and item["role"] != "assistant":
        raise not_among("role", item["role"], ["assistant"])
    side = items.CALL_SIDES.get(kind)
    if side is None or item.get("call_id") is None:
        return
    call = (side, item["call_id"])
    if call in calls:
        raise Wrong("call_id", f"is used by two {side} of this answer; each needs its own")
    if kind not in IN_PIECES:  # the others are noted when they begin
        calls.add(call)


def in_pieces(item: Mapping[str, Any], key: str | int) -> Iterator[Delta]:
    """What says a checked item; its id, status and seal are for whoever hears it to give. `key` is
    a call's."""
    match item["type"]:
        case "message":
            yield MessageStarted(item.get("phase"))
            yield from _parts(item["content"])
            yield ItemFinished()
        case "reasoning":
            yield ReasoningDelta("")  # there may be no part
            yield from _parts([*(item.get("summary") or ()), *(item.get("content") or ())])
            yield ItemFinished()
        case "function_call":
            extra = {name: value for name, value in item.items() if _is_extra(name, value)}
            yield ToolCallStarted(key, item["name"], item["call_id"], extra)
            yield ToolCallDelta(key, item["arguments"])
            yield ItemFinished(key)
        case _:
            yield OutputItem(item)


def _is_extra(name: str, value: Any) -> bool:
    return value is not None and name not in _CALL_FIELDS


def _parts(parts: Sequence[Mapping[str, Any]]) -> Iterator[Delta]:
    for n, part in enumerate(parts):
        if n:
            yield PartFinished()
        match part["type"]:
            case "refusal":
                yield RefusalDelta(part["refusal"])
            case "summary_text":
                yield ReasoningDelta(part["text"])
            case "reasoning_text":
                yield ReasoningDelta(part["text"], raw=True)
            case _:
                yield TextDelta(part["text"], part.get("logprobs") or ())
                yield from map(AnnotationAdded, part.get("annotations") or ())
