"""A conversation through the whole application: what the store gives back reaches Gemini as it was.

Real sockets, the official OpenAI client, and an upstream that says what a test wants.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai import AsyncOpenAI
from upstream import Exchange, Upstream, upstream

from responses_mw.adapters.gemini import Gemini
from responses_mw.app import ResponsesApp
from responses_mw.router import Deployment
from responses_mw.testing import openai_client
from responses_mw.transport import HTTPProvider
from stores import MemoryStore

PARTS = [
    {"text": "I look.", "thought": True},
    {"text": "One moment. " * 9},
    {"functionCall": {"name": "look", "args": {"at": "home"}}, "thoughtSignature": "c2ln"},
    {"functionCall": {"name": "look", "args": {"at": "work"}}},
]
LOOK: Any = {
    "type": "function",
    "name": "look",
    "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
    "strict": False,
}


async def calls_then_text(exchange: Exchange) -> None:
    answered = any("functionResponse" in str(content) for content in exchange.json["contents"])
    parts = [{"text": "Done.", "thoughtSignature": "ZW5k"}] if answered else PARTS
    if "stream" not in exchange.path:
        content = {"role": "model", "parts": parts}
        await exchange.whole({"candidates": [{"content": content, "finishReason": "STOP"}]})
        return
    await exchange.sse()
    for part in parts:
        await exchange.event({"candidates": [{"content": {"parts": [part]}}]})
    await exchange.event({"candidates": [{"finishReason": "STOP"}]})
    exchange.writer.close()


@pytest.fixture
async def google() -> AsyncIterator[Upstream]:
    async with upstream(calls_then_text) as it:
        yield it


@pytest.fixture
async def client(google: Upstream) -> AsyncIterator[AsyncOpenAI]:
    provider = HTTPProvider(Gemini(), base_url=google.url, headers={"x-goog-api-key": "k"})
    models = {"g": Deployment(provider, "gemini-3-pro-preview")}
    app = ResponsesApp(store=MemoryStore(), models=models)
    async with app.lifespan(), openai_client(app) as it:
        yield it


def results(calls: list[Any]) -> list[Any]:
    return [
        {"type": "function_call_output", "call_id": call.call_id, "output": call.arguments}
        for call in reversed(calls)
    ]


def check_replay(sent: Any) -> None:
    assert [content["role"] for content in sent] == ["user", "model", "user"]
    assert sent[1]["parts"] == PARTS
    said = [part["functionResponse"]["response"]["result"] for part in sent[2]["parts"]]
    assert said == ['{"at":"home"}', '{"at":"work"}']


@pytest.mark.parametrize("stream", [False, True])
async def test_stored_turn_goes_back_as_it_came(
    client: AsyncOpenAI, google: Upstream, stream: bool
) -> None:
    async def say(**asked: Any) -> Any:
        if not stream:
            return await client.responses.create(model="g", tools=[LOOK], **asked)
        async with client.responses.stream(model="g", tools=[LOOK], **asked) as events:
            async for _ in events:
                pass
            return await events.get_final_response()

    first = await say(input="Where?")
    calls = [item for item in first.output if item.type == "function_call"]
    assert len({call.call_id for call in calls}) == 2
    second = await say(input=results(calls), previous_response_id=first.id)

    assert second.output_text == "Done."
    check_replay(google.exchanges[-1].json["contents"])


async def test_sealed_turn_of_a_client_that_keeps_state_itself_goes_back_as_it_came(
    client: AsyncOpenAI, google: Upstream
) -> None:
    options: Any = {"model": "g", "tools": [LOOK], "store": False}
    options["include"] = ["reasoning.encrypted_content"]
    first = await client.responses.create(input="Where?", **options)
    calls = [item for item in first.output if item.type == "function_call"]
    kept = [item.model_dump(exclude_none=True) for item in first.output]
    said = [{"role": "user", "content": "Where?"}, *kept, *results(calls)]

    second = await client.responses.create(input=said, **options)

    assert second.output_text == "Done."
    check_replay(google.exchanges[-1].json["contents"])
