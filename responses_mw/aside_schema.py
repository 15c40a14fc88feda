"""What clients ask besides responses: how many tokens an input has, and a conversation compacted.

Only what these requests look like stands here; what they have in common with a request to create a
response is checked as such a one.
"""

from typing import Any

from responses_mw.checks import INVALID_TYPE, UNKNOWN, Wrong, kind, shortened, wrong_type
from responses_mw.errors import InvalidRequest
from responses_mw.json_body import decoded
from responses_mw.schema import CreateRequest

COUNTED = frozenset({
    "model", "input", "previous_response_id", "conversation", "instructions", "tools",
    "tool_choice", "text", "reasoning", "truncation", "parallel_tool_calls", "personality",
})  # fmt: skip
COMPACTED = frozenset({
    "model", "input", "previous_response_id", "instructions", "prompt_cache_key",
    "prompt_cache_options", "prompt_cache_retention", "service_tier", "image",
})  # fmt: skip
NO_MODEL = "-"
MAX_PERSONALITY = 64


def count_request(body: bytes) -> CreateRequest:
    """All may be left out; without a model it is NO_MODEL. `personality` is checked, and no more:
    no upstream knows it. Raises InvalidRequest."""
    given = _given(body, COUNTED)
    try:
        _check_personality(given.pop("personality", ""))
    except Wrong as wrong:
        raise wrong.error() from None
    return CreateRequest.of({"model": NO_MODEL, "input": [], **given})


def compact_request(body: bytes) -> CreateRequest:
    """Raises InvalidRequest."""
    given = _given(body, COMPACTED)
    if "previous_response_id" in given:
        given.setdefault("input", [])
    return CreateRequest.of(given)


def _given(body: bytes, known: frozenset[str]) -> dict[str, Any]:
    """What is not null. Raises InvalidRequest for what the endpoint does not have."""
    value = decoded(body)
    if not isinstance(value, dict):
        raise InvalidRequest(
            f"The body must be a JSON object, not {kind(value)}.", code=INVALID_TYPE
        )
    for name in value:
        if name not in known:
            at = shortened(name)
            problem = "is not a parameter of this endpoint; leave it out"
            raise Wrong(at, problem, UNKNOWN).error()
    return {name: given for name, given in value.items() if given is not None}


def _check_personality(value: Any) -> None:
    if type(value) is not str:
        raise wrong_type("personality", value, "a string")
    if len(value) > MAX_PERSONALITY:
        raise Wrong("personality", f"must have at most {MAX_PERSONALITY} characters")
