"""What a stored turn promises, on every store: the promises of docs/design, each by its name."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import openai
import pytest
from every_store import store, store_url
from openai import AsyncOpenAI

from responses_mw.app import ResponsesApp
from responses_mw.deltas import Delta, Stopped, TextDelta, UpstreamInfo
from responses_mw.ids import new_id
from responses_mw.settings import Settings
from responses_mw.testing import EchoProvider, ScriptedProvider, openai_client
from responses_mw.testing.asgi import InProcessTransport
from responses_mw.turn import Turn
from stores import Lease, NewResponse, Outcome, SessionStore

__all__ = ["store", "store_url"]


class Gated:
    """Says one word, waits for the gate, says another. Knows when it was closed."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self.closed = asyncio.Event()
        self.finished = False

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        try:
            yield UpstreamInfo()
            yield TextDelta("before ")
            self.begun.set()
            await self.gate.wait()
            yield TextDelta("after")
            yield Stopped()
            self.finished = True
        finally:
            self.closed.set()


def owner_of(request: Any) -> str | None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key if scheme == "Bearer" and key != "nobody" else None


class House:
    """One application over the store under test."""

    def __init__(self, store: SessionStore) -> None:
        self.gated = Gated()
        self.echo = EchoProvider()
        self.scripted = ScriptedProvider(*["ok"] * 2000)
        self.store = store
        self.app = self.application()

    def application(self, **settings: Any) -> ResponsesApp:
        return ResponsesApp(
            store=self.store,
            models={"echo": self.echo, "gated": self.gated, "scripted": self.scripted},
            owner=owner_of,
            settings=Settings(drain_s=1, **settings),
        )

    def client(self, owner: str = "ann", app: ResponsesApp | None = None) -> AsyncOpenAI:
        return openai_client(app or self.app, api_key=owner)


@pytest.fixture
async def house(store: SessionStore) -> AsyncIterator[House]:
    it = House(store)
    async with it.app.lifespan():
        yield it


async def leave_after(house: House, word: str, **body: Any) -> str:
    """Streams until the word was heard, then hangs up. The id of the response."""
    transport = InProcessTransport(house.app)
    headers = {"authorization": "Bearer ann"}
    async with httpx2.AsyncClient(transport=transport, headers=headers) as http:
        asked = {"model": "gated", "input": "hi", "stream": True, **body}
        async with http.stream("POST", "http://test/responses", json=asked) as answer:
            heard = ""
            async for text in answer.aiter_text():
                heard += text
                if word in heard:
                    break
    return "resp_" + heard.split('"id":"resp_')[1][:32]


async def retrieve_when_ended(client: AsyncOpenAI, id: str) -> Any:
    async with asyncio.timeout(5):
        while (response := await client.responses.retrieve(id)).status == "in_progress":
            await asyncio.sleep(0.01)
    return response


# --- 1. read your write


async def test_read_your_write(house: House) -> None:
    async with house.client() as client:
        last = None
        for n in range(20):
            stream = await client.responses.create(
                model="scripted", input=f"turn {n}", previous_response_id=last, stream=True
            )
            async for event in stream:
                if event.type == "response.completed":
                    last = event.response.id
                    heard = await client.responses.retrieve(last)
                    assert heard == event.response
    assert len(list(house.scripted.turns[-1].items)) == 39


# --- 2. nothing is stranded


async def test_a_stored_response_is_finished_without_its_client(house: House) -> None:
    id = await leave_after(house, "before ")
    async with house.client() as client:
        running = await client.responses.retrieve(id)
        assert running.status == "in_progress"
        house.gated.gate.set()
        ended = await retrieve_when_ended(client, id)
        assert (ended.status, ended.output_text) == ("completed", "before after")
        more = await client.responses.create(model="echo", input="?", previous_response_id=id)
        assert more.output_text == "user: hi\nassistant: before after\nuser: ?"


async def test_an_unstored_response_is_stopped_when_its_client_leaves(house: House) -> None:
    await leave_after(house, "before ", store=False)
    await asyncio.wait_for(house.gated.closed.wait(), 5)
    assert not house.gated.finished


async def test_a_setting_cancels_stored_responses_too(store: SessionStore) -> None:
    house = House(store)
    house.app = house.application(finish_when_client_leaves=False)
    async with house.app.lifespan(), house.client() as client:
        id = await leave_after(house, "before ")
        await asyncio.wait_for(house.gated.closed.wait(), 5)
        ended = await retrieve_when_ended(client, id)
    assert (ended.status, ended.output_text) == ("cancelled", "before ")


async def test_continuing_a_running_response_waits_its_turn(house: House) -> None:
    id = await leave_after(house, "before ")
    async with house.client() as client:
        with pytest.raises(openai.ConflictError) as caught:
            await client.responses.create(model="echo", input="?", previous_response_id=id)
        assert caught.value.code == "response_in_progress"
        assert caught.value.response.headers["retry-after"] == "1"


async def test_a_shutdown_keeps_what_was_said(store: SessionStore) -> None:
    house = House(store)
    house.app = house.application(finish_when_client_leaves=True)
    async with house.app.lifespan():
        id = await leave_after(house, "before ")
    async with house.app.lifespan(), house.client() as client:
        ended = await client.responses.retrieve(id)
    assert ended.status in ("failed", "cancelled")
    assert ended.output_text == "before "


async def test_what_a_dead_worker_left_is_ended_by_another(house: House) -> None:
    id = await leave_after(house, "before ")
    # Another worker, for which this one's lease is over at once.
    other = house.application(lease_s=0.05)
    await expire_leases(house.store)
    async with other.lifespan(), house.client(app=other) as client:
        ended = await retrieve_when_ended(client, id)
        assert ended.status == "failed"
        assert ended.error is not None
        assert "the worker that generated this response stopped" in ended.error.message
        house.gated.gate.set()
        await asyncio.sleep(0.1)
        again = await client.responses.retrieve(id)
        assert again == ended, "the worker that lost its lease must not write"
        await client.responses.create(model="echo", input="?", previous_response_id=id)


async def expire_leases(store: SessionStore) -> None:
    past = datetime.now(UTC) - timedelta(seconds=5)
    far = datetime.now(UTC) + timedelta(days=365)
    for taken in await store.take_expired("probe", now=far, until=past):
        assert taken.lease is not None


# --- 3. nothing is silently shorter


async def test_a_chain_of_500_turns_reaches_the_provider_whole(house: House) -> None:
    async with house.client() as client:
        last = None
        for _ in range(2):
            made = await client.responses.create(
                model="scripted", input="by the API", previous_response_id=last
            )
            last = made.id
        last = await lengthen(house.store, last or "", turns=497)
        made = await client.responses.create(
            model="scripted", input="turn 499", previous_response_id=last
        )
        await client.responses.create(model="scripted", input="end", previous_response_id=made.id)
    said = [item["content"][0]["text"] for item in house.scripted.turns[-1].items]
    stored = [text for n in range(497) for text in (f"turn {n}", "ok")]
    assert said == ["by the API", "ok"] * 2 + stored + ["turn 499", "ok", "end"]


async def lengthen(store: SessionStore, last: str, *, turns: int) -> str:
    """Adds turns as the service does, without the time that the HTTP client takes."""
    until = datetime.now(UTC) + timedelta(minutes=5)
    for n in range(turns):
        id = new_id("resp")
        lease = Lease("test", until)
        body = {"id": id, "status": "completed"}
        asked, said = message("user", f"turn {n}"), message("assistant", "ok")
        new = NewResponse(id, body, [asked], datetime.now(UTC), lease, parent=last)
        assert await store.reserve(new, owner="ann")
        assert await store.finish(id, Outcome("completed", body, [said]), owner="ann", lease=lease)
        last = id
    return last


def message(role: str, text: str) -> dict[str, Any]:
    part = "input_text" if role == "user" else "output_text"
    return {"type": "message", "role": role, "content": [{"type": part, "text": text}]}


# --- 4. deleting is exact


async def test_a_deleted_response_is_gone_and_its_descendants_are_whole(house: House) -> None:
    async with house.client() as client:
        one = await client.responses.create(model="scripted", input="one")
        two = await client.responses.create(
            model="scripted", input="two", previous_response_id=one.id
        )
        await client.responses.delete(one.id)
        for attempt in (
            client.responses.retrieve(one.id),
            client.responses.delete(one.id),
            client.responses.input_items.list(one.id),
        ):
            with pytest.raises(openai.NotFoundError):
                await attempt
        with pytest.raises(openai.BadRequestError):
            await client.responses.create(model="echo", input="?", previous_response_id=one.id)
        told = await client.responses.create(model="echo", input="?", previous_response_id=two.id)
    assert told.output_text.splitlines()[:2] == ["user: one", "assistant: ok"]


async def test_deleting_a_running_response_lets_nothing_come_back(house: House) -> None:
    id = await leave_after(house, "before ")
    async with house.client() as client:
        await client.responses.delete(id)
        house.gated.gate.set()
        await asyncio.wait_for(house.gated.closed.wait(), 5)
        await asyncio.sleep(0.05)
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(id)


# --- 5. owners never meet


async def test_another_owners_response_does_not_exist(house: House) -> None:
    async with house.client("ann") as ann, house.client("bob") as bob:
        hers = await ann.responses.create(model="scripted", input="secret")
        for attempt in (
            bob.responses.retrieve(hers.id),
            bob.responses.delete(hers.id),
            bob.responses.input_items.list(hers.id),
        ):
            with pytest.raises(openai.NotFoundError):
                await attempt
        with pytest.raises(openai.BadRequestError, match="not found"):
            await bob.responses.create(model="echo", input="?", previous_response_id=hers.id)
        assert (await ann.responses.retrieve(hers.id)).id == hers.id


async def test_nobody_is_refused(house: House) -> None:
    async with house.client("nobody") as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            await client.responses.create(model="echo", input="?")
    assert caught.value.code == "invalid_api_key"


# --- 6. branches are free


async def test_concurrent_branches_do_not_see_each_other(house: House) -> None:
    async with house.client() as client:
        root = await client.responses.create(model="scripted", input="root")

        async def branch(name: str) -> str:
            one = await client.responses.create(
                model="scripted", input=f"I am {name}.", previous_response_id=root.id
            )
            two = await client.responses.create(
                model="echo", input="Who?", previous_response_id=one.id
            )
            return two.output_text

        told = await asyncio.gather(*(branch(f"n{n}") for n in range(16)))
    for n, text in enumerate(told):
        assert text.splitlines() == [
            "user: root", "assistant: ok", f"user: I am n{n}.", "assistant: ok", "user: Who?",
        ]  # fmt: skip
