"""Compaction as the answer: an input that ends with a `compaction_trigger`."""

import asyncio
from typing import Any

from compacting import LONG, Http, Summariser, calls, output, serving, shown, user
from every_store import store, store_url

from responses_mw.compaction import INSTRUCTION
from responses_mw.deltas import Stopped, TextDelta
from responses_mw.schema import CreateRequest
from responses_mw.testing import ScriptedProvider, check_event_order, openai_client
from stores import SessionStore

__all__ = ["store", "store_url"]

TRIGGER = {"type": "compaction_trigger"}
RULE = {"role": "developer", "content": "Be brief."}


async def test_the_answer_is_one_compaction_that_a_client_may_go_on_from() -> None:
    provider = Summariser("ok")
    async with serving(provider) as http:
        said = [RULE, user("A."), {"role": "assistant", "content": "B."}, user("C.")]
        made = await http.ask([*said, TRIGGER], store=False)
        assert made["status"] == "completed"
        assert [item["type"] for item in made["output"]] == ["compaction"]
        assert made["usage"]["input_tokens"] == 1000
        await http.ask([RULE, user("A."), *made["output"], user("And?")], store=False)
    assert shown(provider.summaries[0]) == ["Be brief.", "A.", "B.", "C.", INSTRUCTION]
    assert shown(provider.turns[0]) == ["Be brief.", "A.", "C.", "S1", "And?"]


async def test_a_chain_begins_again_where_it_was_triggered(store: SessionStore) -> None:
    provider = Summariser(calls("call_1"), "ok")
    async with serving(provider, store) as http:
        first = await http.ask(LONG)
        asked = [output("call_1"), TRIGGER]
        made = await http.ask(asked, previous_response_id=first["id"])
        assert [item["type"] for item in made["output"]] == ["compaction"]
        again = await http.ask("And?", previous_response_id=made["id"])
        assert again["status"] == "completed"
    assert shown(provider.turns[1]) == [LONG, "S1", "And?"]


async def test_a_triggered_compaction_is_streamed_as_one_item() -> None:
    served = serving(Summariser())
    async with served, openai_client(served.app) as client:
        stream = await client.responses.create(
            model="m",
            input=[user("A."), TRIGGER],
            stream=True,
            extra_headers={"owner": "ann"},
        )
        heard = [event.to_dict() async for event in stream]
    check_event_order(heard)
    done = [event["item"]["type"] for event in heard if event["type"].endswith("item.done")]
    assert done == ["compaction"]


async def ended(http: Http, made: Any) -> Any:
    while made["status"] in ("queued", "in_progress"):
        await asyncio.sleep(0.01)
        found = await http.client.get(f"/responses/{made['id']}", headers={"owner": "ann"})
        made = found.json()
    return made


async def test_background_work_may_be_a_compaction() -> None:
    async with serving(Summariser()) as http:
        made = await ended(http, await http.ask([user("A."), TRIGGER], background=True))
        assert [item["type"] for item in made["output"]] == ["compaction"]


async def test_what_failed_to_be_compacted_is_continued_as_it_was(store: SessionStore) -> None:
    provider = ScriptedProvider([TextDelta("S"), Stopped("max_output_tokens")], "fine")
    async with serving(provider, store) as http:
        asked = [user("A."), TRIGGER]
        made = await ended(http, await http.ask(asked, background=True))
        assert made["status"] == "failed"
        again = await http.ask("B.", previous_response_id=made["id"])
        assert again["status"] == "completed"
    assert shown(provider.turns[-1]) == ["A.", "B."]


async def test_there_must_be_something_to_compact() -> None:
    async with serving(Summariser()) as http:
        refused = await http.answer([TRIGGER])
        assert refused.status_code == 400
        assert refused.json()["error"]["param"] == "input"


async def test_a_trigger_ends_the_input_of_a_response_and_stands_nowhere_else() -> None:
    async with serving(Summariser()) as http:
        refused = await http.ask([TRIGGER, user("A.")])
        assert refused["error"]["param"] == "input[0]"
        items = {"items": [user("A."), TRIGGER]}
        kept = await http.client.post("/conversations", json=items, headers={"owner": "ann"})
        assert kept.json()["error"]["param"] == "items[1]"


async def test_the_trigger_is_neither_stored_nor_told_to_a_model(
    store: SessionStore,
) -> None:
    provider = Summariser("ok")
    async with serving(provider, store) as http:
        made = await http.ask([user("A."), TRIGGER])
        path = f"/responses/{made['id']}/input_items?order=asc"
        listed = await http.client.get(path, headers={"owner": "ann"})
        assert [item["type"] for item in listed.json()["data"]] == ["message"]
    assert shown(provider.summaries[0]) == ["A.", INSTRUCTION]


async def test_what_is_kept_of_a_request_to_begin_again_still_asks_for_it() -> None:
    request = CreateRequest.of({"model": "m", "input": [user("A."), TRIGGER]})
    again = CreateRequest.of(request.sent())
    assert (again.is_triggered, again.items) == (True, [])
