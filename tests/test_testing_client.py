"""The official client and the fixture reach applications, providers and scripts alike."""

import asyncio
import gc
import subprocess
import sys

import openai
import pytest
from openai import AsyncOpenAI
from starlette.applications import Starlette
from starlette.routing import Mount

from responses_mw.app import ResponsesApp
from responses_mw.deltas import TextDelta
from responses_mw.errors import UpstreamRefused
from responses_mw.testing import (
    CheckModel,
    EchoProvider,
    ScriptedProvider,
    check_event_order,
    openai_client,
)
from stores import MemoryStore


async def test_a_script_answers_the_official_client(responses_client) -> None:
    async with responses_client("Hello!") as client:
        answer = await client.responses.create(model="test", input="Hi")
    assert answer.output_text == "Hello!"


def test_without_the_official_client_it_is_named() -> None:
    program = "import sys; sys.modules['openai'] = None; from responses_mw.testing import {}"
    ended = [
        subprocess.run(
            [sys.executable, "-c", program.format(name)],
            capture_output=True,
            text=True,
            check=False,
        )
        for name in ("openai_client", "EchoProvider")
    ]
    assert "openai is missing: tests need the official client, pip install" in ended[0].stderr
    assert ended[1].returncode == 0


async def test_a_chain_reaches_the_provider_whole(responses_client) -> None:
    async with responses_client(EchoProvider()) as client:
        first = await client.responses.create(model="test", input="One")
        second = await client.responses.create(
            model="test", input="Two", previous_response_id=first.id
        )
    assert second.output_text == "user: One\nassistant: user: One\nuser: Two"


async def test_a_stream_arrives_event_by_event(responses_client) -> None:
    go = asyncio.Event()
    provider = ScriptedProvider([TextDelta("One"), go, TextDelta(" two")])
    events = []
    async with responses_client(provider) as client:
        stream = await client.responses.create(model="test", input="Count", stream=True)
        async for event in stream:
            events.append(event)
            if event.type == "response.output_text.delta":
                go.set()
    assert go.is_set()
    check_event_order(events)
    assert events[-1].response.output_text == "One two"


async def test_a_mounted_application_is_reached_at_its_prefix(responses_client) -> None:
    provider = ScriptedProvider("Hello!")
    responses = ResponsesApp(store=MemoryStore(), models={"mine": provider})
    host = Starlette(routes=[Mount("/ai/v1", responses)], lifespan=responses.lifespan)
    async with responses_client(host, base_url="http://host/ai/v1") as client:
        answer = await client.responses.create(model="mine", input="Hi")
    assert answer.output_text == "Hello!"
    assert provider.turns[0].model == "mine"


async def test_an_application_by_itself_is_served_at_the_base_url() -> None:
    app = ResponsesApp(store=MemoryStore(), models={"test": ScriptedProvider("a", "b")})
    async with app.lifespan(), openai_client(app) as client:
        assert (await client.responses.create(model="test", input="Hi")).output_text == "a"
    async with app.lifespan(), openai_client(app, "http://other/") as client:
        assert (await client.responses.create(model="test", input="Hi")).output_text == "b"


async def test_an_error_is_seen_at_its_first_occurrence(responses_client) -> None:
    busy = UpstreamRefused("Slow down.", status=429, type="rate_limit_error", retry_after=1)
    provider = ScriptedProvider(busy, "Too late.")
    async with responses_client(provider) as client:
        with pytest.raises(openai.RateLimitError, match="Slow down"):
            await client.responses.create(model="test", input="Hi")
    assert len(provider.turns) == 1


async def test_a_turn_too_many_is_explained_to_the_client(responses_client) -> None:
    async with responses_client("Only this.") as client:
        await client.responses.create(model="test", input="Hi")
        with pytest.raises(openai.InternalServerError, match="the test gave 1 answers"):
            await client.responses.create(model="test", input="And?")


async def test_the_client_keeps_the_options_of_the_official_one() -> None:
    app = ResponsesApp(
        store=MemoryStore(),
        models={"test": CheckModel()},
        owner=lambda request: request.headers.get("authorization", "").removeprefix("Bearer "),
    )
    async with app.lifespan(), openai_client(app, api_key="ann") as ann:
        mine = await ann.responses.create(model="test", input="Say hi.")
        bob: AsyncOpenAI = ann.with_options(api_key="bob")
        with pytest.raises(openai.NotFoundError):
            await bob.responses.retrieve(mine.id)
        assert (await ann.responses.retrieve(mine.id)).output_text == "Hi."


async def test_nothing_is_left_behind_by_a_client_that_was_closed(responses_client) -> None:
    gc.collect()  # clients that other tests left open begin to close themselves
    await asyncio.sleep(0.05)
    before = asyncio.all_tasks()
    async with responses_client("Hello!") as client:
        await client.responses.create(model="test", input="Hi")
    gc.collect()
    assert asyncio.all_tasks() == before
