"""Every method of the official client that the API has, called against the application.

Its answers are the client's own types, so what would not parse fails here.
"""

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from live import live
from openai import AsyncOpenAI
from openai.types.responses import ResponseFunctionToolCall
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.routing import Mount

from responses_mw import ResponsesApp
from responses_mw.testing import CheckModel, EchoProvider, check_event_order, openai_client

COVERED = {
    "responses": {"create", "stream", "parse", "retrieve", "cancel", "delete", "compact",
                  "connect", "input_items", "input_tokens"},
    "responses.input_items": {"list"},
    "responses.input_tokens": {"count"},
    "conversations": {"create", "retrieve", "update", "delete", "items"},
    "conversations.items": {"create", "list", "retrieve", "delete"},
    "models": {"list", "retrieve"},
}  # fmt: skip
NOT_OURS = {"models": {"delete"}}
"""Deletes fine-tuned models."""

WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture
async def app() -> AsyncIterator[ResponsesApp]:
    models = {"echo": EchoProvider(), "check": CheckModel(pause=0.001)}
    it = ResponsesApp(store="memory://", models=models)
    async with it.lifespan():
        yield it


@pytest.fixture
async def client(app: ResponsesApp) -> AsyncIterator[AsyncOpenAI]:
    async with openai_client(app) as it:
        yield it


@pytest.mark.parametrize("path", COVERED)
def test_every_method_of_the_client_is_covered(path: str) -> None:
    resource: Any = AsyncOpenAI(api_key="none")
    for name in path.split("."):
        resource = getattr(resource, name)
    methods = {name for name in dir(resource) if not name.startswith(("_", "with_"))}

    assert methods == COVERED[path] | NOT_OURS.get(path, set())


async def gone(call: Any) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await call
    assert caught.value.type == "invalid_request_error"


# --- responses


async def test_create_retrieve_and_delete(client: AsyncOpenAI) -> None:
    made = await client.responses.create(
        model="echo", input="Hi.", instructions="Be brief.", metadata={"a": "b"}
    )
    again = await client.responses.retrieve(made.id, include=["reasoning.encrypted_content"])
    await client.responses.delete(made.id)

    assert made.output_text == "user: Hi."
    assert again == made
    await gone(client.responses.retrieve(made.id))
    await gone(client.responses.delete(made.id))
    await gone(client.responses.input_items.list(made.id))


async def test_create_with_stream_tells_what_is_stored(client: AsyncOpenAI) -> None:
    events = [
        event
        async for event in await client.responses.create(model="echo", input="Hi.", stream=True)
    ]

    check_event_order(events)
    last: Any = events[-1]
    assert last.type == "response.completed"
    assert await client.responses.retrieve(last.response.id) == last.response


async def test_a_stream_can_be_retrieved_again_from_any_event(client: AsyncOpenAI) -> None:
    made = await client.responses.create(model="echo", input="Hi.")

    whole = [event async for event in await client.responses.retrieve(made.id, stream=True)]
    rest = [
        event
        async for event in await client.responses.retrieve(made.id, stream=True, starting_after=2)
    ]

    check_event_order(whole)
    assert rest == whole[3:]


async def test_stream_hands_out_deltas_and_the_final_response(client: AsyncOpenAI) -> None:
    said = []
    async with client.responses.stream(model="check", input="Say hello.") as stream:
        async for event in stream:
            if event.type == "response.output_text.delta":
                said.append(event.delta)
        final = await stream.get_final_response()
    async with client.responses.stream(response_id=final.id) as again:
        retold = await again.get_final_response()

    assert "".join(said) == final.output_text != ""
    assert retold.output_text == final.output_text


async def test_stream_parses_arguments_and_structured_output(client: AsyncOpenAI) -> None:
    async with client.responses.stream(
        model="check", input="The weather in Paris?", tools=[WEATHER], tool_choice="required"
    ) as stream:
        called = await stream.get_final_response()
    async with client.responses.stream(
        model="check", input="Invent a person.", text_format=Person
    ) as stream:
        made = await stream.get_final_response()

    (call,) = called.output
    assert isinstance(call, ResponseFunctionToolCall)
    assert call.name == "get_weather"
    assert isinstance(made.output_parsed, Person)


async def test_parse_gives_the_object(client: AsyncOpenAI) -> None:
    made = await client.responses.parse(model="check", input="Invent a person.", text_format=Person)

    assert isinstance(made.output_parsed, Person)


async def test_cancel_stops_what_runs_in_the_background(client: AsyncOpenAI) -> None:
    made = await client.responses.create(
        model="check", input="Count from 1 to 2000.", background=True
    )
    assert made.status == "queued"

    stopped = await client.responses.cancel(made.id)

    assert stopped.status == "cancelled"
    assert await client.responses.cancel(made.id) == stopped
    assert await client.responses.retrieve(made.id) == stopped


async def test_input_items_are_listed_page_by_page(client: AsyncOpenAI) -> None:
    texts = [f"item {n}" for n in range(7)]
    made = await client.responses.create(
        model="echo", input=[{"role": "user", "content": text} for text in texts]
    )

    listed: list[Any] = [
        item
        async for item in client.responses.input_items.list(
            made.id, limit=3, order="asc", include=["message.input_image.image_url"]
        )
    ]

    assert [item.content[0].text for item in listed] == texts


async def test_input_tokens_are_counted(client: AsyncOpenAI) -> None:
    made = await client.responses.create(model="echo", input="Hi there, how are you?")

    alone = await client.responses.input_tokens.count(model="echo", input="Hi.")
    after = await client.responses.input_tokens.count(
        model="echo", input="Hi.", previous_response_id=made.id, tools=[WEATHER]
    )

    assert 0 < alone.input_tokens < after.input_tokens


async def test_compact_makes_an_item_that_stands_for_the_rest(client: AsyncOpenAI) -> None:
    made = await client.responses.create(model="check", input="My dog is called Bruno.")

    compacted = await client.responses.compact(model="check", previous_response_id=made.id)
    # The client's types know no user's message in an output; it hands them over all the same.
    sent: Any = [item.to_dict(warnings=False) for item in compacted.output]
    question: Any = {"role": "user", "content": "What is my dog called?"}
    answer = await client.responses.create(model="check", input=[*sent, question])

    assert [item.type for item in compacted.output] == ["message", "compaction"]
    assert compacted.usage.total_tokens > 0
    assert "Bruno" in answer.output_text


async def test_connect_holds_a_conversation_on_a_websocket(app: ResponsesApp) -> None:
    async with (
        live(Starlette(routes=[Mount("/v1", app)])) as address,
        AsyncOpenAI(base_url=f"http://{address}/v1", api_key="none") as client,
        client.responses.connect() as connection,
    ):
        await connection.response.create(model="echo", input="one", store=False)
        first = await completed(connection)
        await connection.response.create(
            model="echo", input="two", store=False, previous_response_id=first.id
        )
        second = await completed(connection)

    assert second.output_text == "user: one\nassistant: user: one\nuser: two"


async def completed(connection: Any) -> Any:
    async for event in connection:
        if event.type == "response.completed":
            return event.response
    raise AssertionError("the connection ended before the response")


# --- conversations


async def test_conversations_are_made_changed_and_deleted(client: AsyncOpenAI) -> None:
    made = await client.conversations.create(
        items=[{"role": "user", "content": "one"}], metadata={"a": "b"}
    )
    changed = await client.conversations.update(made.id, metadata={"c": "d"})
    again = await client.conversations.retrieve(made.id)
    answer = await client.responses.create(model="echo", input="two", conversation=made.id)
    deleted = await client.conversations.delete(made.id)

    assert made.metadata == {"a": "b"}
    assert again == changed
    assert changed.metadata == {"c": "d"}
    assert answer.output_text == "user: one\nuser: two"
    assert answer.conversation is not None
    assert answer.conversation.id == made.id
    assert (deleted.deleted, deleted.id) == (True, made.id)
    await gone(client.conversations.retrieve(made.id))
    assert await client.responses.retrieve(answer.id) == answer


async def test_items_of_a_conversation_are_added_listed_and_taken_out(client: AsyncOpenAI) -> None:
    conversation = await client.conversations.create()
    texts = [f"item {n}" for n in range(5)]
    items = client.conversations.items

    added: Any = await items.create(
        conversation.id, items=[{"role": "user", "content": text} for text in texts]
    )
    first = added.data[0]
    one: Any = await items.retrieve(first.id, conversation_id=conversation.id)
    left = await items.delete(first.id, conversation_id=conversation.id)
    listed: list[Any] = [item async for item in items.list(conversation.id, limit=2, order="asc")]

    assert one == first
    assert left == conversation
    assert [item.content[0].text for item in listed] == texts[1:]
    await gone(items.retrieve(first.id, conversation_id=conversation.id))


# --- models


async def test_models_are_listed_and_retrieved(client: AsyncOpenAI) -> None:
    models = [model async for model in client.models.list()]

    assert [model.id for model in models] == ["echo", "check"]
    assert await client.models.retrieve("echo") == models[0]
    await gone(client.models.retrieve("gpt-none"))


async def test_a_models_name_may_hold_slashes() -> None:
    app = ResponsesApp(store="memory://", models={"vendor/model": EchoProvider()})
    async with app.lifespan(), openai_client(app) as client:
        assert (await client.models.retrieve("vendor/model")).id == "vendor/model"
