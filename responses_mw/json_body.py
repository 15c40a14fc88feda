"""JSON from the bytes of a request: what is none, and text that no encoding can hold, is refused
with its place.

Nothing here knows a parameter.
"""

import json
import re
from typing import Any

import orjson

from responses_mw import checks
from responses_mw.checks import Wrong
from responses_mw.errors import InvalidRequest

_SURROGATE = re.compile("[\ud800-\udfff]")


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
    if b"\\ud" not in body.lower():
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
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        at, value = waiting.pop()
        match value:
            case str() if _SURROGATE.search(value):
                return at
            case dict() if any(_SURROGATE.search(key) for key in value):
                return at
            case dict():
                pairs = [(checks.join(at, key), inner) for key, inner in value.items()]
                waiting.extend(reversed(pairs))
            case list():
                pairs = [(f"{at}[{n}]", inner) for n, inner in enumerate(value)]
                waiting.extend(reversed(pairs))
            case _:
                pass
    return None
