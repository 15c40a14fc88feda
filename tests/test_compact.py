"""Compaction by request, and what its seal holds."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from compacting import (
    ABOVE,
    LONG,
    Summariser,
    calls,
    serving,
    shown,
    user,
)
from every_store import store, store_url

from responses_mw.app import ResponsesApp
from responses_mw.compaction import INSTRUCTION
from responses_mw.deltas import (
    Delta,
    NativeTurn,
    RefusalDelta,
    Stopped,
    TextDelta,
)
from responses_mw.errors import UpstreamRefused, UpstreamUnavailable
from responses_mw.records import Observer, TurnRecord
from responses_mw.seals import Compacted, Sealer
from responses_mw.settings import Settings
from responses_mw.testing import CheckModel, ScriptedProvider, openai_client
from responses_mw.testing.asgi import InProcessTransport
from responses_mw.testing.providers import text_of
from responses_mw.turn import Span, Turn
from stores import MemoryStore

__all__ = ["store", "store_url"]


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
            {"input": "A.", "image": {"context_compression": "auto"}},
            "image",
            "unsupported_parameter",
        ),
        ({"image": None}, "input", "missing_required_parameter"),
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

    class Watching(Observer):
        def on_start(self, record: TurnRecord) -> None:
            assert record.status == "in_progress"

        def on_end(self, record: TurnRecord) -> None:
            seen.append(record)

    provider = ScriptedProvider("short", UpstreamUnavailable("no connection"))
    app = ResponsesApp(store=MemoryStore(), models={"m": provider}, observers=[Watching()])
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


async def test_a_summary_without_end_is_none() -> None:
    class Endless:
        async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
            while True:
                yield TextDelta("And then. " * 1000)
                await asyncio.sleep(0)

    async with asyncio.timeout(20), serving(Endless()) as http:
        answer = await http.answer("A.", path="/responses/compact")

    assert answer.status_code == 502
    assert "more than 1000000 characters" in answer.json()["error"]["message"]
