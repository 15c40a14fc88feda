"""What a WebSocket bears and for how long: queued turns, large messages, slow, silent and gone
clients."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from live import PATIENCE_S, Line, line, live, text

from responses_mw.app import ResponsesApp
from responses_mw.deltas import Delta, Stopped, TextDelta, UpstreamInfo
from responses_mw.inbox import Inbox
from responses_mw.settings import Settings
from responses_mw.testing import EchoProvider, openai_client
from responses_mw.turn import Turn
from stores import History, MemoryStore, StoredTurn

GOING_AWAY = 1001
CHUNK = "x" * 10_000


class Gated:
    """Says a word, waits for the gate, says another. Counts how many do so at once."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.begun = asyncio.Event()
        self.closed = asyncio.Event()
        self.turns = 0
        self.most = 0
        self._now = 0

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        self.turns += 1
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            yield UpstreamInfo()
            yield TextDelta("before ")
            self.begun.set()
            await self.gate.wait()
            yield TextDelta("after")
            yield Stopped()
        finally:
            self._now -= 1
            self.closed.set()


class Talker:
    """Says ten megabytes at once."""

    def __init__(self) -> None:
        self.finished = asyncio.Event()

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        for _ in range(1000):
            yield TextDelta(CHUNK)
        yield Stopped()
        self.finished.set()


class House:
    def __init__(self, **settings: Any) -> None:
        self.gated = Gated()
        self.talker = Talker()
        self.app = ResponsesApp(
            store=MemoryStore(),
            models={"echo": EchoProvider(), "gated": self.gated, "talker": self.talker},
            settings=Settings(drain_s=1, **settings),
        )
        self.address = ""

    async def retrieve_when_ended(self, id: str) -> Any:
        async with openai_client(self.app) as client, asyncio.timeout(PATIENCE_S):
            while (response := await client.responses.retrieve(id)).status == "in_progress":
                await asyncio.sleep(0.01)
        return response


@contextlib.asynccontextmanager
async def house(**settings: Any) -> AsyncIterator[House]:
    it = House(**settings)
    async with live(it.app) as it.address:
        yield it


@contextlib.asynccontextmanager
async def connected(**settings: Any) -> AsyncIterator[tuple[House, Line]]:
    async with house(**settings) as it, line(it.address) as client:
        yield it, client


SCOPE = {"type": "websocket", "path": "/responses", "headers": []}


def asked(**message: Any) -> dict[str, Any]:
    """As a server hands it to the application."""
    create = {"type": "response.create", "model": "gated", "input": "hi", **message}
    return {"type": "websocket.receive", "text": json.dumps(create)}


# --- the queue


async def test_messages_wait_their_turn_and_are_answered_in_order() -> None:
    async with connected() as (its, client):
        for n in range(8):
            await client.say(model="gated", metadata={"n": str(n)})
        await its.gated.begun.wait()
        its.gated.gate.set()
        ended = [(await client.turn())[-1]["response"] for _ in range(8)]
    assert [response["metadata"]["n"] for response in ended] == [str(n) for n in range(8)]
    assert (its.gated.turns, its.gated.most) == (8, 1)


async def test_beyond_the_queue_a_message_is_refused_and_the_rest_goes_on() -> None:
    async with connected(socket_queue=2) as (its, client):
        await client.say(model="gated")
        await its.gated.begun.wait()
        for n in range(3):
            await client.say(input=f"waiting {n}")
        heard = await client.turn()
        its.gated.gate.set()
        rest = [(await client.turn())[-1]["response"] for _ in range(3)]
        later = await client.answer(input="later")

    assert (heard[-1]["type"], heard[-1]["status"]) == ("error", 429)
    assert heard[-1]["error"]["code"] == "websocket_queue_full"
    assert [text(response) for response in rest] == [
        "before after",
        "user: waiting 0",
        "user: waiting 1",
    ]
    assert text(later) == "user: later"


async def test_what_waits_is_bounded_in_bytes_too() -> None:
    async with connected(max_body_bytes=1000) as (its, client):
        await client.say(model="gated")
        await its.gated.begun.wait()
        for _ in range(2):
            await client.say(input="x" * 600)
        heard = await client.turn()
        its.gated.gate.set()
        assert heard[-1]["error"]["code"] == "websocket_queue_full"
        assert text((await client.turn())[-1]["response"]) == "before after"
        assert text((await client.turn())[-1]["response"]) == "user: " + "x" * 600


@pytest.mark.parametrize("letter", ["x", "é"])
async def test_a_message_may_be_so_large_and_no_larger(letter: str) -> None:
    message = json.dumps({"type": "response.create", "model": "echo", "input": ""})
    room = 500 - len(message)
    letters = letter * (room // len(letter.encode()))
    fits = message[:-2] + letters + message[-2:]
    async with connected(max_body_bytes=500) as (_, client):
        await client.send(fits)
        assert text((await client.turn())[-1]["response"]) == f"user: {letters}"
        await client.send(fits[:-2] + letter * 2 + fits[-2:])
        (refused,) = await client.turn()
        assert (refused["status"], refused["error"]["code"]) == (413, "request_too_large")
        assert text(await client.answer(input="still here")) == "user: still here"


async def test_an_inbox_that_is_closed_hands_out_nothing() -> None:
    inbox = Inbox(messages=2, size=100)
    inbox.put(b"waiting")
    inbox.close()
    assert await inbox.take() is None


# --- time


async def test_a_silent_connection_is_closed() -> None:
    async with connected(socket_idle_s=0.3) as (_, client):
        assert text(await client.answer(input="in time")) == "user: in time"
        error = await client.event()
        assert (error["type"], error["error"]["code"]) == ("error", "websocket_idle_timeout")
        assert await client.closed() == GOING_AWAY


async def test_a_slow_answer_is_not_silence() -> None:
    async with connected(socket_idle_s=0.3) as (its, client):
        await client.say(model="gated")
        await its.gated.begun.wait()
        await asyncio.sleep(0.5)
        its.gated.gate.set()
        assert text((await client.turn())[-1]["response"]) == "before after"


async def test_an_old_connection_finishes_its_turn_and_begins_no_other() -> None:
    async with connected(socket_limit_s=0.3) as (its, client):
        await client.say(model="gated")
        await client.say(input="too late")
        await its.gated.begun.wait()
        await asyncio.sleep(0.4)
        its.gated.gate.set()
        assert text((await client.turn())[-1]["response"]) == "before after"
        error = await client.event()
        assert error["status"] == 400
        assert error["error"]["code"] == "websocket_connection_limit_reached"
        assert await client.closed() == GOING_AWAY


async def test_an_old_connection_that_is_silent_has_reached_its_limit() -> None:
    async with connected(socket_limit_s=0.05, socket_idle_s=5) as (_, client):
        error = await client.event()
        assert error["error"]["code"] == "websocket_connection_limit_reached"


# --- clients that leave


async def leave_after_a_word(its: House, **message: Any) -> str:
    async with line(its.address) as client:
        await client.say(model="gated", **message)
        made = await client.event()
        await its.gated.begun.wait()
    id: str = made["response"]["id"]
    return id


async def test_a_stored_response_is_finished_without_its_client() -> None:
    async with house() as its:
        id = await leave_after_a_word(its)
        await asyncio.sleep(0.05)
        its.gated.gate.set()
        ended = await its.retrieve_when_ended(id)
    assert (ended.status, ended.output_text) == ("completed", "before after")


async def test_an_unstored_response_is_stopped_when_its_client_leaves() -> None:
    async with house() as its:
        await leave_after_a_word(its, store=False)
        await asyncio.wait_for(its.gated.closed.wait(), PATIENCE_S)
        assert not its.gated.gate.is_set()


async def test_a_setting_stops_stored_responses_too() -> None:
    async with house(finish_when_client_leaves=False) as its:
        id = await leave_after_a_word(its)
        await asyncio.wait_for(its.gated.closed.wait(), PATIENCE_S)
        assert (await its.retrieve_when_ended(id)).status == "cancelled"


async def test_a_client_that_leaves_while_its_turn_is_prepared_stops_it() -> None:
    its, reading, read = House(), asyncio.Event(), asyncio.Event()

    class Slow(MemoryStore):
        async def history(self, id: str, *, owner: str) -> History | None:
            reading.set()
            await read.wait()
            return History("completed", [StoredTurn([], [])])

    its.app.store = Slow()
    async with live(its.app) as its.address:
        async with line(its.address) as client:
            await client.say(model="gated", store=False, previous_response_id="resp_1")
            await asyncio.wait_for(reading.wait(), PATIENCE_S)
        await asyncio.sleep(0.05)
        read.set()
        await asyncio.sleep(0.05)
        assert its.gated.turns == 0


async def test_a_client_that_leaves_as_its_turn_begins_stops_it() -> None:
    its, leaving = House(hold_status_s=0.1), asyncio.Event()

    class Last(MemoryStore):
        """Read last before a turn begins."""

        async def history(self, id: str, *, owner: str) -> History | None:
            leaving.set()
            return History("completed", [StoredTurn([], [])])

    its.app.store = Last()
    said = [{"type": "websocket.connect"}, asked(store=False, previous_response_id="resp_1")]

    async def receive() -> Any:
        if not said:
            await leaving.wait()
        return said.pop(0) if said else {"type": "websocket.disconnect", "code": 1006}

    async def send(message: Any) -> None:
        pass

    async with its.app.lifespan():
        await asyncio.wait_for(its.app(SCOPE, receive, send), PATIENCE_S)
        await asyncio.sleep(0)
        assert (await its.app.open()).generations == {}


async def test_what_waited_is_not_answered_for_nobody() -> None:
    async with house() as its:
        async with line(its.address) as client:
            await client.say(model="gated")
            made = await client.event()
            await its.gated.begun.wait()
            await client.say(model="gated")
        its.gated.gate.set()
        await its.retrieve_when_ended(made["response"]["id"])
        await asyncio.sleep(0.05)
        assert its.gated.turns == 1


# --- clients that are slow


async def test_a_slow_client_loses_nothing_and_holds_nobody_up() -> None:
    async with house() as its, line(its.address) as slow, line(its.address) as other:
        await slow.say(model="talker")
        await asyncio.wait_for(its.talker.finished.wait(), PATIENCE_S)
        assert text(await other.answer(input="meanwhile")) == "user: meanwhile"
        heard = await slow.turn()
    assert text(heard[-1]["response"]) == CHUNK * 1000
    assert [event["sequence_number"] for event in heard] == list(range(len(heard)))


async def test_a_client_that_takes_nothing_is_given_up() -> None:
    its = House(socket_idle_s=0.1)
    said: asyncio.Queue[Any] = asyncio.Queue()
    said.put_nowait({"type": "websocket.connect"})
    said.put_nowait(asked(store=False))

    async def send(message: Any) -> None:
        """As a server whose buffer is full, which takes megabytes on a real socket."""
        if message["type"] == "websocket.send":
            await asyncio.Event().wait()

    async with its.app.lifespan():
        await asyncio.wait_for(its.app(SCOPE, said.get, send), PATIENCE_S)
        await asyncio.wait_for(its.gated.closed.wait(), PATIENCE_S)
