"""What is refused of a request to create a response, and in which words."""

from typing import Any

import pytest
from asked import (
    EXCLUSIVE,
    MISSING,
    TIME,
    TYPE,
    UNKNOWN,
    UNSUPPORTED,
    VALUE,
    WEATHER,
    refusal,
)

WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"model": 5}, "model", TYPE),
    ({"model": ""}, "model", VALUE),
    ({"input": 123}, "input", TYPE),
    ({"input": {}}, "input", TYPE),
    ({"input": "x" * (10 * 1024 * 1024 + 1)}, "input", VALUE),
    ({"input": ["Hi."]}, "input[0]", TYPE),
    ({"instructions": ["Be brief."]}, "instructions", TYPE),
    ({"previous_response_id": 1}, "previous_response_id", TYPE),
    ({"previous_response_id": ""}, "previous_response_id", VALUE),
    ({"stream": "yes"}, "stream", TYPE),
    ({"stream": 1}, "stream", TYPE),
    ({"store": "true"}, "store", TYPE),
    ({"background": "no"}, "background", TYPE),
    ({"conversation": 7}, "conversation", TYPE),
    ({"conversation": {"name": "x"}}, "conversation", TYPE),
    ({"conversation": "conv_1", "previous_response_id": "resp_1"}, "conversation", EXCLUSIVE),
    ({"conversation": "conv_1", "store": False}, "conversation", VALUE),
    ({"stream_options": True}, "stream_options", TYPE),
    ({"stream_options": {"include_obfuscation": 0}}, "stream_options.include_obfuscation", TYPE),
    ({"stream_options": {"x": 1}}, "stream_options.x", UNKNOWN),
    ({"background_options": "2h"}, "background_options", TYPE),
    (
        {"background_options": {"completion_window": "1h"}},
        "background_options.completion_window",
        VALUE,
    ),
    ({"background_options": {"priority": 1}}, "background_options.priority", UNKNOWN),
    ({"include": "reasoning.encrypted_content"}, "include", TYPE),
    ({"include": ["no.such.thing"]}, "include[0]", VALUE),
    ({"client_metadata": "x"}, "client_metadata", TYPE),
    ({"metadata": []}, "metadata", TYPE),
    ({"metadata": {"a": {"b": 1}}}, "metadata.a", TYPE),
    ({"metadata": {"a": 1}}, "metadata.a", TYPE),
    ({"metadata": {"a": ["b"]}}, "metadata.a", TYPE),
    ({"metadata": {"tags": ["b", 1]}}, "metadata.tags", TYPE),
    ({"metadata": {f"k{n}": "v" for n in range(17)}}, "metadata", VALUE),
    ({"metadata": {"k" * 65: "v"}}, "metadata." + "k" * 65, VALUE),
    ({"metadata": {"k": "v" * 513}}, "metadata.k", VALUE),
    ({"temperature": 5}, "temperature", VALUE),
    ({"temperature": -0.1}, "temperature", VALUE),
    ({"temperature": True}, "temperature", TYPE),
    ({"temperature": "1"}, "temperature", TYPE),
    ({"top_p": 2}, "top_p", VALUE),
    ({"presence_penalty": 2.5}, "presence_penalty", VALUE),
    ({"frequency_penalty": "low"}, "frequency_penalty", TYPE),
    ({"max_output_tokens": 1}, "max_output_tokens", VALUE),
    ({"max_output_tokens": 16.5}, "max_output_tokens", TYPE),
    ({"max_output_tokens": True}, "max_output_tokens", TYPE),
    ({"max_output_tokens": 1e30}, "max_output_tokens", TYPE),
    ({"max_tool_calls": 0}, "max_tool_calls", VALUE),
    ({"top_logprobs": 50}, "top_logprobs", VALUE),
    ({"top_logprobs": -1}, "top_logprobs", VALUE),
    ({"truncation": "maybe"}, "truncation", VALUE),
    ({"service_tier": "first class"}, "service_tier", VALUE),
    ({"safety_identifier": "x" * 129}, "safety_identifier", VALUE),
    ({"prompt_cache_key": "x" * 65}, "prompt_cache_key", VALUE),
    ({"prompt_cache_retention": "1h"}, "prompt_cache_retention", VALUE),
    ({"prompt_cache_options": {"ttl": "1h"}}, "prompt_cache_options.ttl", VALUE),
    ({"user": 7}, "user", TYPE),
    ({"parallel_tool_calls": "no"}, "parallel_tool_calls", TYPE),
    ({"reasoning": "high"}, "reasoning", TYPE),
    ({"reasoning": {"effort": "enormous"}}, "reasoning.effort", VALUE),
    ({"reasoning": {"summary": True}}, "reasoning.summary", VALUE),
    ({"reasoning": {"depth": 1}}, "reasoning.depth", UNKNOWN),
    ({"text": "json"}, "text", TYPE),
    ({"text": {"verbosity": "chatty"}}, "text.verbosity", VALUE),
    ({"text": {"format": "json"}}, "text.format", TYPE),
    ({"text": {"format": {}}}, "text.format.type", MISSING),
    ({"text": {"format": {"type": "xml"}}}, "text.format.type", VALUE),
    ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema", MISSING),
    (
        {"text": {"format": {"type": "json_schema", "schema": {}}}},
        "text.format.name",
        MISSING,
    ),
    (
        {"text": {"format": {"type": "json_schema", "name": "a b", "schema": {}}}},
        "text.format.name",
        VALUE,
    ),
    (
        {"text": {"format": {"type": "json_schema", "name": "x", "schema": []}}},
        "text.format.schema",
        TYPE,
    ),
    ({"tools": {}}, "tools", TYPE),
    ({"tools": ["get_weather"]}, "tools[0]", TYPE),
    ({"tools": [{}]}, "tools[0].type", MISSING),
    ({"tools": [{"type": 1}]}, "tools[0].type", TYPE),
    ({"tools": [WEATHER, {"type": "no_such_tool"}]}, "tools[1].type", VALUE),
    ({"tools": [{"type": "function", "parameters": {}}]}, "tools[0].name", MISSING),
    ({"tools": [{"type": "function", "name": "get weather"}]}, "tools[0].name", VALUE),
    ({"tools": [{"type": "function", "name": "x" * 65}]}, "tools[0].name", VALUE),
    ({"tools": [{"type": "function", "name": "x\n"}]}, "tools[0].name", VALUE),
    ({"tools": [{**WEATHER, "parameters": "{}"}]}, "tools[0].parameters", TYPE),
    ({"tools": [{**WEATHER, "strict": "yes"}]}, "tools[0].strict", TYPE),
    ({"tools": [{"type": "file_search"}]}, "tools[0].vector_store_ids", MISSING),
    ({"tools": [{"type": "code_interpreter"}]}, "tools[0].container", MISSING),
    ({"tools": [{"type": "mcp", "server_url": "https://x"}]}, "tools[0].server_label", MISSING),
    ({"tools": [{"type": "mcp", "server_label": "x"}]}, "tools[0].server_url", MISSING),
    (
        {"tools": [{"type": "namespace", "name": "n", "description": "d", "tools": [{}]}]},
        "tools[0].tools[0].type",
        MISSING,
    ),
    ({"tool_choice": 1}, "tool_choice", TYPE),
    ({"tool_choice": "sometimes"}, "tool_choice", VALUE),
    ({"tool_choice": "required"}, "tool_choice", VALUE),
    ({"tool_choice": {}}, "tool_choice.type", MISSING),
    ({"tool_choice": {"type": "no_such_tool"}}, "tool_choice.type", VALUE),
    ({"tools": [WEATHER], "tool_choice": {"type": "function"}}, "tool_choice.name", MISSING),
    (
        {"tools": [WEATHER], "tool_choice": {"type": "function", "name": "nope"}},
        "tool_choice",
        VALUE,
    ),
    ({"tools": [WEATHER], "tool_choice": {"type": "web_search"}}, "tool_choice", VALUE),
    (
        {"tools": [WEATHER], "tool_choice": {"type": "allowed_tools", "tools": WEATHER}},
        "tool_choice.tools",
        TYPE,
    ),
    (
        {"tools": [WEATHER], "tool_choice": {"type": "allowed_tools", "mode": "auto"}},
        "tool_choice.tools",
        MISSING,
    ),
    (
        {"tools": [WEATHER], "tool_choice": {"type": "allowed_tools", "tools": []}},
        "tool_choice.tools",
        VALUE,
    ),
    (
        {"tools": [WEATHER], "tool_choice": {"type": "allowed_tools", "tools": [TIME] * 129}},
        "tool_choice.tools",
        VALUE,
    ),
    (
        {"tools": [WEATHER], "tool_choice": {"type": "allowed_tools", "tools": [WEATHER, TIME]}},
        "tool_choice.tools[1]",
        VALUE,
    ),
    (
        {
            "tools": [WEATHER],
            "tool_choice": {"type": "allowed_tools", "mode": "maybe", "tools": [WEATHER]},
        },
        "tool_choice.mode",
        VALUE,
    ),
    ({"no_such_parameter": 1}, "no_such_parameter", UNKNOWN),
    ({"no_such_parameter": None}, "no_such_parameter", UNKNOWN),
    ({"prompt": {}}, "prompt.id", MISSING),
    ({"prompt": {"id": "p", "variables": []}}, "prompt.variables", TYPE),
    ({"prompt": {"id": "p", "variables": {"a": 1}}}, "prompt.variables.a", TYPE),
    ({"context_management": {"type": "compaction"}}, "context_management", TYPE),
    ({"context_management": [{"type": "forgetting"}]}, "context_management[0].type", VALUE),
    (
        {"context_management": [{"type": "compaction", "compact_threshold": 999}]},
        "context_management[0].compact_threshold",
        VALUE,
    ),
    ({"moderation": {"model": "x"}}, "moderation", UNSUPPORTED),
]


@pytest.mark.parametrize(("parameters", "param", "code"), WRONG, ids=lambda v: str(v)[:50])
def test_a_wrong_parameter_is_named(parameters: dict[str, Any], param: str, code: str) -> None:
    error = refusal({"model": "m", "input": "Hi.", **parameters})

    assert (error.status, error.type) == (400, "invalid_request_error")
    assert (error.param, error.code) == (param, code)
    assert param in error.message


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"input": "Hi."}, "model", MISSING),
        ({"model": None, "input": "Hi."}, "model", MISSING),
        ({"model": "m"}, "input", MISSING),
        ({"model": "m", "input": None}, "input", MISSING),
        ([], None, TYPE),
        ("Hi.", None, TYPE),
        (None, None, TYPE),
    ],
)
def test_what_is_required_is_missed(body: Any, param: str | None, code: str) -> None:
    error = refusal(body)

    assert (error.param, error.code) == (param, code)


def test_a_long_name_is_shortened_in_the_error() -> None:
    error = refusal({"model": "m", "input": "Hi.", "x" * 10_000: 1})

    assert len(error.message) < 400
    assert error.param is not None
    assert len(error.param) <= 200


def test_a_message_shows_what_is_allowed_and_what_was_sent() -> None:
    assert refusal({"model": "m", "input": "Hi.", "temperature": 5}).message == (
        "'temperature' must be at most 2, not 5."
    )
    assert refusal({"model": "m", "input": "Hi.", "tool_choice": "sometimes"}).message == (
        "'tool_choice' must be one of 'none', 'auto', 'required', not 'sometimes'."
    )
    assert refusal({"model": "m", "input": "Hi.", "stream": "yes"}).message == (
        "'stream' must be a boolean, not a string."
    )
    assert refusal({"model": "", "input": "Hi."}).message == "'model' must not be empty."
    many = {str(n): "" for n in range(17)}
    assert refusal({"model": "m", "input": "Hi.", "metadata": many}).message == (
        "'metadata' must have at most 16 entries, not 17."
    )


SECRET = "attack at dawn"
WITH_SECRETS: list[dict[str, Any]] = [
    {"instructions": [SECRET]},
    {"instructions": {"text": SECRET}},
    {"metadata": {"note": SECRET * 100}},
    {"user": [SECRET]},
    {"safety_identifier": SECRET * 20},
    {"input": {"text": SECRET}},
    {"input": [SECRET]},
    {"input": [{"role": "user", "content": {"text": SECRET}}]},
    {"input": [{"role": "user", "content": [SECRET]}]},
    {"input": [{"role": "user", "content": [{"type": "input_text", "text": [SECRET]}]}]},
    {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": SECRET}]}]},
    {"input": [{"type": "function_call_output", "call_id": "c", "output": {"x": SECRET}}]},
    {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": [SECRET]}]},
]


@pytest.mark.parametrize("parameters", WITH_SECRETS, ids=lambda v: str(v)[:50])
def test_what_a_person_wrote_is_not_in_the_message(parameters: dict[str, Any]) -> None:
    error = refusal({"model": "m", "input": "Hi.", **parameters})

    assert SECRET not in error.message
