"""What is remembered of an answer beside its items: the upstream's own, and where it keeps it.

A native turn holds the output items as they were said. Where the upstream keeps the conversation
(`native_state`), it also holds the upstream's response id and a digest of all that went before: the
id is used only while the conversation is still the one that the upstream knows.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson

from responses_mw.adapters.openai_responses_items import as_input, items_suffice
from responses_mw.deltas import NativeTurn
from responses_mw.turn import Item, Span


def native_turn(
    items: Sequence[Item], scope: str, *, response_id: str | None, before: str | None
) -> NativeTurn | None:
    """None if items suffice. `before` is None where the upstream keeps nothing."""
    state: dict[str, Any] = {"items": [as_input(item) for item in items]}
    if before is not None and response_id:
        state |= {"response_id": response_id, "before": before}
    elif items_suffice(items):
        return None
    return NativeTurn(scope, state)


def digest(spans: Sequence[Span]) -> str:
    """Of what was said, whatever the native forms: an erased or altered turn changes it."""
    items = [item for span in spans for item in span.items]
    return hashlib.sha256(orjson.dumps(items, option=orjson.OPT_SORT_KEYS)).hexdigest()


def kept_upstream(spans: Sequence[Span], scope: str) -> tuple[str | None, Sequence[Span]]:
    """The upstream's id of the last response that it still knows, and what came after that."""
    for n in range(len(spans) - 1, -1, -1):
        native = spans[n].native
        if native is not None and native.scope == scope and "response_id" in native.state:
            if native.state["before"] != digest(spans[:n]):
                break
            return str(native.state["response_id"]), spans[n + 1 :]
    return None, spans
