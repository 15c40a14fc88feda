"""Owners never meet: everyone who may ask x every route and method, streams and sockets included.

The routes are those that the application has and that its OpenAPI document describes: a new one is
in the matrix without a word here, and fails until it says what its requests look like.
"""

import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from keyed import MASTER, Dear, ask, bearer, error, make, running, served
from live import Line, live
from starlette.routing import Route, WebSocketRoute
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from responses_mw.app import ResponsesApp
from responses_mw.keys import new_secret
from responses_mw.openapi_routes import OPERATIONS
from responses_mw.router import Deployment
from responses_mw.settings import Settings
from responses_mw.testing import EchoProvider
from responses_mw.testing.asgi import InProcessTransport
from stores import MemoryStore

BODIES: dict[str, Any] = {
    "POST /responses": {"model": "echo", "input": "hi", "previous_response_id": "ID"},
    "POST /responses/input_tokens": {
        "model": "echo",
        "input": "hi",
        "previous_response_id": "ID",
    },
    "POST /responses/compact": {"model": "echo", "input": "hi", "previous_response_id": "ID"},
    "POST /conversations/{id}": {"metadata": {"a": "b"}},
    "POST /conversations/{id}/items": {"items": [{"role": "user", "content": "hi"}]},
}
NOBODYS = {
    "POST /conversations",
    "GET /models",
    "GET /models/{name}",
    "GET /health/live",
    "GET /health/ready",
    "GET /openapi.json",
    "GET /metrics",
}
"""Routes that touch nobody's data."""
MASTERS = {
    "POST /key/generate",
    "GET /key/list",
    "GET /key/info",
    "POST /key/update",
    "POST /key/block",
    "POST /key/unblock",
    "POST /key/delete",
}


def routes() -> Iterator[str]:
    app = ResponsesApp(store=MemoryStore(), models={"echo": EchoProvider()})
    for route in app.routes:
        if isinstance(route, Route):
            path = route.path.replace(":path}", "}")
            yield from (f"{method} {path}" for method in sorted(route.methods or ()))


DESCRIBED = {
    f"{method.upper()} {path}": operation
    for path, methods in OPERATIONS.items()
    for method, operation in methods.items()
}
OWNED = sorted({*routes(), *DESCRIBED} - NOBODYS - MASTERS)
OWNED = [route for route in OWNED if not route.startswith("HEAD ")]


def test_the_matrix_has_every_route() -> None:
    app = ResponsesApp(store=MemoryStore(), models={"echo": EchoProvider()})
    kinds = {type(route) for route in app.routes}
    sockets = [route.path for route in app.routes if isinstance(route, WebSocketRoute)]

    served_routes = {route for route in routes() if not route.startswith("HEAD ")}
    assert served_routes == {*DESCRIBED}
    assert {*OWNED} | NOBODYS | MASTERS == served_routes
    assert {"GET /responses/{id}", "DELETE /responses/{id}", "GET /usage"} < {*OWNED}
    assert kinds == {Route, WebSocketRoute}
    assert sockets == ["/responses"]


# --- who may ask

Headers = dict[str, str]


@dataclass
class Entry:
    """A way in, and who comes: by their headers. `others` are known, and not the owner."""

    http: httpx2.AsyncClient
    provider: Dear
    mine: Sequence[Headers]
    others: Sequence[Headers]


@contextlib.asynccontextmanager
async def by_key() -> AsyncIterator[Entry]:
    """Served alone: the owner has two keys; a stranger has one, and the master is one, too."""
    provider = Dear()
    async with running(served(MemoryStore(), provider)) as http:
        ann, anns, bob = [await make(http, owner) for owner in ("ann", "ann", "bob")]
        mine, others = [bearer(anns), bearer(ann)], [bearer(bob), bearer(MASTER)]
        yield Entry(http, provider, mine, others)


@contextlib.asynccontextmanager
async def by_host() -> AsyncIterator[Entry]:
    """Mounted: the host says who asks."""
    provider = Dear()
    app = ResponsesApp(
        store=MemoryStore(),
        models={"dear": Deployment(provider), "echo": Deployment(EchoProvider())},
        owner=lambda request: request.headers.get("x-owner"),
        settings=Settings(drain_s=1),
    )
    async with (
        app.lifespan(),
        httpx2.AsyncClient(transport=InProcessTransport(app), base_url="http://t") as http,
    ):
        yield Entry(http, provider, [{"x-owner": "ann"}], [{"x-owner": "bob"}, {"x-owner": "Ann"}])


ENTRIES = {"by_key": by_key, "by_host": by_host}


# --- what they may ask for


@dataclass
class Data:
    """What one owner has: a response, one that runs, an item, a conversation and one of its."""

    response: str
    running: str
    item: str
    conversation: str
    posted: str


NEVER = Data(*(f"{kind}_{'0' * 32}" for kind in ("resp", "resp", "msg", "conv", "msg")))


async def data_of(http: httpx2.AsyncClient, headers: Headers) -> Data:
    body = {"model": "echo", "input": "hi"}
    response = (await http.post("/responses", json=body, headers=headers)).json()
    runs = {"model": "dear", "input": "hi", "background": True, "stream": False}
    begun = (await http.post("/responses", json=runs, headers=headers)).json()
    items = [{"role": "user", "content": "mine"}]
    conversation = await http.post("/conversations", json={"items": items}, headers=headers)
    id = conversation.json()["id"]
    posted = await http.get(f"/conversations/{id}/items", headers=headers)
    return Data(
        response["id"], begun["id"], response["output"][0]["id"], id, posted.json()["data"][0]["id"]
    )


def request_for(route: str, data: Data, id: str) -> tuple[str, str, Any]:
    method, _, path = route.partition(" ")
    whole = data.conversation if "conversations" in path else id
    path = path.replace("{id}", whole).replace("{item_id}", data.posted)
    text = json.dumps(BODIES.get(route)).replace("ID", id)
    return method, path, json.loads(text)


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("route", OWNED)
async def test_data_is_its_owners_alone_on_every_route(route: str, entry: str) -> None:
    """Whatever others are told, they would have been told of an id that never was."""
    async with ENTRIES[entry]() as way:
        data = await data_of(way.http, way.mine[-1])
        for headers in way.others:
            for id, no in ((data.response, NEVER.response), (data.running, NEVER.running)):
                told = await _told(way.http, headers, *request_for(route, data, id))
                unknown = await _told(way.http, headers, *request_for(route, NEVER, no))
                assert _masked(told, data) == _masked(unknown, NEVER)
                if route != "GET /usage":
                    assert told[0] in (400, 404), (headers, told)
        way.provider.gate.set()
        for headers in way.mine:
            mine = await _told(way.http, headers, *request_for(route, data, data.response))
            expected = (200, 400, 404) if "DELETE" in route or "cancel" in route else (200,)
            assert mine[0] in expected, mine


CLOSED = [
    (route, entry)
    for route, operation in sorted(DESCRIBED.items())
    for entry in ENTRIES
    if not operation.open
    and (route, entry) != ("GET /metrics", "by_host")  # a host's metrics have a key of their own
]


@pytest.mark.parametrize(("route", "entry"), CLOSED)
async def test_nobody_asks_without_saying_who(route: str, entry: str) -> None:
    async with ENTRIES[entry]() as way:
        told = await _told(way.http, {}, *request_for(route, NEVER, NEVER.response))

    assert told[0] in ((401, 403) if route in MASTERS else (401,)), told


async def _told(
    http: httpx2.AsyncClient, headers: Headers, method: str, path: str, body: Any
) -> tuple[int, str]:
    answer = await http.request(method, path, json=body, headers=headers)
    return answer.status_code, answer.text


def _masked(told: tuple[int, str], data: Data) -> tuple[int, str]:
    status, text = told
    for id in (data.response, data.running, data.item, data.conversation, data.posted):
        text = text.replace(id, "ID")
    return status, text


@pytest.mark.parametrize("entry", ENTRIES)
async def test_a_stream_is_resumed_by_its_owner_alone_while_it_runs_and_after(entry: str) -> None:
    async with ENTRIES[entry]() as way:
        data = await data_of(way.http, way.mine[-1])

        async def others_are_told() -> set[int]:
            return {
                (await way.http.get(_resumed(id, after), headers=headers)).status_code
                for headers in way.others
                for id in (data.running, data.response)
                for after in (None, 0)
            }

        running = await others_are_told()
        way.provider.gate.set()
        mine = [await way.http.get(_resumed(data.running, 0), headers=h) for h in way.mine]
        ended = await others_are_told()

    assert running == ended == {404}
    assert all("response.completed" in answer.text for answer in mine)


def _resumed(id: str, after: int | None) -> str:
    return f"/responses/{id}?stream=true" + ("" if after is None else f"&starting_after={after}")


# --- the WebSocket


async def test_a_websocket_is_its_keys_owners() -> None:
    provider = Dear()
    app = served(MemoryStore(), provider)
    async with live(app) as address, httpx2.AsyncClient(base_url=f"http://{address}/v1") as http:
        ann, anns, bob = [await make(http, owner) for owner in ("ann", "ann", "bob")]
        data = await data_of(http, bearer(ann))
        provider.gate.set()
        mine = await _said(address, bearer(anns), _asking(data))
        theirs = [await _said(address, bearer(key), _asking(data)) for key in (bob, MASTER)]
        unknown = await _said(address, bearer(bob), _asking(NEVER))
        with pytest.raises(InvalidStatus):
            await connect(f"ws://{address}/v1/responses", additional_headers=bearer(new_secret()))
        with pytest.raises(InvalidStatus):
            await connect(f"ws://{address}/v1/responses")

    assert [event["type"] for event in mine] == ["response.completed"] * 2
    for told in theirs:
        assert [_plain(event, data) for event in told] == [_plain(e, NEVER) for e in unknown]
    assert [event["type"] for event in unknown] == ["error"] * 2


def _asking(data: Data) -> list[dict[str, str]]:
    return [{"previous_response_id": data.response}, {"conversation": data.conversation}]


async def _said(
    address: str, headers: Headers, messages: list[dict[str, str]]
) -> list[dict[str, Any]]:
    """The last event of each turn, on a connection of its own."""
    last = []
    for message in messages:
        url = f"ws://{address}/v1/responses"
        async with connect(url, additional_headers=headers) as connection:
            line = Line(connection)
            await line.say(**message)
            last.append((await line.turn())[-1])
    return last


def _plain(event: dict[str, Any], data: Data) -> str:
    told = {name: value for name, value in event.items() if name != "event_id"}
    return _masked((0, json.dumps(told, sort_keys=True)), data)[1]


# --- the master


async def test_only_the_master_makes_keys_and_sees_everybodys_usage() -> None:
    async with running(served(MemoryStore())) as http:
        ann, bob = await make(http, "ann"), await make(http, "bob")
        for key in (ann, bob, bob):
            await ask(http, key, "dear")
        answers = [
            await _told(http, bearer(ann), *route.split(), {"key": "k", "keys": ["k"]})
            for route in sorted(MASTERS)
        ]
        bobs = await http.get("/usage?group_by=owner", headers=bearer(bob))
        all = await http.get("/usage?group_by=owner", headers=bearer(MASTER))

    assert [status for status, _ in answers] == [403] * 7
    assert [row["requests"] for row in bobs.json()["data"]] == [2]
    assert {row["owner"]: row["cost"] for row in all.json()["data"]} == {"ann": 1.0, "bob": 2.0}


async def test_mounted_in_a_host_nobody_is_the_master() -> None:
    app = ResponsesApp(store=MemoryStore(), models={"echo": EchoProvider()})
    transport = InProcessTransport(app)
    async with (
        app.lifespan(),
        httpx2.AsyncClient(transport=transport, base_url="http://test") as http,
    ):
        answer = await http.post("/key/generate", json={"owner": "me"})

    assert error(answer) == (403, "master_key_needed")
