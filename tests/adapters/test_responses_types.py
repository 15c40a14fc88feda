"""Every request we can make is one that the official client's own types describe, key by key."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from openai.types.responses import response_create_params
from pydantic import BaseModel, TypeAdapter, ValidationError

from responses_mw.adapters.openai_responses import OpenAIResponses
from responses_mw.adapters.openai_responses_dialects import DIALECTS, OPENAI
from responses_mw.deltas import NativeTurn
from responses_mw.errors import UnsupportedByProvider
from responses_mw.items import SHAPES, stored_items
from responses_mw.schema import Include
from responses_mw.tool_schema import SHAPES as TOOL_SHAPES
from responses_mw.turn import Item, Span, Turn

TYPES: Any = TypeAdapter(response_create_params.ResponseCreateParams)
NEWER = ("presence_penalty", "frequency_penalty")
"""Parameters of Open Responses that OpenAI does not have, for servers that do."""

PNG = "data:image/png;base64,iVBORw0KGgo="
PARTS: list[dict[str, Any]] = [
    {"type": "input_text", "text": "Look"},
    {"type": "input_image", "image_url": PNG, "detail": "high"},
    {"type": "input_image", "file_id": "file-1"},
    {
        "type": "input_file",
        "file_data": "data:application/pdf;base64,JVBERi0=",
        "filename": "a.pdf",
    },
    {"type": "input_file", "file_url": "https://example.org/a.pdf"},
    {"type": "input_file", "file_id": "file-1"},
]
SAID = [
    {"type": "output_text", "text": "So.", "annotations": [{"type": "url_citation", "url": "u"}]},
    {"type": "refusal", "refusal": "No."},
]
MESSAGES: list[Item] = [
    *({"role": role, "content": "Hi"} for role in ("user", "system", "developer", "assistant")),
    {"role": "user", "content": PARTS},
    {"role": "assistant", "content": SAID, "phase": "commentary"},
    {"role": "assistant", "content": SAID[:1], "phase": "final_answer"},
]
CALLS: list[Item] = [
    {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c1", "output": PARTS},
    {"type": "function_call", "call_id": "c2", "name": "look", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c2", "output": "up"},
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
]
SAFE = {"type": "click", "button": "left", "x": 1, "y": 1}
HOSTED: list[Item] = [
    {"type": "custom_tool_call", "call_id": "c3", "name": "say", "input": "x"},
    {"type": "custom_tool_call_output", "call_id": "c3", "output": "y"},
    {"type": "file_search_call", "queries": ["q"]},
    {"type": "web_search_call", "action": {"type": "search", "query": "q", "queries": ["q"]}},
    {"type": "computer_call", "call_id": "c4", "action": SAFE},
    {
        "type": "computer_call_output",
        "call_id": "c4",
        "output": {"type": "computer_screenshot", "image_url": PNG},
    },
    {"type": "image_generation_call", "result": "iVBORw0KGgo="},
    {"type": "code_interpreter_call", "container_id": "cntr_1", "code": "1"},
    {
        "type": "local_shell_call",
        "call_id": "c5",
        "action": {"type": "exec", "command": ["ls"], "env": {}},
    },
    {"type": "local_shell_call_output", "id": "c5", "output": "a"},
    {"type": "shell_call", "call_id": "c6", "action": {"commands": ["ls"]}},
    {
        "type": "shell_call_output",
        "call_id": "c6",
        "output": [{"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
    },
    {
        "type": "apply_patch_call",
        "call_id": "c7",
        "operation": {"type": "delete_file", "path": "a"},
    },
    {"type": "apply_patch_call_output", "call_id": "c7", "output": "ok"},
    {"type": "mcp_list_tools", "server_label": "s", "tools": []},
    {"type": "mcp_approval_request", "server_label": "s", "name": "n", "arguments": "{}"},
    {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True},
    {"type": "mcp_call", "server_label": "s", "name": "n", "arguments": "{}"},
    {"type": "tool_search_call", "arguments": {}},
    {"type": "tool_search_output", "tools": []},
    {"type": "additional_tools", "role": "developer", "tools": []},
    {"type": "program", "call_id": "c8", "code": "1", "fingerprint": "f"},
    {"type": "program_output", "call_id": "c8", "result": "1"},
]
SIGNED: list[Item] = [
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
    {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "So.", "annotations": []}],
    },
]


def stored(items: list[Item]) -> list[Span]:
    return [Span(stored_items(items, "resp_" + "0" * 32))]


def conversations(adapter: OpenAIResponses) -> Mapping[str, list[Span]]:
    scope = adapter.scope(Turn(model="gpt-5", spans=()))
    return {
        "messages": stored(MESSAGES),
        "calls": stored([*MESSAGES[:1], *CALLS]),
        "hosted": stored([*MESSAGES[:1], *HOSTED]),
        "native": [*stored(MESSAGES[:1]), Span(SIGNED, NativeTurn(scope, {"items": SIGNED}))],
    }


FUNCTION = {
    "type": "function",
    "name": "look",
    "description": "Looks.",
    "parameters": {"type": "object", "properties": {}},
    "strict": False,
}
TOOLS: list[dict[str, Any]] = [
    FUNCTION,
    {**FUNCTION, "name": "go", "strict": True},
    {"type": "custom", "name": "say", "format": {"type": "text"}},
    {"type": "file_search", "vector_store_ids": ["vs_1"]},
    {"type": "web_search", "search_context_size": "low"},
    {"type": "web_search_preview"},
    {"type": "computer"},
    {
        "type": "computer_use_preview",
        "display_height": 1,
        "display_width": 1,
        "environment": "linux",
    },
    {"type": "mcp", "server_label": "s", "server_url": "https://example.org"},
    {"type": "code_interpreter", "container": {"type": "auto"}},
    {"type": "image_generation"},
    {"type": "local_shell"},
    {"type": "shell"},
    {"type": "apply_patch"},
    {"type": "namespace", "name": "n", "description": "d", "tools": [FUNCTION]},
    {"type": "tool_search"},
    {"type": "programmatic_tool_calling"},
]
ALLOWED = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "go"}]}
CHOICES: tuple[Any, ...] = (
    "auto", "none", "required", {"type": "function", "name": "go"}, ALLOWED,
    {"type": "custom", "name": "say"}, {"type": "mcp", "server_label": "s"},
    {"type": "file_search"}, {"type": "apply_patch"}, {"type": "shell"},
)  # fmt: skip
SCHEMA = {"type": "object", "properties": {}, "additionalProperties": False}
FORMATS = (
    {"type": "json_object"},
    {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True, "description": None},
)
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"instructions": "Be brief.", "stream": True, "max_output_tokens": 5000},
    {"temperature": 0.3, "top_p": 0.9, "user": "u1", "metadata": {"a": "b"}},
    {"service_tier": "flex", "verbosity": "high", "top_logprobs": 2, "logprobs": True},
    {"service_tier": "auto", "prompt_cache_key": "k", "reasoning_summary": "auto"},
    {"presence_penalty": 0.5, "frequency_penalty": 0.5},
    *({"text_format": wanted} for wanted in FORMATS),
    *(
        {"reasoning_effort": effort}
        for effort in ("none", "minimal", "low", "medium", "high", "xhigh", "max")
    ),
    {
        "passed_on": {
            "store": False,
            "include": list(Include.__args__),
            "max_tool_calls": 2,
            "prompt_cache_options": {"mode": "explicit"},
            "prompt_cache_retention": "24h",
            "reasoning": {"context": "auto"},
        }
    },
    *(
        {"tools": TOOLS, "tool_choice": choice, "parallel_tool_calls": parallel}
        for choice, parallel in product(CHOICES, (True, False))
    ),
    *({"tools": TOOLS[:2], "tool_choice": choice} for choice in CHOICES[:5]),
)


def turns(adapter: OpenAIResponses, model: str) -> Iterator[Turn]:
    for spans, options in product(conversations(adapter).values(), OPTIONS):
        yield Turn(model=model, spans=spans, **options)


def consumed(value: Any) -> Any:
    """The client types lists as Iterable, which pydantic checks only while it is read."""
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


def described(body: dict[str, Any]) -> Any:
    """What of the body the types know. A key that they do not know is missing in it."""
    return consumed(TYPES.validate_python(body))


@pytest.mark.parametrize("name", sorted(DIALECTS))
@pytest.mark.parametrize("model", ["gpt-5", "gpt-4o"])
def test_request_is_described_by_the_official_types(name: str, model: str) -> None:
    adapter = OpenAIResponses(dialect=DIALECTS[name])
    encoded = 0
    for turn in turns(adapter, model):
        try:
            request = adapter.encode(turn)
        except UnsupportedByProvider as error:
            assert error.param == "input" or str(error.param).startswith("tools[")  # noqa: PT017
            continue
        encoded += 1
        body = {key: value for key, value in request.body.items() if key not in NEWER}
        assert described(body) == body
        assert not set(NEWER) & set(request.body) or DIALECTS[name].penalties
    assert encoded > 40


def test_every_item_and_tool_is_covered() -> None:
    items = {item.get("type", "message") for item in (*MESSAGES, *CALLS, *HOSTED)}
    # What these stand for is put in their place, or done, before a turn is made.
    assert items == set(SHAPES) - {"item_reference", "compaction", "compaction_trigger"}
    dated = {"web_search_2025_08_26", "web_search_preview_2025_03_11"}
    assert {tool["type"] for tool in TOOLS} | dated == set(TOOL_SHAPES)


def test_openai_takes_every_item_as_it_is() -> None:
    adapter = OpenAIResponses()
    [span] = conversations(adapter)["hosted"]
    sent = adapter.encode(Turn(model="gpt-5", spans=[span])).body["input"]
    for item, given in zip(sent[1:], span.items[1:], strict=True):
        assert item["type"] == given["type"]
        missing = {key for key in given if key not in item} - {"id", "status"}
        assert not missing


def test_the_types_notice_what_is_wrong() -> None:
    """The judge is awake: it sees a wrong value and an unknown key, deep inside."""
    adapter = OpenAIResponses(dialect=replace(OPENAI, encrypted_reasoning=False))
    body = adapter.encode(Turn(model="gpt-5", spans=stored(MESSAGES[4:5]))).body
    assert described(body) == body
    part = body["input"][0]["content"][0]

    for wrong in ({**part, "text": 5}, {**part, "colour": "red"}, {"type": "weather"}):
        content = [wrong, *body["input"][0]["content"][1:]]
        broken = {**body, "input": [{**body["input"][0], "content": content}]}
        try:
            assert described(broken) != broken
        except ValidationError:
            continue
