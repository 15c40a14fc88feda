"""Turns over a WebSocket: what is asked, answered, remembered and refused."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from every_store import store, store_url
from live import Line, line, live, text
from openai import AsyncOpenAI

from responses_mw.app import ResponsesApp
from responses_mw.deltas import (
    ItemFinished,
    NativeTurn,
    ReasoningDelta,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UpstreamInfo,
)
from responses_mw.errors import UpstreamRefused, UpstreamUnavailable
from responses_mw.settings import Settings
from responses_mw.testing import EchoProvider, ScriptedProvider, check_event_order, openai_client
from stores import MemoryStore, SessionStore

__all__ = ["store", "store_url"]

CALL = [ToolCallStarted(0, "f", "call_1"), ToolCallDelta(0, "{}"), Stopped()]
THOUGHT = NativeTurn("family", {"signature": "s"})
BUSY = UpstreamRefused(
    "too fast", status=429, type="rate_limit_error", code="rate_limit_exceeded", retry_after=7
)


def owner_of(connection: Any) -> str | None:
    name: str = connection.headers.get("authorization", "").removeprefix("Bearer ")
    return None if name == "nobody" else name or "ann"


class House:
    """One application, served; `scripted` says what a test gives it."""

    def __init__(self, store: SessionStore, *answers: Any, **settings: Any) -> None:
        self.scripted = ScriptedProvider(*answers)
        self.app = ResponsesApp(
            store=store,
            models={"echo": EchoProvider(), "scripted": self.scripted},
            owner=owner_of,
            settings=Settings(drain_s=1, **settings),
        )
        self.address = ""

    def client(self, owner: str = "ann") -> AsyncOpenAI:
        """Over HTTP, to the same application."""
        return openai_client(self.app, api_key=owner)

    def line(self, owner: str = "ann") -> Any:
        return line(self.address, headers={"authorization": f"Bearer {owner}"})


@pytest.fixture(scope="module")
async def house() -> AsyncIterator[House]:
    """One for all that need nothing special: a server takes a quarter of a second."""
    it = House(MemoryStore())
    async with live(it.app) as it.address:
        yield it


@pytest.fixture
async def ann(house: House) -> AsyncIterator[Line]:
    async with house.line() as it:
        yield it


@contextlib.asynccontextmanager
async def scripted(*answers: Any, **settings: Any) -> AsyncIterator[tuple[House, Line]]:
    it = House(MemoryStore(), *answers, **settings)
    async with live(it.app) as it.address, it.line() as ann:
        yield it, ann


# --- a turn


async def test_a_turn_is_the_events_of_a_stream_and_nothing_else(house: House, ann: Line) -> None:
    heard = await ann.ask(input="one two")
    check_event_order(heard)
    async with house.client() as client:
        streamed = await client.responses.create(model="echo", input="one two", stream=True)
        assert [event["type"] for event in heard] == [event.type async for event in streamed]
    assert text(heard[-1]["response"]) == "user: one two"


async def test_the_official_client_connects_and_converses(house: House) -> None:
    client = AsyncOpenAI(base_url=f"http://{house.address}", api_key="ann")
    async with client, client.responses.connect() as connection:
        last, said = openai.omit, []
        for word in ("first", "second"):
            await connection.response.create(
                model="echo", input=word, previous_response_id=last, store=False
            )
            async for event in connection:
                if event.type == "response.output_text.delta":
                    said.append(event.delta)
                if event.type == "response.completed":
                    last = event.response.id
                    break
        await connection.response.create(model="echo", input="?", previous_response_id="resp_no")
        error = await connection.recv()
    assert "".join(said) == "user: firstuser: first\nassistant: user: first\nuser: second"
    assert isinstance(error, openai.types.responses.responses_server_event.ResponseWsError)
    assert (error.status, error.error.code) == (400, "previous_response_not_found")


async def test_a_stored_turn_can_be_read_and_continued_everywhere(store: SessionStore) -> None:
    house = House(store)
    async with live(house.app) as house.address, house.client() as client:
        async with house.line() as ann:
            one = await ann.answer(input="over a socket")
            kept = await client.responses.retrieve(one["id"])
            assert kept.to_dict() == one
            two = await client.responses.create(
                model="echo", input="over HTTP", previous_response_id=one["id"]
            )
        async with house.line() as again:
            told = await again.answer(input="?", previous_response_id=two.id)
    assert text(told).splitlines()[0] == "user: over a socket"
    assert text(told).splitlines()[-1] == "user: ?"


async def test_the_upstream_is_asked_for_a_stream() -> None:
    async with scripted("hello") as (house, ann):
        await ann.answer(model="scripted")
        assert house.scripted.turns[0].stream


async def test_a_turn_of_a_conversation(house: House, ann: Line) -> None:
    async with house.client() as client:
        conversation = (await client.conversations.create()).id
        await ann.answer(input="one", conversation=conversation)
        told = await ann.answer(input="two", conversation=conversation)
    assert text(told) == "user: one\nassistant: user: one\nuser: two"


async def test_binary_messages_are_read_as_text_is(ann: Line) -> None:
    body = {"type": "response.create", "model": "echo", "input": "bytes"}
    await ann.send(json.dumps(body).encode())
    assert text((await ann.turn())[-1]["response"]) == "user: bytes"


# --- what is remembered


async def test_unstored_turns_go_on_from_memory_and_leave_no_trace(store: SessionStore) -> None:
    house = House(store)
    async with live(house.app) as house.address, house.line() as ann, house.client() as client:
        one = await ann.answer(input="one")
        last = one["id"]
        for word in ("two", "three"):
            told = await ann.answer(input=word, previous_response_id=last, store=False)
            last = told["id"]
            with pytest.raises(openai.NotFoundError):
                await client.responses.retrieve(last)
        with pytest.raises(openai.BadRequestError, match="not found"):
            await client.responses.create(model="echo", input="?", previous_response_id=last)
    first = "user: one\nassistant: user: one\nuser: two"
    assert text(told) == f"{first}\nassistant: {first}\nuser: three"


async def test_only_the_latest_response_is_remembered(ann: Line) -> None:
    first = await ann.answer(store=False)
    second = await ann.answer(store=False)
    gone = await ann.refusal(previous_response_id=first["id"], store=False)
    assert gone["error"]["code"] == "previous_response_not_found"
    third = await ann.answer(previous_response_id=second["id"], store=False)
    await ann.answer(input="stored")
    gone = await ann.refusal(previous_response_id=third["id"], store=False)
    assert gone["error"]["code"] == "previous_response_not_found"


async def test_another_connection_remembers_nothing(house: House, ann: Line) -> None:
    made = await ann.answer(store=False)
    async with house.line() as other:
        gone = await other.refusal(previous_response_id=made["id"], store=False)
    assert gone["error"] == {
        "message": f"Previous response with id '{made['id']}' not found.",
        "type": "invalid_request_error",
        "param": "previous_response_id",
        "code": "previous_response_not_found",
    }
    assert text(await ann.answer(previous_response_id=made["id"], store=False))


async def test_the_native_turn_is_remembered_too() -> None:
    thinking = [ReasoningDelta("hm"), ItemFinished(), TextDelta("yes"), THOUGHT, Stopped()]
    async with scripted(thinking, "more") as (house, ann):
        made = await ann.answer(model="scripted", store=False)
        await ann.answer(model="scripted", previous_response_id=made["id"], store=False)
        natives = [span.native for span in house.scripted.turns[1].spans]
        assert natives == [None, THOUGHT, None]


async def test_a_tool_loop_without_a_store() -> None:
    output = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}
    async with scripted(CALL, "It is sunny.") as (house, ann):
        call = await ann.answer(model="scripted", store=False)
        told = await ann.answer(
            model="scripted", input=[output], previous_response_id=call["id"], store=False
        )
        assert text(told) == "It is sunny."
        types = [item["type"] for item in house.scripted.turns[1].items]
        assert types == ["message", "function_call", "function_call_output"]


ORPHAN = [{"type": "function_call_output", "call_id": "call_missing", "output": "x"}]


@pytest.mark.parametrize(
    "wrong",
    [{"input": ORPHAN}, {"temperature": 9}, {"stream": False}, {"model": "nope"}, {"store": True}],
    ids=lambda wrong: next(iter(wrong)),
)
async def test_a_refused_turn_forgets_the_response_it_named(ann: Line, wrong: Any) -> None:
    made = await ann.answer(store=False)
    await ann.refusal(previous_response_id="resp_other", store=False)
    kept = await ann.answer(previous_response_id=made["id"], store=False)

    refused = await ann.refusal(**{"previous_response_id": kept["id"], "store": False, **wrong})
    gone = await ann.refusal(previous_response_id=kept["id"], store=False)

    assert refused["status"] == 400
    assert gone["error"]["code"] == "previous_response_not_found"


async def test_an_upstream_error_forgets_it_as_well() -> None:
    async with scripted("one", UpstreamUnavailable("down")) as (_, ann):
        made = await ann.answer(model="scripted", store=False)
        named = {"previous_response_id": made["id"], "store": False}
        assert (await ann.refusal(model="scripted", **named))["status"] == 502
        gone = await ann.refusal(**named)
        assert gone["error"]["code"] == "previous_response_not_found"


async def test_what_was_not_stored_cannot_be_continued_by_what_is(ann: Line) -> None:
    made = await ann.answer(store=False)
    refused = await ann.refusal(previous_response_id=made["id"])
    assert refused["error"]["param"] == "store"
    assert "send store: false" in refused["error"]["message"]


# --- turns without output


@pytest.mark.parametrize("kept", [True, False], ids=["stored", "unstored"])
async def test_a_warm_up_has_no_output_and_can_be_continued(kept: bool) -> None:
    async with scripted() as (house, ann):
        heard = await ann.ask(model="scripted", input="rules", generate=False, store=kept)
        check_event_order(heard)
        warm = heard[-1]["response"]
        assert (warm["status"], warm["output"]) == ("completed", [])
        told = await ann.answer(input="go", previous_response_id=warm["id"], store=kept)
        assert text(told) == "user: rules\nuser: go"
        assert house.scripted.turns == []
        async with house.client() as client:
            if kept:
                assert (await client.responses.retrieve(warm["id"])).output == []
                listed = await client.responses.input_items.list(warm["id"])
                assert len(listed.data) == 1


async def test_a_warm_up_needs_no_input(ann: Line) -> None:
    await ann.send('{"type": "response.create", "model": "echo", "generate": false}')
    warm = (await ann.turn())[-1]["response"]
    assert text(await ann.answer(input="go", previous_response_id=warm["id"])) == "user: go"


async def test_a_message_may_ask_for_the_stream_that_it_gets_anyway(ann: Line) -> None:
    assert text(await ann.answer(input="go", stream=True)) == "user: go"


# --- what is refused


@pytest.mark.parametrize(
    ("message", "param", "code"),
    [
        ({"stream": 1}, "stream", "unsupported_parameter"),
        ({"stream": False}, "stream", "unsupported_parameter"),
        ({"stream_options": {}}, "stream_options", "unsupported_parameter"),
        ({"background": False}, "background", "unsupported_parameter"),
        ({"stream_id": "lane"}, "stream_id", "unsupported_parameter"),
        ({"type": "response.steer"}, "type", "unsupported_parameter"),
        ({"type": "response.delete"}, "type", "invalid_value"),
        ({"type": 7}, "type", "invalid_value"),
        ({"type": None}, "type", "missing_required_parameter"),
        ({"generate": "no"}, "generate", "invalid_type"),
        ({"generate": 0}, "generate", "invalid_type"),
        ({"input": None}, "input", "missing_required_parameter"),
        ({"surprise": 1}, "surprise", "unknown_parameter"),
        ({"model": "nope"}, "model", "model_not_found"),
        ({"input": ORPHAN}, "input", "invalid_request_error"),
        ({"previous_response_id": 7}, "previous_response_id", "invalid_type"),
        ({"previous_response_id": ["a"]}, "previous_response_id", "invalid_type"),
    ],
)
async def test_a_bad_message_is_refused_by_name(
    ann: Line, message: dict[str, Any], param: str, code: str
) -> None:
    refused = await ann.refusal(**message)

    assert refused.keys() == {"type", "status", "error"}
    assert refused["status"] == 400
    assert refused["error"].keys() == {"type", "code", "message", "param"}
    assert (refused["error"]["param"], refused["error"]["code"]) == (param, code)
    assert text(await ann.answer(input="still here")) == "user: still here"


@pytest.mark.parametrize(
    "message", ["this is not JSON", "", "[]", "7", '"x"', b"\xff", b"", '{"type": "\\ud800"}']
)
async def test_what_is_no_message_leaves_the_socket_open(ann: Line, message: Any) -> None:
    await ann.send(message)
    (refused,) = await ann.turn()
    assert (refused["type"], refused["status"]) == ("error", 400)
    assert isinstance(refused["error"]["code"], str)
    assert text(await ann.answer(input="still here")) == "user: still here"


async def test_an_upstreams_refusal_keeps_its_status_and_its_advice() -> None:
    async with scripted(BUSY) as (_, ann):
        refused = await ann.refusal(model="scripted")
        assert refused["status"] == 429
        assert refused["error"]["code"] == "rate_limit_exceeded"
        assert refused["error"]["headers"] == {"Retry-After": "7"}


async def test_an_upstream_that_breaks_later_fails_the_response() -> None:
    half = [UpstreamInfo(), TextDelta("half"), UpstreamUnavailable("gone")]
    async with scripted(half) as (_, ann):
        heard = await ann.ask(model="scripted", store=False)
        check_event_order(heard)
        assert heard[-1]["type"] == "response.failed"
        failed = heard[-1]["response"]["id"]
        told = await ann.answer(input="go on", previous_response_id=failed, store=False)
        assert text(told) == "user: hi\nassistant: half\nuser: go on"


async def test_a_response_that_is_deleted_while_it_runs_ends_with_an_error() -> None:
    never = asyncio.Event()
    async with scripted([UpstreamInfo(), TextDelta("word "), never]) as (house, ann):
        await ann.say(model="scripted")
        made = await ann.event()
        async with house.client() as client:
            await client.responses.delete(made["response"]["id"])
        assert (await ann.turn())[-1]["error"]["code"] == "response_cancelled"
        assert text(await ann.answer(input="next")) == "user: next"


# --- whose it is


async def test_another_owners_response_does_not_exist(house: House, ann: Line) -> None:
    hers = await ann.answer(input="secret")
    async with house.line("bob") as bob:
        refused = await bob.refusal(previous_response_id=hers["id"])
        assert refused["error"]["code"] == "previous_response_not_found"
    assert text(await ann.answer(previous_response_id=hers["id"])).startswith("user: secret")
