"""What a hook says in the model's place, as deltas: a text, deltas, or a response that was answered
before, as a cache keeps it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard

from responses_mw.deltas import (
    AnnotationAdded,
    Delta,
    ItemFinished,
    MessageStarted,
    OutputItem,
    PartFinished,
    ReasoningDelta,
    RefusalDelta,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from responses_mw.typed import Reply

Answer = str | Sequence[Delta] | Mapping[str, Any] | Reply
"""A mapping is a response: what `after_response` was given."""


def is_answer(made: Any) -> TypeGuard[Answer]:
    if isinstance(made, Mapping | Reply):
        return "output" in made
    return isinstance(made, Sequence) and not isinstance(made, bytes)


def deltas_of(answer: Answer) -> list[Delta]:
    match answer:
        case str():
            return [TextDelta(answer)]
        case Reply():
            return _said_again(answer.model_dump())
        case Mapping():
            return _said_again(answer)
        case _:
            return list(answer)


def _said_again(response: Mapping[str, Any]) -> list[Delta]:
    """Its ids, usage and sealed reasoning were those of another turn, and are left out."""
    told = [delta for n, item in enumerate(response["output"]) for delta in _item(n, item)]
    details = response.get("incomplete_details")
    return [*told, Stopped(details["reason"]) if details else Stopped()]


def _item(n: int, item: Mapping[str, Any]) -> Iterator[Delta]:
    match item["type"]:
        case "message":
            yield MessageStarted(item.get("phase"))
            yield from _parts(item["content"])
            yield ItemFinished()
        case "reasoning":
            yield from _parts([*(item.get("summary") or ()), *(item.get("content") or ())])
            yield ItemFinished()
        case "function_call":
            yield ToolCallStarted(n, item["name"], item["call_id"])
            yield ToolCallDelta(n, item["arguments"])
            yield ItemFinished(n)
        case _:
            yield OutputItem(item)


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
