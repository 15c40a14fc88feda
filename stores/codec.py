"""JSON and times as the stores keep them. What cannot be kept exactly is refused here."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pydantic_core

from stores.base import NativeState, StoredTurn, StoreError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

_DAMAGED = "the database holds something that is not the JSON it was given: it is damaged"

LARGE = 8192
"""Bytes of a turn from where pydantic_core reads faster than orjson (long strings, base64)."""


def encode(value: Any, name: str) -> bytes:
    """Raises StoreError, which says `name` and nothing of the value, for what is not JSON, holds
    half a surrogate pair, an integer over 64 bits or more than 254 levels."""
    try:
        return orjson.dumps(value)
    except TypeError as error:
        raise StoreError(f"{name} cannot be kept as JSON: {error}") from error


def decode(encoded: bytes) -> Any:
    """Raises StoreError for what a failing disk has made of it."""
    try:
        return _decode_large(encoded) if len(encoded) > LARGE else orjson.loads(encoded)
    except ValueError as error:
        raise StoreError(_DAMAGED) from error


def decode_turns(joined: bytes, *, count: int) -> list[StoredTurn]:
    """Reads input, output and native turn (null or [scope, state]) of each of `count` turns.

    They are joined by commas in one list for all, decoded at once.
    """
    try:
        flat = _decode_large(joined) if len(joined) > LARGE * count else orjson.loads(joined)
    except ValueError as error:
        raise StoreError(_DAMAGED) from error
    natives = [native and NativeState(*native) for native in flat[2::3]]
    return list(map(StoredTurn, flat[::3], flat[1::3], natives))


def _decode_large(encoded: bytes) -> Any:
    try:
        return pydantic_core.from_json(encoded)
    except ValueError:  # it reads 200 levels, orjson writes 254
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
