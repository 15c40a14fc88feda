"""`include`: what lists show only if asked, and which values there are."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from responses_mw.app import ResponsesApp
from responses_mw.included import VALUES, shown
from responses_mw.testing import CheckModel
from responses_mw.testing.asgi import InProcessTransport
from stores import MemoryStore

PNG = "data:image/png;base64,iVBORw0KGgo="
IMAGE = {"type": "input_image", "image_url": PNG, "detail": "auto"}
TEXT = {"type": "output_text", "text": "a", "annotations": [], "logprobs": [{"token": "a"}]}
ITEMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "file_search_call.results": (
        {"type": "file_search_call", "queries": ["q"], "results": [{"text": "t"}]},
        {"type": "file_search_call", "queries": ["q"], "results": None},
    ),
    "web_search_call.results": (
        {"type": "web_search_call", "action": {"query": "q"}, "results": [1]},
        {"type": "web_search_call", "action": {"query": "q"}},
    ),
    "web_search_call.action.sources": (
        {"type": "web_search_call", "action": {"query": "q", "sources": [1]}},
        {"type": "web_search_call", "action": {"query": "q"}},
    ),
    "message.input_image.image_url": (
        {"type": "message", "role": "user", "content": [IMAGE]},
        {"type": "message", "role": "user", "content": [{**IMAGE, "image_url": None}]},
    ),
    "computer_call_output.output.image_url": (
        {"type": "computer_call_output", "output": {"type": "screen", "image_url": PNG}},
        {"type": "computer_call_output", "output": {"type": "screen"}},
    ),
    "code_interpreter_call.outputs": (
        {"type": "code_interpreter_call", "code": "1", "outputs": [1]},
        {"type": "code_interpreter_call", "code": "1", "outputs": None},
    ),
    "reasoning.encrypted_content": (
        {"type": "reasoning", "summary": [], "encrypted_content": "s"},
        {"type": "reasoning", "summary": []},
    ),
    "message.output_text.logprobs": (
        {"type": "message", "role": "assistant", "content": [TEXT]},
        {"type": "message", "role": "assistant", "content": [{**TEXT, "logprobs": []}]},
    ),
}


def test_there_is_a_case_for_every_value() -> None:
    assert set(ITEMS) == set(VALUES)


@pytest.mark.parametrize("value", VALUES)
def test_a_part_is_shown_only_if_it_is_asked_for(value: str) -> None:
    whole, without = ITEMS[value]
    before = repr(whole)
    assert shown([whole], [value]) == [whole]
    assert shown([whole], [other for other in VALUES if other != value]) == [without]
    assert repr(whole) == before


def test_other_items_are_shown_as_they_are() -> None:
    items = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "file_search_call", "queries": []},
    ]
    assert shown(items, []) == items


WITHOUT_THE_OUTER = [
    {"type": "web_search_call", "name": "web_search", "arguments": "{}"},  # xAI's
    {"type": "web_search_call", "action": None},
    {"type": "computer_call_output", "call_id": "c", "output": "a text"},
    {"type": "computer_call_output", "call_id": "c"},
]


@pytest.mark.parametrize("item", WITHOUT_THE_OUTER, ids=str)
def test_an_item_that_lacks_what_holds_the_part_is_shown_as_it_is(item: dict[str, Any]) -> None:
    assert shown([item], []) == [item]


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    app = ResponsesApp(store=MemoryStore(), models={"m": CheckModel()})
    async with (
        app.lifespan(),
        httpx2.AsyncClient(transport=InProcessTransport(app), base_url="http://test") as it,
    ):
        yield it


@pytest.mark.parametrize("key", ["include[]", "include"])
async def test_a_list_of_input_items_has_its_pictures_if_asked(
    http: httpx2.AsyncClient, key: str
) -> None:
    input = [{"role": "user", "content": [IMAGE]}]
    made = (await http.post("/responses", json={"model": "m", "input": input})).json()
    path = f"/responses/{made['id']}/input_items"
    with_it = await http.get(path, params={key: "message.input_image.image_url"})
    without = await http.get(path, params={key: "reasoning.encrypted_content"})
    assert with_it.json()["data"][0]["content"][0]["image_url"] == PNG
    assert without.json()["data"][0]["content"][0]["image_url"] is None


async def test_an_unknown_value_is_refused_everywhere(http: httpx2.AsyncClient) -> None:
    made = (await http.post("/responses", json={"model": "m", "input": "Hi."})).json()
    conversation = (await http.post("/conversations", json={})).json()
    for path in (
        f"/responses/{made['id']}",
        f"/responses/{made['id']}/input_items",
        f"/conversations/{conversation['id']}/items",
    ):
        for key in ("include[]", "include"):
            answer = await http.get(path, params={key: "no.such.thing"})
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, "include")


async def test_get_shows_what_was_included_when_the_response_was_made(
    http: httpx2.AsyncClient,
) -> None:
    body = {"model": "m", "input": "Say hi.", "top_logprobs": 1}
    for include, some in ([], False), (["message.output_text.logprobs"], True):
        made = (await http.post("/responses", json={**body, "include": include})).json()
        got = (await http.get(f"/responses/{made['id']}")).json()
        assert got == made
        assert bool(got["output"][0]["content"][0]["logprobs"]) is some
