"""Conversations: a line of turns that several clients share, in one order, nothing lost."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from every_store import store, store_url
from openai import AsyncOpenAI

from responses_mw.app import ResponsesApp
from responses_mw.deltas import Stopped, TextDelta, ToolCallDelta, ToolCallStarted
from responses_mw.errors import UpstreamUnavailable
from responses_mw.settings import Settings
from responses_mw.testing import EchoProvider, ScriptedProvider, openai_client
from stores import SessionStore

__all__ = ["store", "store_url"]

CALL = [ToolCallStarted(0, "f", "call_1"), ToolCallDelta(0, "{}"), Stopped()]
BROKEN = [TextDelta("half"), UpstreamUnavailable("gone")]


class House:
    def __init__(self, store: SessionStore) -> None:
        self.scripted = ScriptedProvider("one", "two", "three")
        self.slow = ScriptedProvider(*([0.01, TextDelta(f"s{n}"), Stopped()] for n in range(40)))
        self.app = ResponsesApp(
            store=store,
            models={
                "echo": EchoProvider(),
                "scripted": self.scripted,
                "slow": self.slow,
                "calls": ScriptedProvider(CALL, "sunny"),
                "broken": ScriptedProvider(BROKEN),
            },
            owner=lambda request: request.headers["authorization"].removeprefix("Bearer "),
            settings=Settings(drain_s=1, conversation_wait_s=5),
        )


@pytest.fixture
async def house(store: SessionStore) -> AsyncIterator[House]:
    it = House(store)
    async with it.app.lifespan():
        yield it


@pytest.fixture
async def client(house: House) -> AsyncIterator[AsyncOpenAI]:
    async with openai_client(house.app, api_key="ann") as it:
        yield it


def said(text: str) -> Any:
    return {"type": "message", "role": "user", "content": text}


async def texts(client: AsyncOpenAI, id: str) -> list[str]:
    found = []
    async for item in client.conversations.items.list(id, order="asc", limit=3):
        found.append(item.to_dict()["content"][0]["text"])  # type: ignore[index]
    return found


async def test_turns_of_a_conversation_know_each_other(client: AsyncOpenAI) -> None:
    made = await client.conversations.create(items=[said("I am Ann.")], metadata={"a": "b"})
    one = await client.responses.create(model="scripted", input="hi", conversation=made.id)
    assert one.conversation is not None
    assert one.conversation.id == made.id
    two = await client.responses.create(model="echo", input="who?", conversation={"id": made.id})
    assert two.output_text == "user: I am Ann.\nuser: hi\nassistant: one\nuser: who?"
    assert await texts(client, made.id) == ["I am Ann.", "hi", "one", "who?", two.output_text]
    assert (await client.conversations.retrieve(made.id)) == made


async def test_posted_items_are_part_of_it(client: AsyncOpenAI) -> None:
    made = await client.conversations.create()
    await client.responses.create(model="scripted", input="hi", conversation=made.id)
    added = await client.conversations.items.create(
        made.id, items=[said("a"), {"type": "message", "role": "assistant", "content": "b"}]
    )
    assert [item.to_dict()["content"][0]["text"] for item in added.data] == ["a", "b"]  # type: ignore[index]
    told = await client.responses.create(model="echo", input="?", conversation=made.id)
    assert told.output_text.splitlines() == [
        "user: hi", "assistant: one", "user: a", "assistant: b", "user: ?",
    ]  # fmt: skip


async def test_deleting_an_item_takes_it_out_of_the_conversation_alone(
    client: AsyncOpenAI,
) -> None:
    made = await client.conversations.create()
    one = await client.responses.create(model="scripted", input="secret", conversation=made.id)
    items = [item.to_dict() async for item in client.conversations.items.list(made.id, order="asc")]
    left = await client.conversations.items.delete(str(items[0]["id"]), conversation_id=made.id)
    assert left.id == made.id
    with pytest.raises(openai.NotFoundError):
        await client.conversations.items.retrieve(str(items[0]["id"]), conversation_id=made.id)
    told = await client.responses.create(model="echo", input="?", conversation=made.id)
    assert told.output_text == "assistant: one\nuser: ?"
    inputs = await client.responses.input_items.list(one.id)
    assert len(inputs.data) == 1


async def test_items_that_came_under_one_id_are_listed_and_deleted_apart(
    client: AsyncOpenAI,
) -> None:
    id = (await client.conversations.create()).id
    for words in (["a", "b"], ["c"]):
        items: Any = [{"id": "msg_mine", **said(word)} for word in words]
        await client.conversations.items.create(id, items=items)
    turn = await client.responses.create(model="echo", input=items, conversation=id)

    listed: list[Any] = []
    async for item in client.conversations.items.list(id, limit=1, order="asc"):
        listed.append(item)
        assert len(listed) <= 5, "in circles"
    ids = [item.id for item in listed]
    assert len(set(ids)) == 5
    assert ids[0] == "msg_mine"
    for item in listed:
        assert await client.conversations.items.retrieve(item.id, conversation_id=id) == item
    await client.conversations.items.delete(ids[2], conversation_id=id)
    assert await texts(client, id) == ["a", "b", "c", turn.output_text]
    again = await client.responses.create(model="echo", input="d", conversation=id)
    assert "\n".join(again.output_text.splitlines()[:3]) == "user: a\nuser: b\nuser: c"


async def test_updating_and_deleting(client: AsyncOpenAI) -> None:
    made = await client.conversations.create(metadata={"a": "b"})
    changed = await client.conversations.update(made.id, metadata={"c": "d"})
    assert changed.metadata == {"c": "d"}
    response = await client.responses.create(model="scripted", input="hi", conversation=made.id)
    gone = await client.conversations.delete(made.id)
    assert gone.to_dict() == {"id": made.id, "object": "conversation.deleted", "deleted": True}
    for attempt in (
        client.conversations.retrieve(made.id),
        client.conversations.delete(made.id),
        client.conversations.items.list(made.id),
        client.conversations.items.create(made.id, items=[said("x")]),
        client.responses.create(model="echo", input="?", conversation=made.id),
    ):
        with pytest.raises(openai.NotFoundError):
            await attempt
    assert (await client.responses.retrieve(response.id)).output_text == "one"
    more = await client.responses.create(model="echo", input="?", previous_response_id=response.id)
    assert more.output_text == "user: hi\nassistant: one\nuser: ?"


async def test_a_deleted_response_stays_in_its_conversation(client: AsyncOpenAI) -> None:
    made = await client.conversations.create()
    one = await client.responses.create(model="scripted", input="hi", conversation=made.id)
    await client.responses.delete(one.id)
    told = await client.responses.create(model="echo", input="?", conversation=made.id)
    assert told.output_text == "user: hi\nassistant: one\nuser: ?"


async def test_concurrent_turns_end_in_one_order_and_none_is_lost(
    house: House, client: AsyncOpenAI
) -> None:
    made = await client.conversations.create()

    async def turn(n: int) -> None:
        await client.responses.create(model="slow", input=f"q{n}", conversation=made.id)

    await asyncio.gather(*(turn(n) for n in range(12)))
    found = await texts(client, made.id)
    assert sorted(text for text in found if text.startswith("q")) == sorted(
        f"q{n}" for n in range(12)
    )
    assert [text for text in found if text.startswith("s")] == [f"s{n}" for n in range(12)]
    # Each turn was shown exactly what stands before it in the end.
    for n, asked in enumerate(house.slow.turns):
        shown = [item["content"][0]["text"] for item in asked.items]
        assert shown == found[: 2 * n + 1]


async def test_a_turn_that_waits_too_long_is_told_so(store: SessionStore) -> None:
    gate = asyncio.Event()
    app = ResponsesApp(
        store=store,
        models={"gated": ScriptedProvider([gate, "x"]), "echo": EchoProvider()},
        settings=Settings(drain_s=1, conversation_wait_s=0.1),
    )
    async with app.lifespan(), openai_client(app) as client:
        made = await client.conversations.create()
        running = asyncio.create_task(
            client.responses.create(model="gated", input="hi", conversation=made.id)
        )
        await asyncio.sleep(0.1)
        for attempt in (
            client.responses.create(model="echo", input="?", conversation=made.id),
            client.conversations.items.create(made.id, items=[said("x")]),
        ):
            with pytest.raises(openai.BadRequestError) as caught:
                await attempt
            assert caught.value.code == "conversation_locked"
        gate.set()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_refused_turn_gives_the_conversation_back(client: AsyncOpenAI) -> None:
    made = await client.conversations.create()
    for _ in range(2):
        orphan: Any = [{"type": "function_call_output", "call_id": "nope", "output": "x"}]
        with pytest.raises(openai.BadRequestError, match="No tool call found"):
            await client.responses.create(model="echo", input=orphan, conversation=made.id)
    assert await texts(client, made.id) == []
    await client.responses.create(model="scripted", input="hi", conversation=made.id)


async def test_what_a_failed_turn_said_stays(client: AsyncOpenAI) -> None:
    made = await client.conversations.create()
    await client.responses.create(model="broken", input="hi", conversation=made.id)
    told = await client.responses.create(model="echo", input="?", conversation=made.id)
    assert told.output_text == "user: hi\nassistant: half\nuser: ?"


async def test_tools_in_a_conversation(client: AsyncOpenAI) -> None:
    made = await client.conversations.create()
    tools: Any = [{"type": "function", "name": "f", "parameters": {}, "strict": False}]
    await client.responses.create(model="calls", input="hi", conversation=made.id, tools=tools)
    output: Any = [{"type": "function_call_output", "call_id": "call_1", "output": "sun"}]
    told = await client.responses.create(
        model="calls", input=output, conversation=made.id, tools=tools
    )
    assert told.output_text == "sunny"


async def test_streamed_and_background_turns(client: AsyncOpenAI) -> None:
    made = await client.conversations.create()
    async for _ in await client.responses.create(
        model="scripted", input="hi", conversation=made.id, stream=True
    ):
        pass
    queued = await client.responses.create(
        model="scripted", input="more", conversation=made.id, background=True
    )
    told = await client.responses.create(model="echo", input="?", conversation=made.id)
    assert told.output_text.splitlines() == [
        "user: hi", "assistant: one", "user: more", "assistant: two", "user: ?",
    ]  # fmt: skip
    assert (await client.responses.retrieve(queued.id)).status == "completed"


async def test_another_owners_conversation_does_not_exist(
    house: House, client: AsyncOpenAI
) -> None:
    made = await client.conversations.create(items=[said("secret")])
    async with openai_client(house.app, api_key="bob") as bob:
        for attempt in (
            bob.conversations.retrieve(made.id),
            bob.conversations.update(made.id, metadata={}),
            bob.conversations.delete(made.id),
            bob.conversations.items.list(made.id),
            bob.conversations.items.create(made.id, items=[said("x")]),
            bob.responses.create(model="echo", input="?", conversation=made.id),
            bob.responses.retrieve(made.id),
        ):
            with pytest.raises(openai.NotFoundError):
                await attempt
    assert await texts(client, made.id) == ["secret"]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/conversations", {"items": [said("x")] * 21}, "items"),
        ("/conversations", {"items": [{"type": "nope"}]}, "items[0].type"),
        ("/conversations", {"metadata": {"a": 1}}, "metadata.a"),
        ("/conversations", {"nonsense": 1}, "nonsense"),
        ("/conversations/conv_x/items", {}, "items"),
        ("/conversations/conv_x", {}, "metadata"),
    ],
)
async def test_bad_bodies_are_refused(
    client: AsyncOpenAI, path: str, body: Any, param: str
) -> None:
    answer = await client._client.post(
        f"http://test/v1{path}", json=body, headers={"authorization": "Bearer ann"}
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
