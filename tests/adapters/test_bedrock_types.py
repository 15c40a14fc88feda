"""Every request we can make is one that botocore's service model describes, key by key."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import pytest
from bedrock_oracle import service
from bedrock_turns import PNG, call, file, function, image, message, output, turn
from botocore.model import Shape
from botocore.serialize import create_serializer
from botocore.validate import ParamValidator

from responses_mw.adapters.base import UpstreamRequest
from responses_mw.adapters.bedrock import BedrockConverse
from responses_mw.adapters.bedrock_encode import Guardrail
from responses_mw.adapters.bedrock_invoke import BedrockInvoke
from responses_mw.deltas import NativeTurn
from responses_mw.turn import Item, Span, Turn

MODELS = (
    "anthropic.claude-3-haiku-20240307-v1:0",
    "us.anthropic.claude-3-7-sonnet-20250219-v1:0",
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "eu.anthropic.claude-opus-4-6-v1",
    "us.anthropic.claude-opus-5-5",
    "us.anthropic.claude-sonnet-5-5",
    "us.anthropic.claude-fable-5-1",
    "us.amazon.nova-pro-v1:0",
    "us.amazon.nova-2-lite-v1:0",
    "amazon.titan-text-express-v1",
    "us.meta.llama3-3-70b-instruct-v1:0",
    "mistral.mistral-7b-instruct-v0:2",
    "mistral.mistral-large-2407-v1:0",
    "openai.gpt-oss-120b-1:0",
    "qwen.qwen3-32b-v1:0",
    "us.deepseek.r1-v1:0",
    "cohere.command-r-plus-v1:0",
    "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdefghijkl",
)

TEXT = base64.b64encode(b"hello").decode()
PARTS = (
    image(f"data:image/png;base64,{PNG}", detail="high"),
    file(filename="a.pdf", file_data="JVBERi0="),
    file(filename="a.txt", file_data=TEXT),
    file(filename="b.docx", file_data=TEXT),
    file(filename="c.mp4", file_data=f"data:video/mp4;base64,{TEXT}"),
)
NATIVE = (
    {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}},
    {"reasoningContent": {"redactedContent": "ZGF0YQ=="}},
    {"text": "So."},
    {"toolUse": {"toolUseId": "t_9", "name": "look", "input": {}}},
)
CONVERSATIONS: Mapping[str, list[Item]] = {
    "text": [message("user", "Hi")],
    "roles": [
        message("developer", "Be kind."),
        message("assistant", "I began."),
        message("user", "Hi"),
        message("assistant", "Yes?", {"type": "refusal", "refusal": "No."}),
        message("system", "Stop."),
        message("user", "Why?"),
    ],
    "parts": [
        message("user", *PARTS),
        message("assistant", "Seen."),
        message(
            "user",
            PARTS[1],
            {"type": "input_audio", "input_audio": {"format": "mp3", "data": TEXT}},
        ),
    ],
    "calls": [
        message("user", "go"),
        call("a", '{"at": "home"}'),
        call("b:1", "broken", "odd name!"),
        output("b:1", [{"type": "input_text", "text": "see"}, *PARTS]),
        output("a", ""),
        message("user", "and this", PARTS[1]),
        {"type": "custom_tool_call", "call_id": "c", "name": "look", "input": "up"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": '{"a": 1}'},
        {"type": "reasoning", "summary": []},
        {"type": "web_search_call", "action": {"type": "search", "query": "x"}},
        message("user", "So?"),
    ],
}

TOOLS = [
    function(description="Looks."),
    function("go", parameters=None),
    function("do", strict=True),
    function("be", strict=True, parameters={"properties": {}, "additionalProperties": False}),
]
ALLOWED = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "go"}]}
CHOICES = ("auto", "none", "required", {"type": "function", "name": "go"}, ALLOWED)
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "pattern": "x"}, "at": {"$ref": "#/$defs/at"}},
    "$defs": {"at": {"type": "object", "properties": {"x": {"type": ["number", "null"]}}}},
}
FORMATS: tuple[dict[str, Any] | None, ...] = (
    None,
    {"type": "json_object"},
    {"type": "json_schema", "name": "n", "schema": SCHEMA, "description": "A name."},
)
EFFORTS = (None, "none", "minimal", "low", "medium", "high", "xhigh", "max")
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"instructions": "Be brief.", "stream": True, "max_output_tokens": 5000},
    {"temperature": 0.3, "top_p": 0.9, "user": "u1", "metadata": {"a": "b", "c": "d\u00e9"}},
    {"temperature": 1.5, "service_tier": "priority", "verbosity": "high", "top_logprobs": 2},
    {"service_tier": "flex", "prompt_cache_key": "k", "reasoning_summary": "auto"},
    {"service_tier": "scale", "presence_penalty": 1.0, "frequency_penalty": 1.0, "logprobs": True},
    *({"text_format": wanted} for wanted in FORMATS),
    *({"reasoning_effort": effort, "max_output_tokens": 9000} for effort in EFFORTS),
    *(
        {"tools": TOOLS, "tool_choice": choice, "parallel_tool_calls": parallel}
        for choice, parallel in product(CHOICES, (True, False))
    ),
    *(
        {"tools": TOOLS, "tool_choice": choice, "text_format": wanted, "reasoning_effort": "high"}
        for choice, wanted in product(CHOICES, FORMATS)
    ),
)


def turns(model: str, adapter: BedrockConverse) -> Iterator[Turn]:
    for items, options in product(CONVERSATIONS.values(), OPTIONS):
        yield turn(*items, model=model, **options)
    for options in OPTIONS:
        asked = turn(model=model, **options)
        native = Span([call("t_9")], NativeTurn(adapter.scope(asked), list(NATIVE)))
        yield turn(message("user", "go"), native, output("t_9"), model=model, **options)


# --- the judge


def described(request: UpstreamRequest, operation: str, model: str) -> None:
    """Keys, types, lengths and enumerations by the client's validator, then patterns by us, then
    what the client itself would send for the same: it must be our body."""
    op = service().operation_model(operation)
    asked = {"modelId": model, **from_wire(op.input_shape, request.body)}
    report = ParamValidator().validate(asked, op.input_shape)
    assert not report.has_errors(), report.generate_report()
    check(op.input_shape, asked)
    serialised = create_serializer("rest-json").serialize_to_request(asked, op)
    assert serialised["url_path"] == request.path
    assert json.loads(serialised["body"]) == request.body


def from_wire(shape: Shape, value: Any) -> Any:
    """Blobs as bytes, which is what the client takes; unknown keys stay and are noticed."""
    match shape.type_name:
        case "structure" if not getattr(shape, "is_document_type", False):
            return {
                key: from_wire(shape.members[key], entry) if key in shape.members else entry
                for key, entry in value.items()
            }
        case "list":
            return [from_wire(shape.member, entry) for entry in value]
        case "blob":
            return base64.b64decode(value, validate=True)
    return value


def check(shape: Shape, value: Any) -> None:
    """What the client leaves to the service: patterns, enumerations, one key of a union."""
    match shape.type_name:
        case "structure" if not getattr(shape, "is_document_type", False):
            assert value.keys() <= shape.members.keys(), (shape.name, value.keys())
            assert not shape.is_tagged_union or len(value) == 1, (shape.name, value.keys())
            for key, entry in value.items():
                check(shape.members[key], entry)
        case "list":
            assert len(value) <= shape.metadata.get("max", len(value))
            for entry in value:
                check(shape.member, entry)
        case "map":
            for pair in value.items():
                check(shape.key, pair[0])
                check(shape.value, pair[1])
        case "string":
            check_text(shape, value)
        case "float" | "integer":
            assert value <= shape.metadata.get("max", value), shape.name


def check_text(shape: Shape, value: str) -> None:
    assert len(value) <= shape.metadata.get("max", len(value)), shape.name
    assert not shape.enum or value in shape.enum, (shape.name, value)
    pattern = shape.metadata.get("pattern", r"[\s\S]*")
    assert re.fullmatch(pattern, value), (shape.name, value)


@pytest.mark.untraced
@pytest.mark.parametrize("model", MODELS)
def test_request_is_described_by_the_service_model(model: str) -> None:
    guardrail = Guardrail(id="v9kpg6yrwhs2", version="DRAFT", trace="enabled", stream_mode="sync")
    options: tuple[dict[str, Any], ...] = (
        {"cache": None},
        {"cache": "1h", "guardrail": guardrail, "latency": "optimized"},
    )
    for adapter in (BedrockConverse(**given) for given in options):
        for asked in turns(model, adapter):
            request = adapter.encode(asked)
            described(request, "ConverseStream" if asked.stream else "Converse", model)


@pytest.mark.parametrize("model", MODELS[:3])
def test_question_for_a_count_is_described_by_the_service_model(model: str) -> None:
    adapter = BedrockConverse()
    for asked in turns(model, adapter):
        described(adapter.count(asked), "CountTokens", model)


def test_question_for_a_count_of_an_invocation_is_described_too() -> None:
    request = BedrockInvoke().count(turn(model=MODELS[2]))
    described(request, "CountTokens", MODELS[2])
    body = json.loads(base64.b64decode(request.body["input"]["invokeModel"]["body"]))
    assert body["messages"][0]["role"] == "user"


def test_the_judge_notices_what_is_wrong() -> None:
    model = MODELS[2]
    for wrong in (
        {"text": 5},
        {"text": "a", "image": {}},
        {"colour": "red"},
        {"image": {"format": "bmp", "source": {"bytes": PNG}}},
        {"toolUse": {"toolUseId": "a b", "name": "x", "input": {}}},
        {"document": {"format": "pdf", "source": {"bytes": PNG}}},
    ):
        request = BedrockConverse(cache=None).encode(turn(model=model))
        described(request, "Converse", model)
        request.body["messages"][0]["content"][0] = wrong
        with pytest.raises(AssertionError):
            described(request, "Converse", model)
