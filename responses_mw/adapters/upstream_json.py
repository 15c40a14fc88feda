"""JSON from upstreams, which may hold halves of surrogate pairs: their tokens split characters.

Shared by the adapters; knows no format.
"""

import json
import re
from typing import Any

import orjson

from responses_mw.errors import UpstreamProtocolError

_SURROGATE = re.compile("[\ud800-\udfff]")
_DEEPEST = 200
"""Levels that whatever comes may have and still be written as JSON inside of something else."""
_MOST_TOKENS = 10**12


def read_json(raw: bytes, *, provider: str) -> Any:
    """Strings may hold lone surrogates; see `whole_characters`."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        pass  # orjson refuses halves of pairs, the standard library does not
    try:
        return json.loads(raw.decode("utf-8", "replace"), parse_int=_number)
    except (ValueError, RecursionError) as error:
        raise UpstreamProtocolError(
            f"{provider} sent something that is not JSON: {error}", provider=provider
        ) from error


def read_count(raw: bytes, name: str, *, provider: str) -> int:
    """Of tokens: what the field `name` of an answer says."""
    answer = read_json(raw, provider=provider)
    count = answer.get(name) if isinstance(answer, dict) else None
    if type(count) is not int or count < 0:
        raise UpstreamProtocolError(
            f"{provider} counted tokens and said no {name}", provider=provider
        )
    return count


def _number(digits: str) -> int | float:
    """As orjson reads it, so that it can be written again."""
    return int(digits) if len(digits) < 19 else float(digits)


def whole_characters(value: Any, *, levels: int = _DEEPEST) -> Any:
    """The same JSON; halves of one string that meet are joined, lone ones become U+FFFD.

    Raises ValueError if it has more `levels` than could be sent on.
    """
    match value:
        case str():
            return _whole(value)
        case dict() | list() if levels == 0:
            raise ValueError(f"its JSON has more than {_DEEPEST} levels")
        case dict():
            return {
                _whole(key): whole_characters(entry, levels=levels - 1)
                for key, entry in value.items()
            }
        case list():
            return [whole_characters(entry, levels=levels - 1) for entry in value]
    return value


def text_or_none(value: Any) -> str | None:
    """A field that an answer can do without, such as a title: what is no text is not there."""
    return _whole(value) or None if isinstance(value, str) else None


def a_text(value: Any) -> str:
    """Raises TypeError; for a field without which nothing can be made of an answer."""
    if isinstance(value, str):
        return _whole(value)
    raise TypeError(f"a text was expected where {type(value).__name__} stands")


def a_name(value: Any) -> str:
    """A text that is not empty."""
    if not value:
        raise ValueError("a name is missing")
    return a_text(value)


def a_number(value: Any) -> float:
    """Raises TypeError."""
    if isinstance(value, int | float):
        return value
    raise TypeError(f"a number was expected where {type(value).__name__} stands")


def index_or_zero(value: Any) -> int:
    """A place in a text: where none is said, or none that could be, it is the beginning."""
    return value if type(value) is int and value > 0 else 0


def total(*counts: Any) -> int:
    """The sum, where None is 0; -1 if one is no whole number, or the sum is more than any model
    could have read: what cannot be counted is not, and the answer stays."""
    found = 0
    for count in counts:
        if type(count) is int:
            found += count
        elif count is not None:
            return -1
    return found if found <= _MOST_TOKENS else -1


def _whole(text: str) -> str:
    if text.isascii() or _SURROGATE.search(text) is None:
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def without_half(text: str) -> tuple[str, str]:
    """Whole characters, and the first half of a pair whose second is still to come."""
    if text and "\ud800" <= text[-1] <= "\udbff":
        return whole_characters(text[:-1]), text[-1]
    return whole_characters(text), ""
