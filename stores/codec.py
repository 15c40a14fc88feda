"""JSON and times as the stores keep them. What cannot be kept exactly is refused here."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pydantic_core

from stores.base import NativeState, StoredTurn, StoreError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

LARGE = 8192
"""Bytes of a turn from where pydantic_core reads faster than orjson (long strings, base64)."""


def encode(value: Any, name: str) -> bytes:
    """Raises StoreError, which says `name` and nothing of the value, if JSON cannot hold it."""
    try:
        return orjson.dumps(value)
    except TypeError as error:
        return _encode_unusual(value, name, error)


def _encode_unusual(value: Any, name: str, cause: TypeError) -> bytes:
    """What orjson does not write but reads: more than 254 levels. The rest comes back changed."""
    try:
        encoded = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        # One level more, because histories are read with turns inside a list.
        if orjson.loads(b"[" + encoded + b"]") == [value]:
            return encoded
    except (TypeError, ValueError, RecursionError):
        pass  # the first error says it better
    raise StoreError(f"{name} cannot be kept as JSON: {cause}") from cause


def decode(encoded: bytes) -> Any:
    return _decode_large(encoded) if len(encoded) > LARGE else orjson.loads(encoded)


def decode_turns(joined: bytes, *, count: int) -> list[StoredTurn]:
    """Reads input, output and native turn (null or [scope, state]) of each of `count` turns.

    They are joined by commas in one list for all, decoded at once.
    """
    flat = _decode_large(joined) if len(joined) > LARGE * count else orjson.loads(joined)
    natives = [native and NativeState(*native) for native in flat[2::3]]
    return list(map(StoredTurn, flat[::3], flat[1::3], natives))


def _decode_large(encoded: bytes) -> Any:
    try:
        return pydantic_core.from_json(encoded)
    except ValueError:  # it reads 200 levels, orjson 1024
        return orjson.loads(encoded)


def text(value: str, name: str) -> str:
    """`value`, if UTF-8 can hold it; raises StoreError where it holds half a surrogate pair."""
    if key(value) is None:
        raise StoreError(f"{name} holds half a surrogate pair, which UTF-8 cannot keep")
    return value


def key(value: str) -> str | None:
    """`value`, or None, which equals nothing in SQL, if it cannot be in a database at all."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value


def to_micros(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


def from_micros(micros: int) -> datetime:
    return EPOCH + micros * MICROSECOND
