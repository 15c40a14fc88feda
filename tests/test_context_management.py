"""Compaction in the middle of a conversation that has grown long."""

from typing import Any

from compacting import (
    ABOVE,
    HEADING,
    LONG,
    Summariser,
    calls,
    output,
    serving,
    shown,
    user,
)
from every_store import store, store_url

from responses_mw.app import ResponsesApp
from responses_mw.compaction import INSTRUCTION
from responses_mw.deltas import (
    NativeTurn,
    ReasoningDelta,
    Stopped,
    TextDelta,
    UsageReported,
)
from responses_mw.errors import UpstreamRefused
from responses_mw.testing import check_event_order, openai_client
from responses_mw.testing.providers import text_of
from stores import MemoryStore, SessionStore

__all__ = ["store", "store_url"]


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
