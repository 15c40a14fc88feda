"""Keeps a native turn small beside its output: long strings that both have are stored once.

A packed state holds `{"$": n}` for the n-th long string of the output, in reading order.
"""

from collections.abc import Iterator, Sequence
from typing import Any

_LONG = 64
_MARK = "$"


def pack(state: Any, output: Sequence[Any]) -> dict[str, Any]:
    places = {text: n for n, text in reversed(list(enumerate(_long_strings(output))))}
    if not places or _has_marks(state):
        return {"plain": state}
    return {"packed": _replace(state, places)}


def unpack(packed: dict[str, Any], output: Sequence[Any]) -> Any:
    if "plain" in packed:
        return packed["plain"]
    return _restore(packed["packed"], list(_long_strings(output)))


def _long_strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            if len(value) >= _LONG:
                yield value
        case dict():
            for key in sorted(value):
                yield from _long_strings(value[key])
        case list() | tuple():
            for entry in value:
                yield from _long_strings(entry)


def _replace(value: Any, places: dict[str, int]) -> Any:
    match value:
        case str() if value in places:
            return {_MARK: places[value]}
        case dict():
            return {key: _replace(entry, places) for key, entry in value.items()}
        case list():
            return [_replace(entry, places) for entry in value]
    return value


def _restore(value: Any, strings: list[str]) -> Any:
    match value:
        case {"$": int(place)} if len(value) == 1:
            return strings[place]
        case dict():
            return {key: _restore(entry, strings) for key, entry in value.items()}
        case list():
            return [_restore(entry, strings) for entry in value]
    return value


def _has_marks(value: Any) -> bool:
    match value:
        case dict():
            return _MARK in value or any(map(_has_marks, value.values()))
        case list():
            return any(map(_has_marks, value))
    return False
