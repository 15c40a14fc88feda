"""JSON from the bytes of a request: what is none, and text that no encoding can hold, is refused
with its place.

Nothing here knows a parameter.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import orjson

from responses_mw import checks
from responses_mw.checks import Wrong
from responses_mw.errors import InvalidRequest

_SURROGATE = re.compile("[\ud800-\udfff]")
_MOST_SEARCHED = 1024 * 1024
"""Bytes. In more, the place is a number: looking for it in Python takes too long."""


def decoded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        _refuse_surrogates(body)
        raise InvalidRequest(
            f"The body is not valid JSON ({error}).", code=checks.INVALID_VALUE
        ) from None


def _refuse_surrogates(body: bytes) -> None:
    """orjson refuses a lone surrogate without saying where it stands."""
    if len(body) > _MOST_SEARCHED or b"\\ud" not in body.lower():
        return
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return
    at = _lone_surrogate(value)
    if at is not None:
        raise Wrong(
            at, "holds a lone surrogate (\\ud800 to \\udfff), which is no character"
        ).error()


def _lone_surrogate(value: Any) -> str | None:
    """The path of the first string, or of the first object with a key, that cannot be UTF-8."""
    levels: list[tuple[str, Iterator[tuple[Any, Any]]]] = [("", iter([("", value)]))]
    while levels:
        place, entries = levels[-1]
        for key, inner in entries:
            match inner:
                case str() if _SURROGATE.search(inner):
                    return _at(place, key)
                case dict() if any(_SURROGATE.search(name) for name in inner):
                    return _at(place, key)
                case dict():
                    levels.append((_at(place, key), iter(inner.items())))
                    break
                case list():
                    levels.append((_at(place, key), enumerate(inner)))
                    break
                case _:
                    pass
        else:
            levels.pop()
    return None


def _at(place: str, key: str | int) -> str:
    return f"{place}[{key}]" if isinstance(key, int) else checks.join(place, key)
