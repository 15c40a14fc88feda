"""Every request we can make is one that the official SDK's own types describe, key by key."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import product
from typing import Any

import pytest
from anthropic.types import message_create_params
from anthropic.types.beta import message_create_params as beta_create_params
from messages_turns import PNG, SCOPE, call, file, function, image, message, output, turn
from pydantic import BaseModel, TypeAdapter

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.deltas import NativeTurn
from responses_mw.turn import Item, Span, Turn

PLAIN_TYPES: Any = TypeAdapter(message_create_params.MessageCreateParams)
BETA_TYPES: Any = TypeAdapter(beta_create_params.MessageCreateParams)
UNTYPED = ("temperature", "top_p")
"""The SDK's types follow the newest API version, which has no sampling."""

MODELS = (
    "claude-3-haiku-20240307",
    "claude-sonnet-4-0",
    "claude-sonnet-4-5",
    "claude-opus-4-6",
    "claude-opus-4-8",
    "claude-opus-5-5",
    "claude-sonnet-5-5",
    "claude-fable-5-1",
    "smollm2",
)

TEXT = base64.b64encode(b"hello").decode()
PARTS = (
    image(f"data:image/png;base64,{PNG}"),
    image("https://example.org/a.png", detail="high"),
    image(None, file_id="file_1"),
    file(filename="a.pdf", file_data="JVBERi0="),
    file(filename="a.txt", file_data=TEXT),
    file(file_url="https://example.org/a.pdf"),
    file(file_id="file_1"),
)
NATIVE = (
    {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
    {"type": "redacted_thinking", "data": "ZGF0YQ=="},
    {"type": "text", "text": "So."},
    {
        "type": "tool_use",
        "id": "toolu_9",
        "name": "look",
        "input": {},
        "caller": {"type": "direct"},
    },
)
CONVERSATIONS: Mapping[str, list[Item | Span]] = {
    "text": [message("user", "Hi")],
    "roles": [
        message("developer", "Be kind."),
        message("user", "Hi"),
        message("assistant", "Yes?", {"type": "refusal", "refusal": "No."}),
        message("system", "Stop."),
        message("user", "Why?"),
    ],
    "parts": [message("user", "See", *PARTS)],
    "calls": [
        message("user", "go"),
        call("a", '{"at": "home"}'),
        call("b:1", "broken"),
        output("b:1", [{"type": "input_text", "text": "see"}, *PARTS[:4]]),
        output("a"),
        {"type": "custom_tool_call", "call_id": "c", "name": "look", "input": "up"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": ""},
        {"type": "reasoning", "summary": []},
    ],
    "native": [
        message("user", "go"),
        Span([call("toolu_9")], NativeTurn(SCOPE, list(NATIVE))),
        output("toolu_9"),
    ],
}

TOOLS = [
    function(description="Looks."),
    function("go", parameters=None),
    function("do", strict=True),
]
ALLOWED = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "go"}]}
CHOICES = ("auto", "none", "required", {"type": "function", "name": "go"}, ALLOWED)
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "pattern": "x"}, "at": {"$ref": "#/$defs/at"}},
    "$defs": {"at": {"type": "object", "properties": {"x": {"type": ["number", "null"]}}}},
}
FORMATS = (None, {"type": "json_object"}, {"type": "json_schema", "name": "n", "schema": SCHEMA})
EFFORTS = (None, "none", "minimal", "low", "medium", "high", "xhigh", "max")
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"instructions": "Be brief.", "stream": True, "max_output_tokens": 5000},
    {"temperature": 0.3, "top_p": 0.9, "user": "u1", "metadata": {"a": "b"}},
    {"service_tier": "default", "verbosity": "high", "top_logprobs": 2, "logprobs": True},
    {"service_tier": "auto", "prompt_cache_key": "k", "reasoning_summary": "auto"},
    *({"text_format": wanted} for wanted in FORMATS),
    *({"reasoning_effort": effort} for effort in EFFORTS),
    *(
        {"tools": TOOLS, "tool_choice": choice, "parallel_tool_calls": parallel}
        for choice, parallel in product(CHOICES, (True, False))
    ),
    *(
        {"tools": TOOLS, "tool_choice": choice, "text_format": wanted, "reasoning_effort": "high"}
        for choice, wanted in product(CHOICES, FORMATS)
    ),
)


def turns(model: str) -> Iterator[Turn]:
    for items, options in product(CONVERSATIONS.values(), OPTIONS):
        yield turn(*items, model=model, **options)


def typed(body: dict[str, Any]) -> dict[str, Any]:
    """Without what the types do not go into: sampling, and the properties of tools' schemas."""
    body = {key: value for key, value in body.items() if key not in UNTYPED}
    if "tools" in body:
        schema = {"input_schema": {"type": "object"}}
        body["tools"] = [{**t, **schema} if "input_schema" in t else t for t in body["tools"]]
    return body


def consumed(value: Any) -> Any:
    """The SDK types lists as Iterable, which pydantic checks only while it is read."""
    match value:
        case BaseModel():
            return consumed(value.model_dump(exclude_unset=True))
        case dict():
            return {key: consumed(entry) for key, entry in value.items()}
        case str():
            return value
        case Iterable():
            return [consumed(entry) for entry in value]
    return value


def described(types: Any, body: dict[str, Any]) -> Any:
    """What of the body the types know. A key that they do not know is missing in it."""
    return consumed(types.validate_python(body))


@pytest.mark.untraced
@pytest.mark.parametrize("cache", [None, "5m", "1h"])
@pytest.mark.parametrize("model", MODELS)
def test_request_is_described_by_the_official_types(model: str, cache: Any) -> None:
    adapter = AnthropicMessages(cache=cache)
    for asked in turns(model):
        request = adapter.encode(asked)
        body = typed(request.body)
        types = BETA_TYPES if "anthropic-beta" in request.headers else PLAIN_TYPES
        assert described(types, body) == body


def test_the_types_notice_what_is_wrong() -> None:
    """The judge is awake: it sees a wrong value and an unknown key, deep inside."""
    body = AnthropicMessages().encode(turn()).body
    block = body["messages"][0]["content"][0]
    assert described(PLAIN_TYPES, body) == body

    for wrong in ({**block, "text": 5}, {**block, "colour": "red"}, {"type": "weather"}):
        body["messages"][0]["content"][0] = wrong
        with suppress(ValueError):
            assert described(PLAIN_TYPES, body) != body
