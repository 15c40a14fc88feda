"""An answer that Anthropic pauses is asked for to its end: one response, all of the usage."""

import base64
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from bedrock_stream import frame
from messages_turns import message, turn
from test_anthropic_types import BETA_TYPES, PLAIN_TYPES, described
from upstream import Exchange, upstream

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.anthropic_decode import events_of
from responses_mw.adapters.base import Adapter
from responses_mw.adapters.bedrock_invoke import BedrockInvoke
from responses_mw.adapters.vertex import VertexClaude
from responses_mw.deltas import Delta, NativeTurn, OutputItem, Stopped, TextDelta, UsageReported
from responses_mw.errors import UpstreamRefused
from responses_mw.testing import play_recording
from responses_mw.transport import HTTPProvider

CALL = {
    "type": "server_tool_use",
    "id": "srvtoolu_1",
    "name": "web_search",
    "input": {"query": "q"},
}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
PLAIN = AnthropicMessages(cache=None)
PLATFORMS: dict[str, Adapter] = {
    "anthropic": PLAIN,
    "foundry": AnthropicMessages(name="azure_ai", cache=None),
    "vertex": VertexClaude(messages=PLAIN),
    "bedrock": BedrockInvoke(messages=PLAIN),
}
USAGE = {"input_tokens": 10, "output_tokens": 3, "cache_read_input_tokens": 4}
PAUSED, ENDED = "pause_turn", "end_turn"


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def says(*content: Any, reason: str, **more: Any) -> Callable[[Exchange], Awaitable[None]]:
    """A whole message or its stream, as it is asked for."""
    whole = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": list(content),
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": USAGE,
        **more,
    }

    async def answer(exchange: Exchange) -> None:
        if "with-response-stream" in exchange.path:
            await exchange.head(200, {"connection": "close"})
            await exchange.send(b"".join(map(framed, events_of(whole))))
            exchange.writer.close()
            return
        if not exchange.json.get("stream"):
            await exchange.whole(whole)
            return
        await exchange.sse()
        for event in events_of(whole):
            await exchange.event(event)
        exchange.writer.close()

    return answer


def framed(event: Any) -> bytes:
    """As InvokeModel wraps it."""
    return frame("chunk", {"bytes": base64.b64encode(orjson.dumps(event)).decode()})


async def refuses(exchange: Exchange) -> None:
    error = {"type": "overloaded_error", "message": "busy"}
    await exchange.whole({"type": "error", "error": error}, 529)


async def asked(url: str, *, stream: bool, adapter: Adapter = PLAIN) -> list[Delta]:
    provider = HTTPProvider(adapter, base_url=url)
    question = turn(message("user", "Hi"), tools=[{"type": "web_search"}], stream=stream)
    try:
        return [delta async for delta in provider.stream(question)]
    finally:
        await provider.aclose()


def of(kind: type, deltas: list[Delta]) -> list[Any]:
    return [delta for delta in deltas if isinstance(delta, kind)]


both = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.mark.parametrize("platform", PLATFORMS)
@both
async def test_an_answer_goes_on_where_it_paused(stream: bool, platform: str) -> None:
    first = says(text("I look."), CALL, reason=PAUSED)
    second = says(FOUND, text("Still."), reason=PAUSED)
    async with upstream(first, second, says(text("Found."), reason=ENDED)) as it:
        deltas = await asked(it.url, stream=stream, adapter=PLATFORMS[platform])
        bodies = [exchange.json for exchange in it.exchanges]
        [path] = {exchange.path for exchange in it.exchanges}

    assert "".join(delta.text for delta in of(TextDelta, deltas)) == "I look.Still.Found."
    assert [item.item["type"] for item in of(OutputItem, deltas)] == ["web_search_call"]
    assert [stopped.reason for stopped in of(Stopped, deltas)] == ["stop"]
    assert deltas[-1] == Stopped()
    assert of(UsageReported, deltas)[-1] == UsageReported(42, 9, cached_tokens=12)
    [native] = of(NativeTurn, deltas)
    content = [text("I look."), CALL, FOUND, text("Still."), text("Found.")]
    assert native.state == content

    assert [len(body["messages"]) for body in bodies] == [1, 2, 2]
    assert bodies[2]["messages"][1] == {"role": "assistant", "content": content[:4]}
    assert {**bodies[2], "messages": bodies[0]["messages"]} == bodies[0]
    assert path == PLATFORMS[platform].encode(turn(stream=stream)).path
    if platform in ("anthropic", "foundry"):
        for body in bodies:
            assert described(PLAIN_TYPES, body) == body


@both
async def test_code_goes_on_in_the_container_where_it_paused(stream: bool) -> None:
    begun = says(text("I run it."), reason=PAUSED, container={"id": "container_1"})
    async with upstream(begun, says(text("Done."), reason=ENDED)) as it:
        await asked(it.url, stream=stream)
        bodies = [exchange.json for exchange in it.exchanges]
    assert "container" not in bodies[0]
    assert bodies[1]["container"] == "container_1"
    assert described(BETA_TYPES, bodies[1]) == bodies[1]


@both
async def test_what_an_answer_used_is_unknown_where_a_part_of_it_is(stream: bool) -> None:
    begun = says(text("Hm."), reason=PAUSED, usage={**USAGE, "input_tokens": "many"})
    async with upstream(begun, says(text("Done."), reason=ENDED)) as it:
        deltas = await asked(it.url, stream=stream)
    assert not of(UsageReported, deltas)[-1].countable


@both
async def test_an_answer_that_only_pauses_ends_as_cut_off(stream: bool) -> None:
    async with upstream(says(text("Hm."), reason=PAUSED)) as it:
        deltas = await asked(it.url, stream=stream)
        assert len(it.exchanges) == 9

    assert [stopped.reason for stopped in of(Stopped, deltas)] == ["max_output_tokens"]
    assert len(of(TextDelta, deltas)) == 9


@both
async def test_a_refusal_to_go_on_is_the_answers_error(stream: bool) -> None:
    async with upstream(says(text("Hm."), reason=PAUSED), refuses) as it:
        with pytest.raises(UpstreamRefused) as refused:
            await asked(it.url, stream=stream)
    assert refused.value.status == 503


def test_a_pause_that_nobody_can_ask_about_is_cut_off() -> None:
    answer = b'{"content": [{"type": "text", "text": "Hm."}], "stop_reason": "pause_turn"}'
    response = play_recording(AnthropicMessages(), answer, whole=True)[-1]["response"]
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
