"""The calls without a server: what is asked, what is answered, which errors are raised."""

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai.types.responses
import pytest
from called import CLAUDE, says, store
from pydantic import BaseModel
from upstream import Exchange, elsewhere

import responses_mw
from responses_mw.deltas import Stopped, TextDelta, ToolCallDelta, ToolCallStarted
from responses_mw.errors import NotFound, UpstreamRefused, UpstreamTimeout
from responses_mw.testing import check_event_order

SLOW = [TextDelta("a"), 60.0, TextDelta("b"), Stopped()]


pytestmark = pytest.mark.usefixtures("store")
__all__ = ["store"]


# --- answers


def test_a_provider_is_asked_with_what_the_call_says() -> None:
    with elsewhere(says("Hello.")) as it:
        response = responses_mw.responses(
            model=CLAUDE,
            input="Hi",
            max_output_tokens=50,
            api_key="secret",
            api_base=it.url,
            extra_headers={"X-Team": "blue"},
            extra_body={"top_k": 5},
            user=None,
        )
    assert response.output_text == "Hello."
    assert (response.status, response.model) == ("completed", CLAUDE)
    [asked] = it.exchanges
    assert asked.path == "/v1/messages"
    assert (asked.headers["x-api-key"], asked.headers["x-team"]) == ("secret", "blue")
    assert (asked.json["model"], asked.json["top_k"]) == ("claude-sonnet-4-5", 5)
    assert asked.json["max_tokens"] == 50


class City(BaseModel):
    name: str = "Paris"
    default: bool


class Trip(BaseModel):
    cities: list[City]
    note: str | None = None


def test_a_model_may_say_what_the_answer_looks_like() -> None:
    response = responses_mw.responses(
        model="ollama/x",
        input="Hi",
        text_format=Trip,
        text={"verbosity": "low"},
        mock_response="{}",
    )
    asked = response.text.format
    assert (asked.type, asked.name, asked.strict) == ("json_schema", "Trip", True)
    told = asked.model_dump()["schema"]
    assert (told["required"], told["additionalProperties"]) == (["cities", "note"], False)
    city = told["$defs"]["City"]
    assert (city["required"], city["additionalProperties"]) == (["name", "default"], False)
    assert "default" not in city["properties"]["name"]
    assert response.text.verbosity == "low"
    with pytest.raises(responses_mw.InvalidRequest, match="must be a class of pydantic models"):
        responses_mw.responses(model="ollama/x", input="Hi", text_format={"type": "text"})
    with pytest.raises(responses_mw.InvalidRequest, match="text must be a mapping"):
        responses_mw.responses(model="ollama/x", input="Hi", text_format=Trip, text="low")


def test_events_are_those_of_the_api() -> None:
    with elsewhere(says("Hello.")) as it:
        events = responses_mw.responses(
            model=CLAUDE, input="Hi", stream=True, api_key="k", api_base=it.url
        )
        told = list(events)
    check_event_order([event.model_dump() for event in told])
    assert "".join(e.delta for e in told if e.type == "response.output_text.delta") == "Hello."
    assert told[-1].response.output_text == "Hello."
    assert events.headers["x-responses-mw-deployment"] == CLAUDE
    assert list(events) == []


def test_a_conversation_goes_on_with_another_provider_and_another_form() -> None:
    with elsewhere(says("I am Claude.")) as it:
        one = responses_mw.responses(model="gemini/flash", input="I am Ann.", mock_response="Hi.")
        two = responses_mw.responses(
            model=CLAUDE, input="And you?", previous_response_id=one.id, api_key="k",
            api_base=it.url,
        )  # fmt: skip
    assert two.previous_response_id == one.id
    said = [message["content"] for message in it.exchanges[0].json["messages"]]
    assert [part["text"] for content in said for part in content] == [
        "I am Ann.",
        "Hi.",
        "And you?",
    ]


def test_what_was_stored_can_be_read_and_deleted() -> None:
    made = responses_mw.responses(model="x/y", input="Hi", mock_response="Hello you")
    assert responses_mw.get_responses(made.id) == made
    [item] = responses_mw.list_input_items(made.id, limit=1, order="asc").data
    assert item.content[0].text == "Hi"
    again = list(responses_mw.get_responses(made.id, stream=True, starting_after=3))
    assert again[0].sequence_number == 4
    assert again[-1].response.output_text == "Hello you"
    assert responses_mw.delete_responses(made.id).deleted is True
    with pytest.raises(NotFound) as gone:
        responses_mw.get_responses(made.id)
    assert (gone.value.status, gone.value.type) == (404, "invalid_request_error")


async def test_each_call_can_be_awaited() -> None:
    made = await responses_mw.aresponses(model="x/y", input="Hi", mock_response="Hello")
    assert await responses_mw.aget_responses(made.id) == made
    assert (await responses_mw.alist_input_items(made.id)).data[0].content[0].text == "Hi"
    told = [event async for event in await responses_mw.aget_responses(made.id, stream=True)]
    check_event_order([event.model_dump() for event in told])
    compacted = await responses_mw.acompact_responses(
        model="x/y", previous_response_id=made.id, mock_response="They greeted."
    )
    assert compacted.output[-1].type == "compaction"
    assert (await responses_mw.adelete_responses(made.id)).deleted is True


def test_a_compaction_can_be_gone_on_from() -> None:
    compacted = responses_mw.compact_responses(model="x/y", input="Hi", mock_response="A greeting.")
    assert compacted.object == "response.compaction"
    more = [*compacted.output, {"role": "user", "content": "Go on"}]
    assert responses_mw.responses(model="x/y", input=more, mock_response="Yes").output_text == "Yes"


def test_background_work_is_told_of_at_once_and_can_be_cancelled() -> None:
    made = responses_mw.responses(model="x/y", input="Hi", background=True, mock_response=SLOW)
    assert made.status == "queued"
    assert responses_mw.cancel_responses(made.id).status == "cancelled"


async def test_cancelling_can_be_awaited() -> None:
    made = await responses_mw.aresponses(
        model="x/y", input="Hi", background=True, mock_response=SLOW
    )
    assert (await responses_mw.acancel_responses(made.id)).status == "cancelled"


def test_output_is_input_of_the_next_turn() -> None:
    call = [ToolCallStarted("0", "add", "call_1"), ToolCallDelta("0", '{"a": 1}'), Stopped()]
    tool = {"type": "function", "name": "add", "parameters": {"type": "object"}, "strict": None}
    asked: list[Any] = [{"role": "user", "content": "1 + 1?"}]
    one = responses_mw.responses(
        model="x/y", input=asked, tools=[tool], mock_response=call, store=False
    )
    asked += one.output
    asked.append({"type": "function_call_output", "call_id": one.output[0].call_id, "output": "2"})
    two = responses_mw.responses(model="x/y", input=asked, tools=one.tools, mock_response="2")
    assert two.output_text == "2"


def test_objects_of_the_official_client_are_input_too() -> None:
    item = openai.types.responses.ResponseFunctionToolCall(
        type="function_call", call_id="call_1", name="add", arguments="{}"
    )
    output = {"type": "function_call_output", "call_id": "call_1", "output": "2"}
    made = responses_mw.responses(model="x/y", input=[item, output], mock_response="2")
    assert made.output_text == "2"


# --- errors


def test_an_upstreams_refusal_is_raised_as_itself() -> None:
    async def too_many(exchange: Exchange) -> None:
        error = {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}
        await exchange.whole(error, 429, retry_after="7")

    with elsewhere(too_many) as it, pytest.raises(UpstreamRefused) as refused:
        responses_mw.responses(
            model=CLAUDE, input="Hi", stream=True, api_key="k", api_base=it.url, num_retries=0
        )
    assert (refused.value.status, refused.value.code) == (429, "rate_limit_exceeded")
    assert refused.value.retry_after == 7


def test_a_silent_upstream_is_given_up_in_the_calls_own_time() -> None:
    async def silent(exchange: Exchange) -> None:
        await exchange.gone.wait()

    with elsewhere(silent) as it, pytest.raises(UpstreamTimeout) as late:
        responses_mw.responses(
            model=CLAUDE, input="Hi", api_key="k", api_base=it.url, timeout=0.2, num_retries=0
        )
    assert late.value.status == 504


@pytest.mark.parametrize(
    ("asked", "param", "said"),
    [
        ({"model": "nobody/x"}, "model", "'nobody' is unknown"),
        ({"model": "what"}, "model", "`provider/name` is needed"),
        ({"model": CLAUDE}, "api_key", "ANTHROPIC_API_KEY"),
        ({"model": CLAUDE, "api_key": "k", "api_base": "nowhere"}, "api_base", "not an http"),
        ({"model": CLAUDE, "api_key": "k", "temprature": 1}, "temprature", "not a parameter"),
        ({"model": CLAUDE, "api_key": "k", "timeout": "1"}, "timeout", "positive number"),
        ({"model": CLAUDE, "api_key": "k", "timeout": -1}, "timeout", "positive number"),
        ({"model": CLAUDE, "api_key": "k", "drop_params": 1}, "drop_params", "True or False"),
        ({"model": CLAUDE, "api_key": "k", "extra_headers": []}, "extra_headers", "mapping"),
        ({"model": "python/responses_mw.testing:EchoProvider", "api_key": "k"}, "api_key", "HTTP"),
        ({"model": "x/y", "metadata": {"a": object()}}, None, "cannot be written as JSON"),
        ({}, "model", "required"),
    ],
)
def test_a_wrong_call_is_refused_by_name(asked: Any, param: str | None, said: str) -> None:
    with pytest.raises(responses_mw.InvalidRequest, match=said) as refused:
        responses_mw.responses(input="Hi", **asked)
    assert (refused.value.status, refused.value.param) == (400, param)


def test_a_response_of_another_gateway_is_a_clear_400() -> None:
    old = "resp_bGl0ZWxsbTpjdXN0b21fbGxtX3Byb3ZpZGVyOm9wZW5haTttb2RlbF9pZDoxO3Jlc3BvbnNlX2lkOng="
    with pytest.raises(responses_mw.InvalidRequest, match=old) as refused:
        responses_mw.responses(
            model="x/y", input="Hi", previous_response_id=old, mock_response="Never."
        )
    assert (refused.value.status, refused.value.code) == (400, "previous_response_not_found")
    assert refused.value.param == "previous_response_id"


def test_address_and_key_are_the_environments_as_it_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    with elsewhere(says("Hello.")) as it:
        monkeypatch.setenv("ANTHROPIC_API_BASE", it.url)
        for key in ("wrong", "right"):
            monkeypatch.setenv("ANTHROPIC_API_KEY", key)
            responses_mw.responses(model="claude-sonnet-4-5", input="Hi")
    assert [asked.headers["x-api-key"] for asked in it.exchanges] == ["wrong", "right"]


def test_a_key_of_the_environment_goes_to_no_address_that_the_call_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret")
    with elsewhere(says("Hello.")) as it:
        responses_mw.responses(model=CLAUDE, input="Hi", api_base=it.url)
    assert "x-api-key" not in it.exchanges[0].headers


def test_the_connection_is_kept_for_the_next_call() -> None:
    with elsewhere(says("Hello.")) as it:
        for _ in range(3):
            responses_mw.responses(model=CLAUDE, input="Hi", api_key="k", api_base=it.url)
    assert len({asked.writer for asked in it.exchanges}) == 1


def test_dropping_parameters_is_told_or_refused() -> None:
    asked: Any = {"model": CLAUDE, "input": "Hi", "api_key": "k", "presence_penalty": 1.0}
    with elsewhere(says("Hello.")) as it:
        told = responses_mw.responses(**asked, api_base=it.url)
        assert told.headers["x-responses-mw-dropped"] == "presence_penalty"
        with pytest.raises(responses_mw.InvalidRequest) as refused:
            responses_mw.responses(**asked, api_base=it.url, drop_params=False)
    assert refused.value.param == "presence_penalty"
    assert len(it.exchanges) == 1


def test_a_scripted_error_is_raised() -> None:
    with pytest.raises(UpstreamTimeout, match="too late"):
        responses_mw.responses(model="x/y", input="Hi", mock_response=UpstreamTimeout("too late"))


def test_a_provider_in_python_answers_too() -> None:
    echo = "python/responses_mw.testing:EchoProvider"
    assert responses_mw.responses(model=echo, input="Hi").output_text == "user: Hi"


# --- threads and loops


async def test_a_blocking_call_works_inside_a_running_loop() -> None:
    one = responses_mw.responses(model="x/y", input="Hi", mock_response="Hello")
    told = responses_mw.responses(
        model="x/y", input="Go on", stream=True, previous_response_id=one.id, mock_response="Yes"
    )
    assert [event.type for event in told][-1] == "response.completed"


def test_loops_that_come_and_go_share_one_conversation() -> None:
    async def ask(previous: str | None) -> str:
        made = await responses_mw.aresponses(
            model="x/y", input="Hi", previous_response_id=previous, mock_response="Hello"
        )
        return made.id

    id = None
    for _ in range(3):
        id = asyncio.run(ask(id))
    before = threading.active_count()
    asyncio.run(ask(id))
    assert threading.active_count() == before


def test_twenty_threads_at_once_get_their_own_answers() -> None:
    def converse(n: int) -> str:
        one = responses_mw.responses(model="x/y", input=f"I am {n}", mock_response=f"Hi {n}")
        two = responses_mw.responses(
            model="x/y", input="Who?", stream=True, previous_response_id=one.id,
            mock_response=f"You are {n}",
        )  # fmt: skip
        *_, last = two
        assert responses_mw.list_input_items(one.id).data[0].content[0].text == f"I am {n}"
        return str(last.response.output_text)

    with ThreadPoolExecutor(20) as threads:
        assert list(threads.map(converse, range(20))) == [f"You are {n}" for n in range(20)]


def test_a_provider_that_calls_back_and_blocks_is_told_so() -> None:
    router = responses_mw.Router(
        model_list=[{"model_name": "own", "litellm_params": {"model": f"python/{__name__}:Asks"}}]
    )
    with contextlib.closing(router):
        Asks.router = router
        assert "would wait for itself" in router.responses(model="own", input="Hi").output_text


class Asks:
    router: responses_mw.Router

    async def stream(self, turn: responses_mw.Turn) -> Any:
        try:
            self.router.get_responses("resp_1")
        except RuntimeError as error:
            yield TextDelta(str(error))
        yield Stopped()
