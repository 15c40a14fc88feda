"""Compaction: by request, and in the middle of a conversation that has grown long."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from every_store import store, store_url

from responses_mw.app import ResponsesApp
from responses_mw.compaction import INSTRUCTION
from responses_mw.deltas import (
    Delta,
    NativeTurn,
    ReasoningDelta,
    RefusalDelta,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from responses_mw.errors import UpstreamRefused, UpstreamUnavailable
from responses_mw.records import TurnRecord
from responses_mw.router import Deployment
from responses_mw.seals import Compacted, Sealer
from responses_mw.settings import Settings
from responses_mw.testing import CheckModel, ScriptedProvider, check_event_order, openai_client
from responses_mw.testing.asgi import InProcessTransport
from responses_mw.testing.providers import text_of
from responses_mw.turn import Span, Turn
from stores import MemoryStore, SessionStore

__all__ = ["store", "store_url"]

ABOVE = [{"type": "compaction", "compact_threshold": 1000}]
LONG = "We agreed on Tuesday. " + "A long story goes on and on. " * 200


class Summariser:
    """Answers as told, and every request for a summary with "S" and how many there were."""

    def __init__(self, *answers: Any) -> None:
        self._script = ScriptedProvider(*answers)
        self.summaries: list[Turn] = []

    @property
    def turns(self) -> list[Turn]:
        return self._script.turns

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        if text_of(list(turn.items)[-1]) == INSTRUCTION:
            self.summaries.append(turn)
            yield TextDelta(f"S{len(self.summaries)}")
            yield UsageReported(1000, 10, cached_tokens=900)
            yield Stopped()
            return
        async for delta in self._script.stream(turn):
            yield delta


class Http:
    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client

    async def ask(self, input: Any, **body: Any) -> Any:
        return (await self.answer(input, **body)).json()

    async def answer(
        self, input: Any, *, path: str = "/responses", owner: str = "ann", **body: Any
    ) -> httpx2.Response:
        asked = {"model": "m", **({} if input is None else {"input": input}), **body}
        return await self.client.post(path, json=asked, headers={"owner": owner})

    async def compact(self, input: Any = None, **body: Any) -> Any:
        return await self.ask(input, path="/responses/compact", **body)


class serving:
    """An application over one provider, and its client."""

    def __init__(self, provider: Any, store: SessionStore | None = None, **deployment: Any) -> None:
        self.app = ResponsesApp(
            store=store or MemoryStore(),
            models={"m": Deployment(provider, **deployment)},
            owner=lambda request: request.headers["owner"],
            settings=Settings(drain_s=1),
        )

    async def __aenter__(self) -> Http:
        self._lifespan = self.app.lifespan()
        await self._lifespan.__aenter__()
        transport = InProcessTransport(self.app)
        self._client = httpx2.AsyncClient(transport=transport, base_url="http://test")
        return Http(self._client)

    async def __aexit__(self, *error: Any) -> None:
        await self._client.aclose()
        await self._lifespan.__aexit__(None, None, None)


def shown(turn: Turn) -> list[str]:
    return [text_of(item).removeprefix(HEADING) for item in turn.items]


HEADING = "Summary of the conversation up to here, written by the assistant:\n\n"


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def output(call_id: str) -> dict[str, str]:
    return {"type": "function_call_output", "call_id": call_id, "output": "nothing"}


def calls(call_id: str) -> list[Delta]:
    return [ToolCallStarted(0, "look", call_id), ToolCallDelta(0, "{}"), Stopped()]


# --- POST /responses/compact


async def test_the_users_messages_stay_and_one_compaction_stands_for_the_rest() -> None:
    provider = Summariser("ok")
    async with serving(provider) as http:
        asked = [user("A."), {"role": "assistant", "content": "B."}, user("C.")]
        made = await http.compact(asked, instructions="Be brief.")
        assert [item["type"] for item in made["output"]] == ["message", "message", "compaction"]
        assert [text_of(item) for item in made["output"][:2]] == ["A.", "C."]
        assert made["object"] == "response.compaction"
        assert made["usage"]["input_tokens"] == 1000
        assert made["usage"]["input_tokens_details"]["cached_tokens"] == 900
        await http.ask([*made["output"], user("And?")])
    assert provider.summaries[0].instructions == "Be brief."
    assert shown(provider.summaries[0]) == ["A.", "B.", "C.", INSTRUCTION]
    assert shown(provider.turns[0]) == ["A.", "C.", "S1", "And?"]


async def test_a_chain_is_compacted_by_its_last_id() -> None:
    provider = Summariser("answer", "ok")
    async with serving(provider) as http:
        one = await http.ask("Question.")
        made = await http.compact(previous_response_id=one["id"])
        await http.ask([*made["output"], user("And?")])
    assert shown(provider.summaries[0]) == ["Question.", "answer", INSTRUCTION]
    assert shown(provider.turns[1]) == ["Question.", "S1", "And?"]


async def test_what_was_compacted_can_be_compacted_again() -> None:
    provider = Summariser("ok")
    async with serving(provider) as http:
        first = await http.compact([user("A.")])
        second = await http.compact([*first["output"], user("B.")])
        assert [item["type"] for item in second["output"]] == ["message", "message", "compaction"]
        await http.ask(second["output"])
    assert shown(provider.turns[0]) == ["A.", "B.", "S2"]


async def test_instructions_within_the_conversation_outlive_it() -> None:
    provider = Summariser("ok")
    async with serving(provider) as http:
        made = await http.compact([{"role": "developer", "content": "Rule."}, user("A.")])
        await http.ask(made["output"])
    assert [item["role"] for item in provider.turns[0].items] == ["user", "developer", "user"]
    assert shown(provider.turns[0]) == ["A.", "Rule.", "S1"]


async def test_a_compaction_says_nothing_in_clear_and_is_for_its_owner_alone() -> None:
    provider = Summariser("ok")
    async with serving(provider) as http:
        made = (await http.compact([user("A.")]))["output"][-1]
        raw = made["encrypted_content"]
        assert "S1" not in raw
        assert b"S1" not in base64.urlsafe_b64decode(raw.partition(".")[2])
        stolen = await http.ask([user("Hi."), made], owner="bob")
        cut = {**made, "encrypted_content": raw[:-4] + "AAAA"}
        altered = await http.ask([user("Hi."), cut])
        foreign = await http.ask([user("Hi."), {"type": "compaction", "encrypted_content": "gAAA"}])
    for answer in (stolen, altered, foreign):
        assert answer["error"]["param"] == "input[1]"
        assert answer["error"]["code"] == "invalid_value"
    assert provider.turns == []


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"model": None, "input": "A."}, "model", "missing_required_parameter"),
        ({"model": "x", "input": "A."}, "model", "model_not_found"),
        ({}, "input", "missing_required_parameter"),
        ({"input": []}, "input", "missing_required_parameter"),
        ({"input": "A.", "tools": []}, "tools", "unknown_parameter"),
        (
            {"previous_response_id": "resp_nope"},
            "previous_response_id",
            "previous_response_not_found",
        ),
    ],
    ids=str,
)
async def test_what_is_wrong_is_named(body: dict[str, Any], param: str, code: str) -> None:
    async with serving(Summariser()) as http:
        error = (await http.compact(**body))["error"]
    assert (error["param"], error["code"]) == (param, code)


@pytest.mark.parametrize(
    "said",
    [
        [Stopped()],
        [TextDelta("half a"), Stopped("max_output_tokens")],
        [RefusalDelta("No."), Stopped()],
        calls("call_1"),
    ],
    ids=["nothing", "cut short", "a refusal", "a call"],
)
async def test_anything_but_a_whole_summary_is_the_upstreams_fault(said: list[Delta]) -> None:
    async with serving(ScriptedProvider(said)) as http:
        answer = await http.answer("A.", path="/responses/compact")
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "upstream_protocol_error"


async def test_the_upstreams_refusal_is_its_own() -> None:
    refusal = UpstreamRefused("slow down", status=429, type="rate_limit_error", retry_after=3)
    async with serving(ScriptedProvider(refusal)) as http:
        answer = await http.answer("A.", path="/responses/compact")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")


async def test_usage_that_is_not_reported_is_estimated() -> None:
    async with serving(ScriptedProvider([TextDelta("Short."), Stopped()])) as http:
        made = await http.compact("A.")
    assert made["usage"]["input_tokens"] > 20
    assert made["usage"]["output_tokens"] > 0


async def test_a_summary_that_nobody_waits_for_is_not_written_to_its_end() -> None:
    class Endless:
        begun = asyncio.Event()
        stopped = False

        async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
            self.begun.set()
            try:
                await asyncio.sleep(60)
            finally:
                self.stopped = True
            yield Stopped()

    endless = Endless()
    body = [{"type": "http.request", "body": b'{"model": "m", "input": "A."}'}]
    sent: list[Any] = []

    async def receive() -> Any:
        if body:
            return body.pop()
        await endless.begun.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    app = ResponsesApp(store=MemoryStore(), models={"m": endless})
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/responses/compact",
        "query_string": b"",
        "headers": [],
    }
    async with asyncio.timeout(5), app.lifespan():
        await app(scope, receive, send)
    assert endless.stopped
    assert sent[0]["status"] == 499


async def test_observers_see_what_a_compaction_cost_and_who_wrote_it() -> None:
    seen: list[TurnRecord] = []

    class Observer:
        def on_start(self, record: TurnRecord) -> None:
            assert record.status == "in_progress"

        def on_first_delta(self, record: TurnRecord) -> None: ...

        def on_end(self, record: TurnRecord) -> None:
            seen.append(record)

    provider = ScriptedProvider("short", UpstreamUnavailable("no connection"))
    app = ResponsesApp(store=MemoryStore(), models={"m": provider}, observers=[Observer()])
    async with (
        app.lifespan(),
        httpx2.AsyncClient(transport=InProcessTransport(app), base_url="http://test") as http,
    ):
        for _ in range(2):
            await http.post("/responses/compact", json={"model": "m", "input": "A."})
    assert [(one.status, one.error) for one in seen] == [
        ("completed", None),
        ("failed", "upstream_unavailable"),
    ]
    assert seen[0].usage is not None
    assert (seen[0].deployment, len(seen[0].attempts)) == ("m", 1)


async def test_the_official_client_compacts_and_goes_on() -> None:
    app = ResponsesApp(store=MemoryStore(), models={"m": CheckModel()})
    async with app.lifespan(), openai_client(app) as client:
        made = await client.responses.compact(model="m", input="We launch on Tuesday.")
        assert made.output[-1].type == "compaction"
        input: Any = [item.model_dump(exclude_none=True) for item in made.output[-1:]]
        input.append({"role": "user", "content": "When do we launch?"})
        answer = await client.responses.create(model="m", input=input)
        assert "Tuesday" in answer.output_text
        counted = await client.responses.input_tokens.count(model="m", input=input)
        assert counted.input_tokens > 10


# --- context_management


async def test_a_chain_that_grew_too_long_begins_again_with_its_compaction(
    store: SessionStore,
) -> None:
    provider = Summariser("one", "two", "three", "four")
    async with serving(provider, store) as http:
        one = await http.ask(LONG, context_management=ABOVE)
        two = await http.ask("Next.", previous_response_id=one["id"], context_management=ABOVE)
        three = await http.ask("Then.", previous_response_id=two["id"], context_management=ABOVE)
        branch = await http.ask("Else.", previous_response_id=one["id"])
        listed = await http.client.get(
            f"/responses/{two['id']}/input_items", headers={"owner": "ann"}
        )
    assert [item["type"] for item in one["output"]] == ["message"]
    assert [item["type"] for item in two["output"]] == ["compaction", "message"]
    assert [item["type"] for item in three["output"]] == ["message"]
    assert shown(provider.summaries[0]) == [LONG, "one", INSTRUCTION]
    assert shown(provider.turns[1]) == ["S1", "Next."]
    assert shown(provider.turns[2]) == ["S1", "Next.", "two", "Then."]
    assert branch["status"] == "completed"
    assert shown(provider.turns[3]) == [LONG, "one", "Else."]
    assert [text_of(item) for item in listed.json()["data"]] == ["Next."]


async def test_the_summary_is_paid_for_in_the_answers_usage() -> None:
    answer = [TextDelta("x"), UsageReported(20, 2, cached_tokens=5), Stopped()]
    async with serving(Summariser("one", answer, [TextDelta("y"), Stopped()])) as http:
        one = await http.ask(LONG)
        two = await http.ask("Next.", previous_response_id=one["id"], context_management=ABOVE)
        silent = await http.ask("Next.", previous_response_id=one["id"], context_management=ABOVE)
    assert two["usage"]["input_tokens"] == 1020
    assert two["usage"]["output_tokens"] == 12
    assert two["usage"]["input_tokens_details"]["cached_tokens"] == 905
    assert silent["usage"]["input_tokens"] == 1000


async def test_a_streamed_compaction_is_the_first_item_and_can_be_told_again() -> None:
    app = ResponsesApp(store=MemoryStore(), models={"m": Summariser("one", "two words")})
    async with app.lifespan(), openai_client(app) as client:
        one = await client.responses.create(model="m", input=LONG)
        stream = await client.responses.create(
            model="m",
            input="Next.",
            previous_response_id=one.id,
            context_management=[{"type": "compaction", "compact_threshold": 1000}],
            stream=True,
        )
        events = [event.model_dump() async for event in stream]
        id = events[-1]["response"]["id"]
        again = [
            event.model_dump() async for event in await client.responses.retrieve(id, stream=True)
        ]
    check_event_order(events)
    added = [event for event in events if event["type"] == "response.output_item.added"]
    assert [event["item"]["type"] for event in added] == ["compaction", "message"]
    assert again == events


async def test_a_tool_loop_is_compacted_without_losing_its_question_or_its_last_call() -> None:
    thought = NativeTurn("scope", {"signature": "s"})
    second = [ReasoningDelta("hm"), *calls("call_2")[:-1], thought, Stopped()]
    provider = Summariser(calls("call_1"), second, "done", "more")
    async with serving(provider) as http:
        rule = {"role": "developer", "content": "Rule."}
        one = await http.ask([rule, user("Find it."), user(LONG[:300])])
        story = {**output("call_1"), "output": LONG}
        two = await http.ask([story], previous_response_id=one["id"])
        three = await http.ask(
            [output("call_2")], previous_response_id=two["id"], context_management=ABOVE
        )
        await http.ask("Go on.", previous_response_id=three["id"])
    assert [item["type"] for item in three["output"]] == ["compaction", "message"]
    items = list(provider.turns[2].items)
    assert [item.get("call_id", item.get("role", item["type"])) for item in items] == [
        "developer", "user", "user", "reasoning", "call_2", "call_2",
    ]  # fmt: skip
    assert text_of(items[1]) == LONG[:300]
    assert text_of(items[2]) == HEADING + "S1"
    assert thought in [span.native for span in provider.turns[2].spans]
    assert shown(provider.turns[3])[-2:] == ["done", "Go on."]
    assert thought in [span.native for span in provider.turns[3].spans]


async def test_a_loop_that_is_compacted_twice_still_has_its_question() -> None:
    provider = Summariser(calls("call_1"), calls("call_2"), calls("call_3"), "done")
    previous = None
    input: Any = "Find it."
    async with serving(provider) as http:
        for n in range(1, 5):
            made = await http.ask(input, previous_response_id=previous, context_management=ABOVE)
            previous = made["id"]
            input = [{**output(f"call_{n}"), "output": LONG}]
    assert len(provider.summaries) == 2
    assert shown(provider.turns[3])[:2] == ["Find it.", "S2"]


async def test_the_native_form_of_the_answer_after_a_compaction_is_replayed() -> None:
    native = NativeTurn("scope", {"verbatim": LONG})
    provider = Summariser("one", [TextDelta(LONG), native, Stopped()], "three")
    async with serving(provider) as http:
        one = await http.ask(LONG)
        two = await http.ask("Next.", previous_response_id=one["id"], context_management=ABOVE)
        await http.ask("Then.", previous_response_id=two["id"])
    assert [span.native for span in provider.turns[2].spans] == [None, native, None]


async def test_the_native_form_of_the_answer_after_a_compaction_is_sealed_for_its_client() -> None:
    native = NativeTurn("scope", {"verbatim": 1})
    provider = Summariser([TextDelta("two"), native, Stopped()], "three")
    async with serving(provider) as http:
        before = [user(LONG), {"role": "assistant", "content": "ok"}, user("Next.")]
        include = ["reasoning.encrypted_content"]
        one = await http.ask(before, store=False, include=include, context_management=ABOVE)
        types = [item["type"] for item in one["output"]]
        await http.ask([*before, *one["output"], user("Then.")], store=False)
    assert types == ["compaction", "message", "reasoning"]
    assert native in [span.native for span in provider.turns[1].spans]


async def test_a_client_that_keeps_state_itself_may_send_everything_back() -> None:
    provider = Summariser("one", "two", "three")
    async with serving(provider) as http:
        before = [user(LONG), {"role": "assistant", "content": "ok"}, user("Next.")]
        one = await http.ask(before, store=False, context_management=ABOVE)
        await http.ask([*before, *one["output"], user("Then.")], store=False)
        await http.ask([*one["output"], user("Then.")], store=False)
    assert shown(provider.turns[0]) == ["S1", "Next."]
    for turn in provider.turns[1:]:
        assert shown(turn) == ["S1", "Next.", "one", "Then."]


async def test_one_long_question_has_nothing_to_compact() -> None:
    provider = Summariser("one")
    async with serving(provider) as http:
        one = await http.ask(LONG, context_management=ABOVE)
    assert [item["type"] for item in one["output"]] == ["message"]
    assert provider.summaries == []


async def test_without_a_threshold_the_models_window_is_one() -> None:
    provider = Summariser("one", "two")
    entry = [{"type": "compaction"}]
    async with serving(provider, max_input_tokens=1200) as http:
        one = await http.ask(LONG)
        two = await http.ask("Next.", previous_response_id=one["id"], context_management=entry)
    assert two["output"][0]["type"] == "compaction"
    async with serving(provider) as http:
        unknown = await http.ask("Hi.", context_management=entry)
    assert unknown["error"]["param"] == "context_management[0].compact_threshold"


async def test_a_refusal_after_the_summary_is_still_an_http_error() -> None:
    refusal = UpstreamRefused("slow down", status=429, type="rate_limit_error")
    async with serving(Summariser("one", refusal)) as http:
        one = await http.ask(LONG)
        answer = await http.answer(
            "Next.", previous_response_id=one["id"], context_management=ABOVE, stream=True
        )
    assert answer.status_code == 429


async def test_a_background_response_compacts_too() -> None:
    provider = Summariser("one", "two")
    async with serving(provider) as http:
        one = await http.ask(LONG)
        two = await http.ask(
            "Next.", previous_response_id=one["id"], context_management=ABOVE, background=True
        )
        stream = await http.client.get(
            f"/responses/{two['id']}?stream=true", headers={"owner": "ann"}
        )
    assert '"type":"compaction"' in stream.text
    assert stream.text.rstrip().endswith("data: [DONE]")


# --- the seal


def test_a_compaction_is_no_reasoning_seal_and_the_other_way_round() -> None:
    sealer = Sealer(b"key", "ann")
    item = {"type": "message", "role": "user", "content": []}
    compaction = sealer.seal_compaction(Compacted([Span([item])], whole=True))
    reasoning = sealer.seal(NativeTurn("scope", 1), [item])
    assert sealer.open(compaction) is None
    assert sealer.compacted({"encrypted_content": reasoning}) is None
    assert sealer.compacted({"encrypted_content": None}) is None
    swapped = "rmwc1." + reasoning.partition(".")[2]
    assert sealer.compacted({"encrypted_content": swapped}) is None


def test_a_compaction_that_does_not_open_stays_where_it_is() -> None:
    sealer = Sealer(b"key", "ann")
    item = {"type": "compaction", "encrypted_content": "gAAA"}
    assert sealer.spans([item]) == [Span([item])]


async def test_a_chain_whose_compaction_does_not_open_any_more_is_told_whole() -> None:
    store = MemoryStore()
    provider = Summariser("one", "two", "three")
    first = serving(provider, store)
    async with first as http:
        one = await http.ask(LONG)
        two = await http.ask("Next.", previous_response_id=one["id"], context_management=ABOVE)
    second = serving(provider, store)
    second.app.settings = Settings(seal_key=b"another", drain_s=1)
    async with second as http:
        await http.ask("Then.", previous_response_id=two["id"])
    assert shown(provider.turns[2]) == [LONG, "one", "Next.", "two", "Then."]
