"""Items of one provider's hosted tools in a conversation that another goes on with."""

from typing import Any

import orjson
import pytest
from test_responses_types import HOSTED

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.base import Adapter, UpstreamRequest
from responses_mw.adapters.bedrock import BedrockConverse
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.foreign_items import MAX_OUTPUT, as_message
from responses_mw.adapters.gemini import Gemini
from responses_mw.adapters.openai_responses import OpenAIResponses
from responses_mw.adapters.openai_responses_dialects import VLLM
from responses_mw.errors import UnsupportedByProvider
from responses_mw.items import stored_items
from responses_mw.turn import Item, Span, Turn

OTHERS: dict[str, tuple[Adapter, str]] = {
    "anthropic": (AnthropicMessages(), "claude-opus-5-5"),
    "bedrock": (BedrockConverse(), "us.amazon.nova-pro-v1:0"),
    "chat": (ChatCompletions(), "gpt-4o"),
    "gemini": (Gemini(), "gemini-3-pro-preview"),
    "vllm": (OpenAIResponses(dialect=VLLM), "qwen"),
}
ASK = {"role": "user", "content": "Go on."}
CUSTOM = ("custom_tool_call", "custom_tool_call_output")


def encoded(name: str, *items: Item, strict: bool = False) -> UpstreamRequest:
    adapter, model = OTHERS[name]
    spans = [Span(stored_items([*items, ASK], "resp_" + "0" * 32))]
    return adapter.encode(Turn(model=model, spans=spans, strict=strict))


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize(
    "item", [i for i in HOSTED if i["type"] not in CUSTOM], ids=lambda item: item["type"]
)
def test_no_item_stops_a_conversation_and_none_vanishes_in_silence(name: str, item: Item) -> None:
    request = encoded(name, ASK, item)

    assert request.dropped == (f"input.{item['type']}",)
    message = as_message(item)
    if message is not None and item["type"] != "computer_call_output":
        told = message["content"][0]["text"]
        assert orjson.dumps(told)[1:-1] in orjson.dumps(request.body)
    with pytest.raises(UnsupportedByProvider) as refused:
        encoded(name, ASK, item, strict=True)
    assert refused.value.param == f"input.{item['type']}"


@pytest.mark.parametrize("name", OTHERS)
def test_custom_tools_are_functions_with_one_text(name: str) -> None:
    call = {"type": "custom_tool_call", "call_id": "c3", "name": "say", "input": "up"}
    answer = {"type": "custom_tool_call_output", "call_id": "c3", "output": "heard"}
    request = encoded(name, ASK, call, answer)
    assert request.dropped == ()
    for said in (b"say", b"up", b"heard"):
        assert said in orjson.dumps(request.body)


@pytest.mark.parametrize(
    ("item", "role", "told"),
    [
        (
            {
                "type": "code_interpreter_call",
                "code": "print(6 * 7)",
                "outputs": [{"type": "logs", "logs": "42"}, {"type": "image", "url": "u"}],
            },
            "assistant",
            "print(6 * 7)\n42",
        ),
        (
            {"type": "web_search_call", "action": {"type": "search", "queries": ["a", "b"]}},
            "assistant",
            "a\nb",
        ),
        (
            {"type": "web_search_call", "action": {"type": "open_page", "url": "https://x.org"}},
            "assistant",
            "https://x.org",
        ),
        (
            {"type": "file_search_call", "queries": ["q"], "results": [{"text": "found"}]},
            "assistant",
            "q\nfound",
        ),
        (
            {"type": "mcp_call", "name": "add", "arguments": '{"a":1}', "output": "2"},
            "assistant",
            'add\n{"a":1}\n2',
        ),
        (
            {"type": "shell_call", "action": {"commands": ["ls", "pwd"]}},
            "assistant",
            "ls\npwd",
        ),
        (
            {"type": "shell_call_output", "output": [{"stdout": "a", "stderr": "b"}]},
            "user",
            "a\nb",
        ),
        ({"type": "local_shell_call", "action": {"command": ["ls", "-l"]}}, "assistant", "ls -l"),
        ({"type": "mcp_approval_response", "approve": False}, "user", "refused"),
    ],
)
def test_what_was_done_is_told_in_words(item: Item, role: str, told: str) -> None:
    message: Any = as_message(item)
    kind = item["type"]
    assert message["role"] == role
    assert [part["text"] for part in message["content"]] == [f"<{kind}>\n{told}\n</{kind}>"]


def test_a_screenshot_is_shown() -> None:
    output = {"type": "computer_screenshot", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    request = encoded("gemini", {"type": "computer_call_output", "call_id": "c", "output": output})
    assert b"iVBORw0KGgo=" in orjson.dumps(request.body)


def test_long_outputs_are_cut_and_say_so() -> None:
    item = {"type": "mcp_call", "name": "n", "arguments": "{}", "output": "x" * (MAX_OUTPUT + 7)}
    message: Any = as_message(item)
    assert "[7 characters more]" in message["content"][0]["text"]
    assert len(message["content"][0]["text"]) < MAX_OUTPUT + 100


def test_what_has_no_words_is_none() -> None:
    assert as_message({"type": "image_generation_call", "result": "iVBORw0KGgo="}) is None
    assert as_message({"type": "invented"}) is None
