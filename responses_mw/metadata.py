"""`metadata`: the few pairs of text that a client may attach to what it makes."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticKnownError

_MOST_PAIRS = 16


def _pairs(given: Any) -> Any:
    """LiteLLM's clients send `tags` as a list: it is kept as text, which `asked` takes apart."""
    if not isinstance(given, dict):
        return given
    # Only the first error is told, and millions of them cost minutes.
    if len(given) > _MOST_PAIRS:
        raise PydanticKnownError(
            "too_long",
            {"field_type": "Dictionary", "max_length": _MOST_PAIRS, "actual_length": len(given)},
        )
    tags = given.get("tags")
    if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
        return {**given, "tags": ",".join(tags)}
    return given


Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=_MOST_PAIRS),
    BeforeValidator(_pairs),
]
