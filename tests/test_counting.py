"""Input tokens: how good the estimate is, and when the upstream is asked instead."""

import contextlib
import json
from collections.abc import AsyncIterator
from statistics import median
from typing import Any

import httpx2
import orjson
import pytest
from cases import Recording, needs_recordings, recorded
from upstream import Exchange, upstream

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.base import Counts
from responses_mw.adapters.bedrock import BedrockConverse
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.chat_dialects import GENERIC
from responses_mw.adapters.gemini import Gemini
from responses_mw.app import ResponsesApp
from responses_mw.counting import estimate
from responses_mw.errors import UpstreamProtocolError
from responses_mw.router import Deployment, Provider
from responses_mw.testing import EchoProvider
from responses_mw.testing.asgi import InProcessTransport
from responses_mw.transport import HTTPProvider
from responses_mw.turn import Span, Turn
from stores import MemoryStore

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Gets the weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def turn(*texts: str, **options: Any) -> Turn:
    items = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        for text in texts
    ]
    return Turn("m", [Span(items)], **options)


# --- the estimate


def test_everything_that_is_sent_counts() -> None:
    bare = estimate(turn("Hello."))
    assert estimate(turn("Hello. " * 20)) > bare
    assert estimate(turn("Hello.", "Hello.")) > bare
    assert estimate(turn("Hello.", instructions="Be brief.")) > bare
    assert estimate(turn("Hello.", tools=[WEATHER])) > bare
    assert estimate(turn("Hello.", text_format={"type": "json_schema", "schema": {}})) > bare


def test_scripts_with_short_tokens_count_more_for_a_character() -> None:
    latin, cyrillic, han = (estimate(turn(letter * 900)) for letter in "aж漢")
    assert latin < cyrillic < han


@pytest.mark.parametrize(
    "item",
    [
        {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "x"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_file", "file_id": "f"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "done"},
        {
            "type": "function_call_output",
            "call_id": "c",
            "output": [{"type": "input_text", "text": "done"}],
        },
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "so"}]},
        {"type": "web_search_call", "action": {"type": "search", "query": "tides"}},
    ],
    ids=lambda item: item["type"],
)
def test_every_kind_of_item_counts(item: dict[str, Any]) -> None:
    assert estimate(Turn("m", [Span([item])])) > estimate(Turn("m", []))


# --- the endpoint


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with ask_of(EchoProvider()) as it:
        yield it


@contextlib.asynccontextmanager
async def ask_of(provider: Provider) -> AsyncIterator[httpx2.AsyncClient]:
    deployment = Deployment(provider, model="claude-haiku-4-5")
    app = ResponsesApp(store=MemoryStore(), models={"m": deployment})
    async with (
        app.lifespan(),
        httpx2.AsyncClient(transport=InProcessTransport(app), base_url="http://test") as it,
    ):
        yield it


async def count(http: httpx2.AsyncClient, **body: Any) -> httpx2.Response:
    return await http.post("/responses/input_tokens", json=body)


async def test_without_a_counting_upstream_the_answer_says_that_it_is_an_estimate(
    http: httpx2.AsyncClient,
) -> None:
    answer = await count(http, model="m", input="Hello.", instructions="Be brief.")
    assert answer.json()["object"] == "response.input_tokens"
    assert answer.json()["input_tokens"] == estimate(turn("Hello.", instructions="Be brief."))
    assert answer.headers["x-responses-mw-estimated"] == "input_tokens"


async def test_the_chain_counts(http: httpx2.AsyncClient) -> None:
    said = await http.post("/responses", json={"model": "m", "input": "A long story. " * 9})
    id = said.json()["id"]
    alone = await count(http, model="m", input="Go on.")
    chained = await count(http, model="m", input="Go on.", previous_response_id=id)
    assert chained.json()["input_tokens"] > alone.json()["input_tokens"] + 50


async def test_everything_may_be_left_out(http: httpx2.AsyncClient) -> None:
    assert (await count(http)).json()["input_tokens"] >= 1
    assert (await count(http, input=None, model=None)).status_code == 200


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"model": "unknown"}, "model", "model_not_found"),
        ({"temperature": 1}, "temperature", "unknown_parameter"),
        ({"input": 5}, "input", "invalid_type"),
        ({"personality": 5}, "personality", "invalid_type"),
        ({"personality": "x" * 65}, "personality", "invalid_value"),
        ({"previous_response_id": "resp_nope"}, "previous_response_id", None),
        ({"conversation": "conv_nope"}, None, None),
    ],
    ids=str,
)
async def test_what_is_wrong_is_named(
    http: httpx2.AsyncClient, body: dict[str, Any], param: str, code: str | None
) -> None:
    answer = await count(http, **body)
    error = answer.json()["error"]
    assert answer.status_code in (400, 404)
    assert error["param"] == param
    assert code in (None, error["code"])


async def test_a_body_that_is_no_object_is_refused(http: httpx2.AsyncClient) -> None:
    answer = await http.post("/responses/input_tokens", json=[1])
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_type")


async def counted(exchange: Exchange) -> None:
    await exchange.whole({"input_tokens": 2179})


async def test_an_upstream_that_counts_is_asked_what_it_would_be_asked() -> None:
    async with upstream(counted) as server:
        provider = HTTPProvider(AnthropicMessages(), base_url=server.url)
        async with ask_of(provider) as http:
            answer = await count(http, model="m", input="Hello.", tools=[WEATHER])
    assert answer.json()["input_tokens"] == 2179
    assert "x-responses-mw-estimated" not in answer.headers
    exchange = server.exchanges[0]
    assert exchange.path == "/v1/messages/count_tokens"
    assert exchange.json["model"] == "claude-haiku-4-5"
    assert exchange.json["tools"][0]["name"] == "get_weather"
    assert exchange.json.keys() <= {"model", "messages", "system", "tools", "tool_choice"}


async def missing(exchange: Exchange) -> None:
    await exchange.whole({"detail": "Not Found"}, status=404)


async def test_an_upstream_that_does_not_know_the_endpoint_is_estimated() -> None:
    async with upstream(missing) as server:
        provider = HTTPProvider(AnthropicMessages(), base_url=server.url)
        async with ask_of(provider) as http:
            answer = await count(http, model="m", input="Hello.")
    assert answer.headers["x-responses-mw-estimated"] == "input_tokens"


async def refused(exchange: Exchange) -> None:
    await exchange.whole({"error": {"type": "rate_limit_error", "message": "slow down"}}, 429)


async def test_an_upstream_that_refuses_to_count_is_heard() -> None:
    async with upstream(refused) as server:
        provider = HTTPProvider(AnthropicMessages(), base_url=server.url)
        async with ask_of(provider) as http:
            answer = await count(http, model="m", input="Hello.")
    assert answer.status_code == 429


async def test_a_format_that_cannot_count_asks_nobody() -> None:
    async with upstream(counted) as server:
        provider = HTTPProvider(ChatCompletions(GENERIC), base_url=server.url)
        assert await provider.count(turn("Hello.")) is None
        assert server.exchanges == []


COUNTING: dict[str, Counts] = {
    "input_tokens": AnthropicMessages(),
    "inputTokens": BedrockConverse(),
    "totalTokens": Gemini(),
}


@pytest.mark.parametrize("name", COUNTING)
@pytest.mark.parametrize("count", [b"true", b"-1", b"1.5", b'"1"', b"null", b"[]"])
def test_an_answer_without_a_number_is_the_upstreams_fault(name: str, count: bytes) -> None:
    for body in (b'{"%b": %b}' % (name.encode(), count), b"{}", b"[]"):
        with pytest.raises(UpstreamProtocolError, match=f"said no {name}"):
            COUNTING[name].counted(body)


@needs_recordings
def test_recorded_counts_are_read() -> None:
    counts = [
        AnthropicMessages().counted(recording.body)
        for recording in recorded("anthropic_count", status=200)
    ]
    assert sorted(counts) == [14, 588, 641, 671]


# --- how good it is


@needs_recordings
def test_the_estimate_is_as_good_as_its_docstring_says() -> None:
    ratios = []
    for recording in recorded(status=200):
        reported = _reported(recording)
        if reported > 100 and (asked := _as_turn(recording)) is not None:
            ratios.append(estimate(asked) / reported)
    assert len(ratios) >= 80
    assert 0.8 < median(ratios) < 1.1
    assert sum(0.5 <= ratio <= 2 for ratio in ratios) / len(ratios) > 0.7


OTHERS = ("image", "base64", "file", "web_search", "audio", "code_execution", "mcp_servers",
          "computer_", "bash_", "text_editor", "thinking")  # fmt: skip


def _as_turn(recording: Recording) -> Turn | None:
    """What was asked in text, functions and calls; None where there was anything else."""
    body = recording.request
    if recording.provider.startswith(("local", "bedrock")) or not isinstance(body, dict):
        return None
    if "messages" not in body or any(f'"{other}' in json.dumps(body) for other in OTHERS):
        return None
    tools = [tool.get("function", tool) for tool in body.get("tools") or []]
    offered = [
        {
            "type": "function",
            "name": tool.get("name"),
            "description": tool.get("description"),
            "parameters": tool.get("parameters") or tool.get("input_schema"),
        }
        for tool in tools
    ]
    items = [item for message in body["messages"] for item in _items(message)]
    text_format = body.get("response_format")
    return Turn(
        "m",
        [Span(items)],
        instructions=_text(body.get("system")) or None,
        tools=offered,
        text_format=text_format if text_format and "json_schema" in text_format else None,
    )


def _items(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    if message["role"] == "tool":
        return [_output(_text(content))]
    items = []
    for part in [{"text": content}] if isinstance(content, str) else content or []:
        if part.get("type") == "tool_use":
            items.append(_call(part["name"], json.dumps(part["input"])))
        elif part.get("type") == "tool_result":
            items.append(_output(_text(part.get("content"))))
        elif part.get("text"):
            parts = [{"type": "input_text", "text": part["text"]}]
            items.append({"type": "message", "role": message["role"], "content": parts})
    for call in message.get("tool_calls") or []:
        items.append(_call(call["function"]["name"], call["function"].get("arguments") or ""))
    return items


def _call(name: str, arguments: str) -> dict[str, Any]:
    return {"type": "function_call", "call_id": "c", "name": name, "arguments": arguments}


def _output(text: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": "c", "output": text}


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or [])


def _reported(recording: Recording) -> int:
    """0 where the answer says nothing of it."""
    lines = [recording.body]
    if recording.kind == "sse":
        events = recording.body.split(b"\n")
        lines = [line[5:].strip() for line in events if line.startswith(b"data:")]
    found = 0
    for line in lines:
        try:
            answer = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(answer, dict):
            usage = answer.get("usage") or (answer.get("message") or {}).get("usage") or {}
            names = ("prompt_tokens", "input_tokens", "cache_read_input_tokens",
                     "cache_creation_input_tokens")  # fmt: skip
            found = sum(usage.get(name) or 0 for name in names) or found
    return found
