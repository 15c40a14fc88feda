"""The OpenAPI document says what the server does: held against the same requests as the checks, and
against what routes and streams really answer.
"""

import copy
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import asked
import httpx2
import items_sampled
import jsonschema_rs
import pytest
import test_items
import test_schema
import test_schema_taken
from cases import SHARED, needs_recordings
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate
from starlette.routing import Route

from responses_mw import ResponsesApp, Settings
from responses_mw.aside_schema import compact_request, count_request
from responses_mw.conversation_schema import ConversationUpdate, NewConversation, NewItems
from responses_mw.envelope import _USUAL, response_body
from responses_mw.errors import InvalidRequest
from responses_mw.items import stored_items
from responses_mw.json_schema import PREFIX
from responses_mw.openapi import document
from responses_mw.openapi_routes import OPERATIONS
from responses_mw.schema import CreateRequest
from responses_mw.testing import CheckModel, EchoProvider
from responses_mw.testing.asgi import InProcessTransport

DOCUMENT = document()
SCHEMAS = DOCUMENT["components"]["schemas"]

EXAMPLES = os.environ.get("RESPONSES_MW_EXAMPLES", "")
"""Set, random requests are made, and so many of them."""

BEYOND_WORDS = (
    "not among 'tools'",
    "levels deep",
    "each needs its own",
    "must be the last item",
    "must be an integer, not a number",  # 16.0 is an integer to JSON Schema
    "is not valid JSON",  # infinity, which Python writes all the same
)
"""Of the messages of what JSON Schema cannot refuse."""


def validator(name: str) -> jsonschema_rs.Draft202012Validator:
    components = {"components": {"schemas": SCHEMAS}}
    return jsonschema_rs.Draft202012Validator(
        {"$ref": f"#/components/schemas/{PREFIX}{name}", **components}
    )


CHECKS: dict[str, Callable[[Any], Any]] = {
    "create": CreateRequest.of,
    "count": lambda body: count_request(json.dumps(body).encode()),
    "compact": lambda body: compact_request(json.dumps(body).encode()),
    "new_conversation": NewConversation.of,
    "conversation_update": ConversationUpdate.of,
    "new_items": NewItems.of,
}
VALIDATORS = {name: validator(name) for name in CHECKS}


def refusal(check: Callable[[Any], Any], body: Any) -> InvalidRequest | None:
    try:
        check(body)
    except InvalidRequest as error:
        return error
    return None


def check_agreement(body: Any, name: str = "create") -> None:
    """The schema lets pass what the server takes, and nothing that it could have refused."""
    said, error = VALIDATORS[name], refusal(CHECKS[name], body)
    if error is None:
        assert said.is_valid(body), next(said.iter_errors(body))
    elif not any(words in error.message for words in BEYOND_WORDS):
        assert not said.is_valid(body), error.message


# --- the document


def test_it_is_valid_openapi() -> None:
    validate(DOCUMENT)


def test_it_has_every_route_and_no_other() -> None:
    app = ResponsesApp(store="memory://", models={"echo": EchoProvider()})
    served = {
        (route.path.replace(":path}", "}"), method)
        for route in app.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }

    assert {(path, method) for path, methods in OPERATIONS.items() for method in methods} == served


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"].rpartition("/")[2]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_every_component_is_used_and_ours_by_name() -> None:
    assert set(references(DOCUMENT)) == set(SCHEMAS)
    assert all(name.startswith(PREFIX) for name in SCHEMAS)


def test_no_parameter_is_left_open() -> None:
    properties = SCHEMAS[f"{PREFIX}create"]["properties"]

    assert set(properties) == set(CreateRequest.model_fields)
    assert [name for name, found in properties.items() if not found] == []


def test_a_document_is_the_callers_own() -> None:
    def empty(value: Any) -> None:
        for inner in value.values() if isinstance(value, dict) else value:
            if isinstance(inner, dict | list):
                empty(inner)
        value.clear()

    empty(document())

    assert document() == DOCUMENT


async def get(app: Any, path: str, root_path: str = "") -> Any:
    transport = InProcessTransport(app, root_path=root_path)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as http:
        answer = await http.get(path)
        assert answer.status_code == 200
        return answer.json()


async def test_it_is_served_with_the_address_of_its_mount() -> None:
    responses = ResponsesApp(store="memory://", models={"echo": EchoProvider()})
    host = FastAPI()
    host.mount("/ai/v1", responses)

    assert await get(host, "/ai/v1/openapi.json") == responses.openapi(server="/ai/v1")
    assert await get(responses, "/openapi.json") == responses.openapi(server="/")


async def test_a_fastapi_host_can_take_it_into_its_own() -> None:
    responses = ResponsesApp(store="memory://", models={"echo": EchoProvider()})
    app = FastAPI()

    @app.get("/own")
    def own() -> str:
        return "mine"

    # As the docstring of ResponsesApp.openapi shows it.
    def openapi() -> dict[str, Any]:
        ours, theirs = FastAPI.openapi(app), responses.openapi(prefix="/v1")
        for group, named in theirs["components"].items():
            ours.setdefault("components", {}).setdefault(group, {}).update(named)
        ours["paths"].update(theirs["paths"])
        return ours

    app.openapi = openapi  # type: ignore[method-assign]
    app.mount("/v1", responses)

    both = await get(app, "/openapi.json")

    validate(both)
    assert {"/own", "/v1/responses", "/v1/conversations/{id}"} <= set(both["paths"])


# --- what requests may hold


@pytest.mark.parametrize("parameters", test_schema_taken.VALID, ids=lambda v: str(v)[:50])
def test_a_valid_parameter_is_described(parameters: dict[str, Any]) -> None:
    check_agreement({"model": "m", "input": "Hi.", **parameters})


@pytest.mark.parametrize("name", sorted(CreateRequest.model_fields))
def test_null_is_as_good_as_absent(name: str) -> None:
    check_agreement({"model": "m", "input": "Hi.", name: None})


@pytest.mark.parametrize("sample", items_sampled.SAMPLES, ids=lambda v: str(v)[:50])
def test_an_item_is_described(sample: dict[str, Any]) -> None:
    check_agreement({"model": "m", "input": [sample]})


@pytest.mark.parametrize("parameters", [w[0] for w in test_schema.WRONG], ids=lambda v: str(v)[:50])
def test_a_wrong_parameter_is_refused_by_the_document(parameters: dict[str, Any]) -> None:
    check_agreement({"model": "m", "input": "Hi.", **parameters})


@pytest.mark.parametrize("item", [w[0] for w in test_items.WRONG], ids=lambda v: str(v)[:50])
def test_a_wrong_item_is_refused_by_the_document(item: Any) -> None:
    check_agreement({"model": "m", "input": [item]})


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"input": "Hi."},
        {"model": "m"},
        {"model": None, "input": "Hi."},
        {"prompt": {"id": "p"}},
        {"prompt": {"id": "p", "variables": {"a": "b", "c": {"type": "input_text", "text": "d"}}}},
        {"prompt": {"id": "p", "variables": {"a": 1}}},
        [],
        "Hi.",
        None,
    ],
    ids=str,
)
def test_what_must_be_there_is_said(body: Any) -> None:
    check_agreement(body)


@pytest.mark.parametrize("name", sorted(CHECKS))
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"model": "m"},
        {"model": "m", "input": "Hi."},
        {"model": "m", "previous_response_id": "resp_1"},
        {"conversation": "conv_1", "previous_response_id": "resp_1"},
        {"personality": "p" * 65},
        {"metadata": {"a": "b"}},
        {"metadata": None},
        {"items": None},
        {"items": [], "metadata": {}},
        {"items": [{"role": "user", "content": "Hi."}] * 21},
        {"items": [{"type": "no_such_item"}]},
        {"store": True},
    ],
    ids=lambda v: str(v)[:50],
)
def test_every_kind_of_body_is_described(name: str, body: Any) -> None:
    check_agreement(body, name)


def test_a_prompt_is_described_where_there_are_some() -> None:
    def prompt(**settings: Any) -> Any:
        app = ResponsesApp(store="memory://", models={"echo": EchoProvider()}, **settings)
        return app.openapi()["components"]["schemas"][f"{PREFIX}create"]["properties"]["prompt"]

    assert prompt() == {"type": "null"}
    assert "properties" in prompt(settings=Settings(prompts={"greeting": {"input": "Hi."}}))


@needs_recordings
def test_what_real_clients_sent_is_described() -> None:
    assert SHARED is not None
    seen = 0
    for path in sorted((SHARED / "recordings").glob("*/*.request.json")):
        body = json.loads(path.read_bytes())
        if isinstance(body, dict) and "input" in body:
            check_agreement(body)
            seen += 1
    assert seen > 80


BODIES: list[tuple[str, dict[str, Any]]] = [
    *(("create", {"model": "m", "input": "Hi.", **given}) for given in test_schema_taken.VALID),
    *(("create", {"model": "m", "input": [item]}) for item in items_sampled.SAMPLES),
    ("count", {"input": "Hi.", "tools": [asked.WEATHER], "personality": "p"}),
    ("compact", {"model": "m", "input": "Hi.", "service_tier": "flex"}),
    ("new_conversation", {"metadata": {"a": "b"}, "items": [{"role": "user", "content": "Hi."}]}),
    ("conversation_update", {"metadata": {"a": "b"}}),
    ("new_items", {"items": items_sampled.SAMPLES[:2]}),
]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a JSON value."""
    keys = range(len(value)) if isinstance(value, list) else list(value)
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


@settings(max_examples=int(EXAMPLES or 600), derandomize=not EXAMPLES, deadline=None)
@given(st.sampled_from(BODIES), st.data())
def test_the_document_and_the_server_agree_on_any_change(
    sent: tuple[str, Any], data: st.DataObject
) -> None:
    name, changed = sent[0], copy.deepcopy(sent[1])
    container, key = data.draw(st.sampled_from(list(places(changed))))
    match data.draw(st.sampled_from(["replace", "remove", "add"])):
        case "remove":
            del container[key]
        case "add" if isinstance(container, dict):
            container[data.draw(st.text(max_size=3))] = data.draw(test_schema_taken.JSON)
        case _:
            container[key] = data.draw(test_schema_taken.JSON)

    check_agreement(changed, name)


# --- what answers hold


def test_every_key_of_a_response_is_described() -> None:
    described = SCHEMAS[f"{PREFIX}response"]

    assert set(_USUAL) <= set(described["required"])
    everything = validator("response")
    for parameters in test_schema_taken.VALID:
        request = CreateRequest.of({"model": "m", "input": "Hi.", **parameters})
        body = response_body(request, id="resp_1", created_at=1, model="m")
        everything.validate(body)
        assert set(body) <= set(described["properties"])


@pytest.mark.parametrize("sample", items_sampled.SAMPLES, ids=lambda v: str(v)[:50])
def test_a_listed_item_is_described(sample: dict[str, Any]) -> None:
    (stored,) = stored_items([sample], items_sampled.RESPONSE)

    validator("item").validate(stored)


ASKED: list[dict[str, Any]] = [
    {},
    {"text": {"format": {"type": "json_object"}}},
    {"reasoning": {"effort": "high", "summary": "auto"}},
    {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
    {"max_output_tokens": 16},
    {"tools": [asked.WEATHER], "tool_choice": "required"},
    {"background": True},
]


@pytest.mark.parametrize("raw_reasoning", [None, "openai", "openresponses"])
async def test_every_event_of_a_stream_is_described(raw_reasoning: Any) -> None:
    app = ResponsesApp(
        store="memory://",
        models={"check": CheckModel(pause=0)},
        settings=Settings(raw_reasoning=raw_reasoning),
    )
    event, told = validator("event"), set()
    transport = InProcessTransport(app, lifespan=True)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as http:
        for parameters in ASKED:
            body = {"model": "check", "input": "Count in Paris.", "stream": True, **parameters}
            answer = await http.post("/responses", json=body)
            for line in answer.text.splitlines():
                if line.startswith("data: {"):
                    found = json.loads(line.removeprefix("data: "))
                    event.validate(found)
                    told.add(found["type"])

    described = {
        known["properties"]["type"]["enum"][0]
        for known in SCHEMAS[f"{PREFIX}event"]["anyOf"]
        if "enum" in known["properties"]["type"]
    }
    assert told <= described
    assert len(told) >= 15
