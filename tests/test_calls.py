"""The calls without a server: what they return, where they work, and that nothing outlives them."""

import asyncio
import contextlib
import copy
import gc
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai.types.responses
import pytest
from upstream import Answer, Exchange, elsewhere, upstream

import responses_mw
from responses_mw import calls, direct
from responses_mw.deltas import Stopped, TextDelta, ToolCallDelta, ToolCallStarted
from responses_mw.errors import NotFound, UpstreamRefused, UpstreamTimeout
from responses_mw.testing import check_event_order

CLAUDE = "anthropic/claude-sonnet-4-5"
SLOW = [TextDelta("a"), 60.0, TextDelta("b"), Stopped()]


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The default store is this test's own, and nothing is left of the calls after it."""
    url = f"sqlite:///{tmp_path}/calls.db"
    monkeypatch.setenv("RESPONSES_MW_STORE", url)
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    yield url
    calls.default.close()


def says(text: str) -> Answer:
    async def answer(exchange: Exchange) -> None:
        if exchange.json.get("stream"):
            await stream(exchange, text)
            await exchange.event({"type": "message_stop"})
            exchange.writer.close()
            return
        await exchange.whole(
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "claude-sonnet-4-5",
                "content": [{"type": "text", "text": text}],
                "stop_reason": "end_turn",
                "usage": {"input_tokens": 1, "output_tokens": 4},
            }
        )

    return answer


async def stream(exchange: Exchange, text: str) -> None:
    await exchange.sse()
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "usage": usage}
    await exchange.event({"type": "message_start", "message": {**message, "model": "claude"}})
    block = {"type": "text", "text": ""}
    await exchange.event({"type": "content_block_start", "index": 0, "content_block": block})
    delta = {"type": "text_delta", "text": text}
    await exchange.event({"type": "content_block_delta", "index": 0, "delta": delta})
    await exchange.event({"type": "content_block_stop", "index": 0})
    ended = {"stop_reason": "end_turn"}
    await exchange.event({"type": "message_delta", "delta": ended, "usage": usage})


async def begins_and_waits(exchange: Exchange) -> None:
    await stream(exchange, "Once")
    await exchange.gone.wait()


def script(program: str, **variables: str) -> str:
    """What a fresh interpreter says that runs it and ends by itself."""
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert found.stderr == ""
    return found.stdout


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
        ({"model": "local", "extra_body": {"a": 1}}, "extra_body", "not asked over HTTP"),
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


# --- leaving


@pytest.mark.parametrize("how", ["close", "with", "forget"])
def test_leaving_an_unstored_stream_stops_the_upstream(how: str) -> None:
    with elsewhere(begins_and_waits) as it:
        events = responses_mw.responses(
            model=CLAUDE, input="Hi", stream=True, store=False, api_key="k", api_base=it.url
        )
        assert next(events).type == "response.created"
        if how == "close":
            events.close()
            assert list(events) == []
        elif how == "with":
            with events:
                pass
        else:
            del events
            gc.collect()
        wait_until(lambda: it.exchanges[0].gone.is_set())


async def test_leaving_an_awaited_stream_stops_the_upstream() -> None:
    async with upstream(begins_and_waits) as it:
        made = await responses_mw.aresponses(
            model=CLAUDE, input="Hi", stream=True, store=False, api_key="k", api_base=it.url
        )
        async with made as events:
            assert (await anext(events)).type == "response.created"
        await asyncio.wait_for(it.exchanges[0].gone.wait(), 5)


async def test_cancelling_an_awaited_call_stops_the_upstream() -> None:
    async with upstream(begins_and_waits) as it:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await responses_mw.aresponses(
                    model=CLAUDE, input="Hi", store=False, api_key="k", api_base=it.url
                )
        await asyncio.wait_for(it.exchanges[0].gone.wait(), 5)


def test_a_stored_stream_is_finished_when_it_is_left() -> None:
    said = [TextDelta("Once "), 0.2, TextDelta("more"), Stopped()]
    with responses_mw.responses(model="x/y", input="Hi", stream=True, mock_response=said) as events:
        id = next(events).response.id
    wait_until(lambda: responses_mw.get_responses(id).status == "completed")
    assert responses_mw.get_responses(id).output_text == "Once more"


def test_calls_that_differ_too_often_close_the_oldest_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(direct, "KEPT", 2)
    with elsewhere(says("Hello.")) as it:
        for n in range(5):
            responses_mw.responses(model=CLAUDE, input="Hi", api_key=f"{n}", api_base=it.url)
        wait_until(lambda: sum(asked.writer.is_closing() for asked in it.exchanges) == 3)


# --- the end of the process


def test_a_process_finishes_what_it_began_and_ends(store: str) -> None:
    id = script(
        """
        import responses_mw
        from responses_mw.deltas import Stopped, TextDelta

        said = [TextDelta("late"), 0.3, Stopped()]
        made = responses_mw.responses(model="x/y", input="Hi", background=True, mock_response=said)
        events = responses_mw.responses(model="x/y", input="Hi", stream=True, mock_response="Left")
        next(events)
        print(made.id)
        """
    ).strip()
    made = responses_mw.get_responses(id)
    assert (made.status, made.output_text) == ("completed", "late")


def test_a_process_does_not_wait_longer_than_it_should(store: str) -> None:
    id = script(
        """
        import responses_mw
        from responses_mw.deltas import Stopped, TextDelta

        models = [{"model_name": "x", "litellm_params": {"model": "ollama/x"}}]
        router = responses_mw.Router(models, settings=responses_mw.Settings(drain_s=0.1))
        said = [TextDelta("begun"), 60.0, Stopped()]
        stream = router.responses(model="x", input="Hi", stream=True, mock_response=said)
        print(next(stream).response.id)
        while next(stream).type != "response.output_text.delta":
            pass
        """
    ).strip()
    made = responses_mw.get_responses(id)
    assert (made.status, made.output_text) == ("cancelled", "begun")


def test_a_forked_process_calls_anew() -> None:
    said = script(
        """
        import os
        import responses_mw

        def ask(previous=None):
            return responses_mw.responses(
                model="x/y", input="Hi", previous_response_id=previous, mock_response="Hello"
            ).id

        one = ask()
        child = os.fork()
        two = ask(one)
        print(responses_mw.get_responses(two).output_text, flush=True)
        if child:
            assert os.waitpid(child, 0)[1] == 0
        """
    )
    assert said.splitlines() == ["Hello", "Hello"]


# --- the router


MODELS = [
    {"model_name": "good", "litellm_params": {"model": CLAUDE, "api_key": "k"}},
    {"model_name": "fast", "litellm_params": {"model": CLAUDE, "api_key": "k"}},
]


@pytest.fixture
def router() -> Iterator[responses_mw.Router]:
    with contextlib.closing(responses_mw.Router(model_list=MODELS)) as made:
        yield made


def test_a_router_answers_by_the_names_of_its_list() -> None:
    with elsewhere(says("Hello.")) as it:
        listed = {"model": CLAUDE, "api_key": "k", "api_base": it.url}
        models = [{"model_name": "good", "litellm_params": listed}]
        with contextlib.closing(responses_mw.Router(model_list=models)) as router:
            assert router.models == ["good"]
            one = router.responses(model="good", input="Hi")
            with pytest.raises(responses_mw.InvalidRequest, match="Known models: good"):
                router.responses(model="other", input="Hi")
    assert (one.output_text, one.model) == ("Hello.", "good")
    assert it.exchanges[0].json["model"] == "claude-sonnet-4-5"


def test_a_router_shares_the_default_store(router: responses_mw.Router) -> None:
    one = router.responses(model="good", input="Hi", mock_response="Hello")
    assert responses_mw.get_responses(one.id) == one


def test_a_router_has_a_store_of_its_own_if_it_is_given_one() -> None:
    with contextlib.closing(responses_mw.Router(MODELS, store="memory://")) as router:
        one = router.responses(model="good", input="Hi", mock_response="Hello")
        assert router.get_responses(one.id) == one
        router.close()
        assert router.get_responses(one.id) == one
    with pytest.raises(NotFound):
        responses_mw.get_responses(one.id)


def test_a_router_takes_no_address_or_key_from_a_call(router: responses_mw.Router) -> None:
    with pytest.raises(responses_mw.InvalidRequest, match="belongs into the model_list") as refused:
        router.responses(model="good", input="Hi", api_key="k")
    assert refused.value.param == "api_key"


async def test_a_router_can_be_awaited_and_closed() -> None:
    router = responses_mw.Router(MODELS)
    one = await router.aresponses(model="fast", input="Hi", mock_response="Hello")
    assert (await router.aget_responses(one.id)).output_text == "Hello"
    await router.aclose()


def test_a_store_that_is_none_is_said_at_once() -> None:
    with pytest.raises(responses_mw.ConfigurationError, match="the store cannot be used"):
        responses_mw.Router(MODELS, store="mongodb://here")


# --- what is returned


def test_a_response_reads_like_the_clients() -> None:
    made = responses_mw.responses(
        model="x/y", input="Hi", mock_response="Hello", metadata={"items": "1"}
    )
    theirs = openai.types.responses.Response.model_validate(made.model_dump())
    assert made.output_text == theirs.output_text
    assert made.output[0].content[0].text == theirs.output[0].content[0].text  # type: ignore[union-attr]
    assert made.usage.total_tokens == theirs.usage.total_tokens  # type: ignore[union-attr]
    assert made["output"][0]["role"] == "assistant"
    assert made.metadata == {"items": "1"}
    assert made.error is None
    assert not hasattr(made, "nothing")
    assert made.get("nothing", 1) == 1
    assert "usage" in made
    assert "output_text" in dir(made)


def test_a_response_is_a_value() -> None:
    made = responses_mw.responses(model="x/y", input="Hi", mock_response="Hello")
    for twin in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert twin == made
        assert twin.headers == made.headers
    dumped = made.model_dump()
    dumped["output"].clear()
    assert made.output_text == "Hello"
    with pytest.raises(AttributeError, match="read-only"):
        made.status = "failed"
    with pytest.raises(TypeError, match="take its id"):
        hash(made)
    assert "error" not in made.model_dump(exclude_none=True)
    assert '"object":"response"' in made.model_dump_json()
    assert "output_text" in repr(made)


def wait_until(true: Any) -> None:
    deadline = 5.0
    while not true():
        threading.Event().wait(0.02)
        deadline -= 0.02
        assert deadline > 0
