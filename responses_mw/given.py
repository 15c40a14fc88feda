"""What a hook says in the model's place, as deltas: a text, deltas, or a response that was answered
before, as a cache keeps it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from responses_mw.deltas import Delta, Stopped, TextDelta
from responses_mw.typed import Reply
from responses_mw.whole_items import in_pieces

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
    output = enumerate(response["output"])
    told = [delta for n, item in output if _says(item) for delta in in_pieces(item, n)]
    details = response.get("incomplete_details")
    return [*told, Stopped(details["reason"]) if details else Stopped()]


def _says(item: Mapping[str, Any]) -> bool:
    """Reasoning may be nothing but its seal."""
    return item["type"] != "reasoning" or bool(item.get("summary") or item.get("content"))
