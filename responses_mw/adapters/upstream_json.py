"""JSON from upstreams, which may hold halves of surrogate pairs: their tokens split characters.

Shared by the adapters; knows no format.
"""

import json
import re
from typing import Any

import orjson

from responses_mw.errors import UpstreamProtocolError

_SURROGATE = re.compile("[\ud800-\udfff]")


def read_json(raw: bytes, *, provider: str) -> Any:
    """Strings may hold lone surrogates; see `whole_characters`."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        pass  # orjson refuses halves of pairs, the standard library does not
    try:
        return json.loads(raw.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise UpstreamProtocolError(
            f"{provider} sent something that is not JSON: {error}", provider=provider
        ) from error


def whole_characters(value: Any) -> Any:
    """The same JSON; halves of one string that meet are joined, lone ones become U+FFFD."""
    match value:
        case str() if not value.isascii() and _SURROGATE.search(value) is not None:
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case dict():
            return {key: whole_characters(entry) for key, entry in value.items()}
        case list():
            return [whole_characters(entry) for entry in value]
    return value


def without_half(text: str) -> tuple[str, str]:
    """Whole characters, and the first half of a pair whose second is still to come."""
    if text and "\ud800" <= text[-1] <= "\udbff":
        return whole_characters(text[:-1]), text[-1]
    return whole_characters(text), ""
