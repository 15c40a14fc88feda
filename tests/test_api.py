"""The routes as a client sees them: what is answered, echoed, stored and refused."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI
from scripted import serving

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
    UsageReported,
)
from responses_mw.settings import Settings
from responses_mw.testing import EchoProvider, ScriptedProvider, check_event_order, openai_client
from responses_mw.testing.asgi import InProcessTransport
from stores import MemoryStore

WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {}},
    "strict": False,
}
CALL = [ToolCallStarted(0, "weather", "call_1"), ToolCallDelta(0, "{}"), Stopped()]


@pytest.fixture
def scripted() -> ScriptedProvider:
    return ScriptedProvider("first answer", "second answer", "third answer")


@pytest.fixture
async def app(scripted: ScriptedProvider) -> AsyncIterator[ResponsesApp]:
    models = {"scripted": scripted, "echo": EchoProvider()}
    it = ResponsesApp(store=MemoryStore(), models=models, settings=Settings(drain_s=1))
    async with it.lifespan():
        yield it


@pytest.fixture
async def client(app: ResponsesApp) -> AsyncIterator[AsyncOpenAI]:
    async with openai_client(app) as it:
        yield it


@pytest.fixture
async def http(app: ResponsesApp) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(transport=InProcessTransport(app), base_url="http://test") as it:
        yield it


async def test_the_third_turn_knows_the_first(client: AsyncOpenAI) -> None:
    one = await client.responses.create(model="echo", input="My name is Ann.")
    two = await client.responses.create(
        model="echo", input="I like tea.", previous_response_id=one.id
    )
    three = await client.responses.create(model="echo", input="So?", previous_response_id=two.id)
    assert three.output_text.splitlines()[0] == "user: My name is Ann."
    assert three.output_text.splitlines()[-1] == "user: So?"


async def test_a_streamed_answer_is_what_get_gives_afterwards(client: AsyncOpenAI) -> None:
    events = [
        event
        async for event in await client.responses.create(model="scripted", input="hi", stream=True)
    ]
    check_event_order([event.model_dump(exclude_unset=True) for event in events])
    done = events[-1]
    assert done.type == "response.completed"
    kept = await client.responses.retrieve(done.response.id)
    assert kept == done.response


async def test_events_are_framed_for_every_client(http: httpx2.AsyncClient) -> None:
    body = {"model": "scripted", "input": "hi", "stream": True}
    answer = await http.post("/responses", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-cache, no-transform"
    assert answer.headers["x-accel-buffering"] == "no"
    assert "\r" not in answer.text
    messages = answer.text.removesuffix("\n\n").split("\n\n")
    assert messages[-1] == "data: [DONE]"
    assert all(message.startswith("event: response.") for message in messages[:-1])
    assert all(len(message.split("\n")) == 2 for message in messages[:-1])


async def test_parameters_are_echoed_and_instructions_are_not_inherited(
    client: AsyncOpenAI,
) -> None:
    one = await client.responses.create(
        model="scripted",
        input="hi",
        instructions="Be brief.",
        metadata={"k": "v"},
        temperature=0.5,
        max_output_tokens=99,
        tools=[WEATHER],
        safety_identifier="u1",
    )
    assert (one.instructions, one.metadata, one.temperature) == ("Be brief.", {"k": "v"}, 0.5)
    assert (one.max_output_tokens, one.safety_identifier) == (99, "u1")
    two = await client.responses.create(model="scripted", input="and?", previous_response_id=one.id)
    assert two.instructions is None
    assert two.previous_response_id == one.id


async def test_what_the_provider_is_told(client: AsyncOpenAI, scripted: ScriptedProvider) -> None:
    await client.responses.create(
        model="scripted",
        input="hi",
        instructions="Be brief.",
        tools=[WEATHER],
        tool_choice="required",
        reasoning={"effort": "low", "summary": "auto"},
        text={"format": {"type": "json_object"}},
    )
    (turn,) = scripted.turns
    assert (turn.model, turn.instructions, turn.choice) == ("scripted", "Be brief.", "required")
    assert (turn.reasoning_effort, turn.text_format) == ("low", {"type": "json_object"})
    assert [item["content"][0]["text"] for item in turn.items] == ["hi"]


async def test_a_tool_loop_over_previous_response_id() -> None:
    app, provider = serving(CALL, "It is sunny.")
    async with app.lifespan(), openai_client(app) as client:
        asked = await client.responses.create(model="m", input="Weather?", tools=[WEATHER])
        (call,) = asked.output
        assert call.type == "function_call"
        told = await client.responses.create(
            model="m",
            previous_response_id=asked.id,
            input=[{"type": "function_call_output", "call_id": call.call_id, "output": "sun"}],
            tools=[WEATHER],
        )
    assert told.output_text == "It is sunny."
    kinds = [item["type"] for item in provider.turns[1].items]
    assert kinds == ["message", "function_call", "function_call_output"]


async def test_an_open_call_must_be_answered_before_the_chain_goes_on() -> None:
    app, provider = serving(CALL, "never said")
    async with app.lifespan(), openai_client(app) as client:
        asked = await client.responses.create(model="m", input="Weather?", tools=[WEATHER])
        with pytest.raises(openai.BadRequestError, match="No tool output found") as caught:
            await client.responses.create(
                model="m", previous_response_id=asked.id, input="Never mind."
            )
    assert caught.value.param == "input"
    assert len(provider.turns) == 1


async def test_sealed_reasoning_comes_back_to_the_provider() -> None:
    native = NativeTurn("s", {"signature": "x"})
    thinking = [ReasoningDelta("hm"), ItemFinished(native=native), TextDelta("4"), Stopped()]
    app, provider = serving(thinking, "5")
    async with app.lifespan(), openai_client(app) as client:
        one = await client.responses.create(
            model="m", input="2+2", store=False, include=["reasoning.encrypted_content"]
        )
        sealed = one.output[0].to_dict()
        assert sealed["encrypted_content"]
        again: Any = [{"role": "user", "content": "2+2"}, *[o.to_dict() for o in one.output]]
        again.append({"role": "user", "content": "and 1 more?"})
        await client.responses.create(model="m", input=again, store=False)
    spans = provider.turns[1].spans
    assert [span.native for span in spans] == [None, native, None]


async def test_stored_native_turns_are_replayed_to_their_own_scope() -> None:
    text = "a rather long answer, " * 10
    state = [{"type": "thinking", "signature": "x"}, {"type": "text", "text": text}]
    answer = [TextDelta(text), NativeTurn("s", state), Stopped()]
    app, provider = serving(answer, "ok")
    async with app.lifespan(), openai_client(app) as client:
        one = await client.responses.create(model="m", input="hi")
        await client.responses.create(model="m", input="go on", previous_response_id=one.id)
    natives = [span.native for span in provider.turns[1].spans]
    assert natives == [None, NativeTurn("s", state), None]


async def test_input_items_are_listed_with_ids_of_their_response(client: AsyncOpenAI) -> None:
    asked: Any = [{"role": "user", "content": text} for text in ("a", "b", "c")]
    response = await client.responses.create(model="scripted", input=asked)
    listed = [
        item.to_dict()
        async for item in client.responses.input_items.list(response.id, limit=2, order="asc")
    ]
    assert [item["content"][0]["text"] for item in listed] == ["a", "b", "c"]
    hex = response.id.removeprefix("resp_")
    assert [item["id"] for item in listed] == [f"msg_{hex}_i{n}" for n in range(3)]
    newest = await client.responses.input_items.list(response.id)
    assert [item.id for item in newest.data] == [item["id"] for item in reversed(listed)]


async def test_store_false_leaves_nothing_behind(client: AsyncOpenAI) -> None:
    response = await client.responses.create(model="scripted", input="hi", store=False)
    assert response.store is False
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(response.id)
    with pytest.raises(openai.BadRequestError, match="not found"):
        await client.responses.create(model="scripted", input="?", previous_response_id=response.id)


# --- refusals


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"model": "nobody"}, "model", "model_not_found"),
        ({"previous_response_id": "resp_x"}, "previous_response_id", "previous_response_not_found"),
        ({"temperature": 9}, "temperature", "invalid_value"),
        ({"nonsense": 1}, "nonsense", "unknown_parameter"),
        ({"background": True, "store": False}, "background", "invalid_value"),
        ({"input": ""}, "input", "missing_required_parameter"),
        ({"input": [], "instructions": "Talk."}, "input", "missing_required_parameter"),
        (
            {"conversation": "conv_x", "previous_response_id": "resp_x"},
            "conversation",
            "mutually_exclusive_parameters",
        ),
        ({"input": [{"type": "no_such"}]}, "input[0].type", "invalid_value"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_bad_requests_are_refused_before_anything_happens(
    http: httpx2.AsyncClient,
    app: ResponsesApp,
    scripted: ScriptedProvider,
    change: dict[str, Any],
    param: str,
    code: str,
    stream: bool,
) -> None:
    body = {"model": "scripted", "input": "hi", "stream": stream, **change}
    answer = await http.post("/responses", json=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"], error["code"]) == (
        "invalid_request_error", param, code,
    )  # fmt: skip
    assert scripted.turns == []


async def test_an_empty_input_may_follow_something_or_be_a_message_without_words(
    client: AsyncOpenAI,
) -> None:
    first = await client.responses.create(model="echo", input=[{"role": "user", "content": ""}])
    again = await client.responses.create(model="echo", input=[], previous_response_id=first.id)
    conversation = await client.conversations.create(items=[{"role": "user", "content": "one"}])
    told = await client.responses.create(model="echo", input="", conversation=conversation.id)
    assert (first.status, again.status, told.status) == ("completed",) * 3
    assert told.output_text == "user: one\nuser: "


async def test_an_unknown_model_is_told_the_known_ones(http: httpx2.AsyncClient) -> None:
    answer = await http.post("/responses", json={"model": "gpt-9", "input": "hi"})
    assert "Known models: echo, scripted." in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/responses/resp_x", 404),
        ("DELETE", "/responses/resp_x", 404),
        ("GET", "/responses/resp_x/input_items", 404),
        ("GET", "/nowhere", 404),
        ("PUT", "/responses", 405),
        ("POST", "/responses/resp_x", 405),
    ],
)
async def test_what_is_not_there_is_said_in_the_envelope(
    http: httpx2.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await http.request(method, path)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["message"]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "limit=1e1", "order=up", "after=msg_x"]
)
async def test_bad_pages_are_refused(http: httpx2.AsyncClient, query: str) -> None:
    made = await http.post("/responses", json={"model": "scripted", "input": "hi"})
    answer = await http.get(f"/responses/{made.json()['id']}/input_items?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == query.partition("=")[0]


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_beyond_the_limit_is_refused(announced: bool) -> None:
    app, provider = serving("never", max_body_bytes=1000)

    async def body() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 100

    async with httpx2.AsyncClient(transport=InProcessTransport(app)) as http:
        content: Any = b" " * 2000 if announced else body()
        answer = await http.post("http://test/responses", content=content)
    assert answer.status_code == 413
    assert "1000 bytes" in answer.json()["error"]["message"]
    assert provider.turns == []


# --- usage


async def test_usage_tokens_are_added_up() -> None:
    app, _ = serving([TextDelta("x"), UsageReported(10, 5, 4, 3, 2), Stopped()])
    async with openai_client(app, lifespan=True) as client:
        usage = (await client.responses.create(model="m", input="hi")).usage
    assert usage is not None
    assert usage.to_dict() == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 15,
    }


async def test_the_deployment_and_what_was_dropped_are_in_the_headers() -> None:
    app, _ = serving([UpstreamInfo(dropped=("top_p", "verbosity")), TextDelta("x"), Stopped()])
    async with openai_client(app, lifespan=True) as client:
        raw = await client.responses.with_raw_response.create(model="m", input="hi")
    assert raw.headers["x-responses-mw-deployment"] == "m"
    assert raw.headers["x-responses-mw-dropped"] == "top_p,verbosity"
    assert raw.headers["x-request-id"].startswith("req_")


async def test_every_answer_has_an_id_of_its_request(http: httpx2.AsyncClient) -> None:
    made = await http.post("/responses", json={"model": "scripted", "input": "hi"})
    one = f"/responses/{made.json()['id']}"
    answers = [made] + [
        await http.request(method, path)
        for method, path in [
            ("GET", one),
            ("GET", f"{one}?stream=true"),
            ("GET", f"{one}/input_items"),
            ("POST", f"{one}/cancel"),
            ("DELETE", one),
            ("POST", "/responses/input_tokens"),
            ("POST", "/conversations"),
            ("GET", "/models"),
            ("GET", "/nowhere"),
        ]
    ]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert all(id.startswith("req_") for id in ids)
    assert len(set(ids)) == len(ids)
