"""item_reference: what it leads to, for whom, and what is stored in its place."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from every_store import store, store_url

from responses_mw.app import ResponsesApp
from responses_mw.deltas import Stopped, TextDelta, ToolCallDelta, ToolCallStarted
from responses_mw.testing import ScriptedProvider
from responses_mw.testing.asgi import InProcessTransport
from responses_mw.testing.providers import text_of
from stores import SessionStore

__all__ = ["store", "store_url"]

CALL = [ToolCallStarted(0, "look", "call_1"), ToolCallDelta(0, "{}"), Stopped()]


class Http:
    """One owner's requests to one application."""

    def __init__(self, client: httpx2.AsyncClient, provider: ScriptedProvider) -> None:
        self._client = client
        self.provider = provider

    async def ask(self, input: Any, *, owner: str = "ann", **body: Any) -> Any:
        answer = await self._client.post(
            "/responses", json={"model": "m", "input": input, **body}, headers={"owner": owner}
        )
        return answer.json()

    async def get(self, path: str) -> Any:
        return (await self._client.get(path, headers={"owner": "ann"})).json()

    async def post(self, path: str, body: Any) -> Any:
        return (await self._client.post(path, json=body, headers={"owner": "ann"})).json()

    async def delete(self, path: str) -> None:
        await self._client.delete(path, headers={"owner": "ann"})

    @property
    def last(self) -> list[str]:
        """What the model was shown last."""
        return [text_of(item) for item in self.provider.turns[-1].items]


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider(*["The word is cobalt.", "second", "third", "fourth"])


@pytest.fixture
async def http(store: SessionStore, provider: ScriptedProvider) -> AsyncIterator[Http]:
    app = ResponsesApp(
        store=store, models={"m": provider}, owner=lambda request: request.headers["owner"]
    )
    async with (
        app.lifespan(),
        httpx2.AsyncClient(transport=InProcessTransport(app), base_url="http://test") as client,
    ):
        yield Http(client, provider)


def reference(id: str) -> dict[str, str]:
    return {"type": "item_reference", "id": id}


async def test_an_output_is_said_again_by_its_id(http: Http) -> None:
    one = await http.ask("Which word?")
    id = one["output"][0]["id"]
    two = await http.ask([reference(id), {"role": "user", "content": "Why?"}])
    assert http.last == ["The word is cobalt.", "Why?"]
    listed = (await http.get(f"/responses/{two['id']}/input_items?order=asc"))["data"]
    assert listed[0] == one["output"][0]
    assert listed[1]["id"] != id


async def test_an_input_is_said_again_by_its_id_and_needs_no_type(http: Http) -> None:
    one = await http.ask([{"role": "user", "content": "Ah."}, {"role": "user", "content": "Oh."}])
    listed = (await http.get(f"/responses/{one['id']}/input_items?order=asc"))["data"]
    await http.ask(
        [{"id": listed[1]["id"]}, {"id": listed[0]["id"]}, {"id": one["output"][0]["id"]}]
    )
    assert http.last == ["Oh.", "Ah.", "The word is cobalt."]


async def test_a_chain_goes_on_from_a_turn_with_references(http: Http) -> None:
    one = await http.ask("Which word?")
    two = await http.ask([reference(one["output"][0]["id"])])
    await http.delete(f"/responses/{one['id']}")
    await http.ask("And?", previous_response_id=two["id"])
    assert http.last == ["The word is cobalt.", "second", "And?"]


async def test_a_copy_can_be_referred_to_only_by_where_it_is_from(http: Http) -> None:
    one = await http.ask("Which word?")
    id = one["output"][0]["id"]
    await http.ask([reference(id)])
    await http.ask([reference(id), reference(id)])
    assert http.last == ["The word is cobalt.", "The word is cobalt."]


@pytest.mark.parametrize("owner", ["bob", "ann"])
async def test_another_owners_items_do_not_exist_and_deleted_ones_no_more(
    http: Http, owner: str
) -> None:
    one = await http.ask("Which word?")
    if owner == "ann":
        await http.delete(f"/responses/{one['id']}")
    asked = [reference(one["output"][0]["id"]), {"role": "user", "content": "?"}]
    error = (await http.ask(asked, owner=owner))["error"]
    assert error["param"] == "input"
    assert one["output"][0]["id"] in error["message"]
    assert len(http.provider.turns) == 1


@pytest.mark.parametrize(
    "id",
    ["msg_nope", "msg_" + "0" * 32 + "_0", "msg_" + "0" * 32 + "_i0", "", "x" * 300],
    ids=len,
)
async def test_an_unknown_id_is_refused_and_nothing_is_asked(http: Http, id: str) -> None:
    error = (await http.ask([reference(id)]))["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"].startswith("input")
    assert http.provider.turns == []


async def test_what_the_chain_has_already_is_not_said_twice(http: Http) -> None:
    one = await http.ask("Which word?")
    asked = [reference(one["output"][0]["id"]), {"role": "user", "content": "Why?"}]
    await http.ask(asked, previous_response_id=one["id"])
    assert http.last == ["Which word?", "The word is cobalt.", "Why?"]


async def test_what_a_conversation_has_already_is_not_said_twice(http: Http) -> None:
    conversation = await http.post("/conversations", {"items": [{"role": "user", "content": "A"}]})
    items = await http.get(f"/conversations/{conversation['id']}/items")
    asked = [reference(items["data"][0]["id"]), {"role": "user", "content": "B"}]
    await http.ask(asked, conversation=conversation["id"])
    assert http.last == ["A", "B"]


async def test_references_can_be_put_into_a_conversation(http: Http) -> None:
    one = await http.ask("Which word?")
    items = [reference(one["output"][0]["id"])]
    conversation = await http.post("/conversations", {"items": items})
    await http.post(f"/conversations/{conversation['id']}/items", {"items": [{"id": "msg_nope"}]})
    await http.ask("B", conversation=conversation["id"])
    assert http.last == ["The word is cobalt.", "B"]


async def test_a_call_and_its_output_meet_by_reference(store: SessionStore) -> None:
    provider = ScriptedProvider(CALL, "done", "done")
    app = ResponsesApp(store=store, models={"m": provider}, owner=lambda request: "ann")
    async with (
        app.lifespan(),
        httpx2.AsyncClient(transport=InProcessTransport(app), base_url="http://test") as client,
    ):
        http = Http(client, provider)
        one = await http.ask("Look.")
        made = reference(one["output"][0]["id"])
        output = {"type": "function_call_output", "call_id": "call_1", "output": "a tree"}
        alone = await http.ask([made])
        twice = await http.ask([made, made, output])
        both = await http.ask([made, output])
        again = await http.ask([made, output, made, output])
    assert "No tool output found" in alone["error"]["message"]
    assert "call_1" in twice["error"]["message"]
    assert both["status"] == again["status"] == "completed"
    pair = ["function_call", "function_call_output"]
    assert [[item["type"] for item in turn.items] for turn in provider.turns[1:]] == [
        pair,
        pair * 2,
    ]


async def test_many_references_to_a_response_read_it_once(http: Http, store: SessionStore) -> None:
    one = await http.ask([{"role": "user", "content": str(n)} for n in range(50)])
    ids = [
        item["id"]
        for item in (await http.get(f"/responses/{one['id']}/input_items?limit=50"))["data"]
    ]
    reads = []
    read = store.input

    async def counting(id: str, *, owner: str) -> Any:
        reads.append(id)
        return await read(id, owner=owner)

    store.input = counting  # type: ignore[method-assign]
    await http.ask([reference(id) for id in ids])
    assert reads == [one["id"]]
    assert http.last == [str(n) for n in reversed(range(50))]


async def test_an_item_of_a_response_that_still_runs_is_not_yet_one(store: SessionStore) -> None:
    go_on = asyncio.Event()
    app = ResponsesApp(
        store=store,
        models={"m": ScriptedProvider([TextDelta("a"), go_on, Stopped()], "second")},
        owner=lambda request: "ann",
    )
    async with (
        app.lifespan(),
        httpx2.AsyncClient(transport=InProcessTransport(app), base_url="http://test") as client,
    ):
        body = {"model": "m", "input": "Go.", "background": True}
        id = (await client.post("/responses", json=body)).json()["id"]
        item = {"id": id.replace("resp_", "msg_") + "_0"}
        early = await client.post("/responses", json={"model": "m", "input": [item]})
        go_on.set()
        while (await client.get(f"/responses/{id}")).json()["status"] != "completed":
            await asyncio.sleep(0.01)
        late = await client.post("/responses", json={"model": "m", "input": [item]})
    assert (early.status_code, early.json()["error"]["code"]) == (409, "response_in_progress")
    assert late.status_code == 200
