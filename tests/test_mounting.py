"""In somebody else's application: mounted, wrapped, opened late, and never mixed up."""

import asyncio
import contextlib
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from openai import AsyncOpenAI
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from responses_mw.app import ResponsesApp
from responses_mw.errors import ConfigurationError
from responses_mw.middleware import ResponsesMiddleware
from responses_mw.router import Deployment
from responses_mw.settings import Settings
from responses_mw.testing import EchoProvider, ScriptedProvider, openai_client
from stores import MemoryStore, SQLiteStore

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient


def echoing(**options: Any) -> ResponsesApp:
    return ResponsesApp(store=MemoryStore(), models={"echo": EchoProvider()}, **options)


async def two_turns(client: AsyncOpenAI) -> str:
    one = await client.responses.create(model="echo", input="first")
    two = await client.responses.create(model="echo", input="second", previous_response_id=one.id)
    return two.output_text


CHAIN = "user: first\nassistant: user: first\nuser: second"


@pytest.mark.parametrize("lifespan", [True, False], ids=["lifespan", "lazy"])
async def test_mounted_in_fastapi(lifespan: bool) -> None:
    responses = echoing()
    app = FastAPI(lifespan=responses.lifespan if lifespan else None)
    app.mount("/v1", responses)
    async with openai_client(app, lifespan=lifespan) as client:
        assert await two_turns(client) == CHAIN
    await responses.aclose()


async def test_mounted_deeper_in_starlette() -> None:
    responses = echoing()
    app = Starlette(
        routes=[Mount("/api", routes=[Mount("/ai", responses)])], lifespan=responses.lifespan
    )
    async with openai_client(app, "http://test/api/ai", lifespan=True) as client:
        assert await two_turns(client) == CHAIN


async def test_the_middleware_claims_its_paths_and_the_host_keeps_the_rest() -> None:
    opened: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        opened.append("host opened")
        yield
        opened.append("host closed")

    async def page(request: Any) -> PlainTextResponse:
        return PlainTextResponse(f"host: {request.url.path}")

    routes = [Route(path, page) for path in ("/v1/models", "/v1/responsesque", "/other")]
    responses = echoing()
    app = Starlette(routes=routes, lifespan=lifespan)
    app.add_middleware(ResponsesMiddleware, responses=responses, prefix="/v1")
    async with openai_client(app, lifespan=True) as client:
        assert await two_turns(client) == CHAIN
        http = client._client
        for path in ("/v1/models", "/v1/responsesque", "/other"):
            assert (await http.get(f"http://test{path}")).text == f"host: {path}"
        unknown = await http.get("http://test/v1/responses/a/b/c")
        assert unknown.json()["error"]["type"] == "invalid_request_error"
        assert opened == ["host opened"]
    assert opened == ["host opened", "host closed"]


@pytest.mark.parametrize("asked", ["/proxy/v1", "/v1"])
async def test_the_middleware_serves_whatever_the_proxy_leaves_of_the_path(asked: str) -> None:
    async def under_proxy(scope: Any, receive: Any, send: Any) -> None:
        await wrapped({**scope, "root_path": "/proxy"}, receive, send)

    responses = echoing()
    wrapped = ResponsesMiddleware(PlainTextResponse("host"), responses=responses)
    async with openai_client(under_proxy, base_url=f"http://test{asked}") as client:
        assert await two_turns(client) == CHAIN
    await responses.aclose()


async def test_a_middleware_of_the_application_sees_its_turns() -> None:
    seen: list[str] = []

    class Seeing:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                seen.append(f"{scope['method']} {scope['path']}")
            await self.app(scope, receive, send)

    responses = echoing()
    responses.add_middleware(Seeing)
    async with openai_client(responses, lifespan=True) as client:
        assert await two_turns(client) == CHAIN
    assert seen == ["POST /v1/responses"] * 2


async def test_concurrent_first_requests_open_once(tmp_path: Path) -> None:
    opened: list[int] = []

    class Counted(SQLiteStore):
        async def open(self) -> None:
            opened.append(1)
            await asyncio.sleep(0.02)
            await super().open()

    responses = ResponsesApp(store=Counted(tmp_path / "r.db"), models={"echo": EchoProvider()})
    async with openai_client(responses) as client:
        await asyncio.gather(*(two_turns(client) for _ in range(8)))
    await responses.aclose()
    assert opened == [1]


async def test_an_application_can_be_opened_again(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "r.db")
    responses = ResponsesApp(store=store, models={"echo": EchoProvider()})
    ids = []
    for _ in range(2):
        async with responses.lifespan(), openai_client(responses) as client:
            made = await client.responses.create(model="echo", input="hi")
            ids.append(made.id)
            for id in ids:
                assert (await client.responses.retrieve(id)).output_text == "user: hi"


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.filterwarnings("ignore:Using `httpx` with:DeprecationWarning")
def test_starlettes_test_client_in_a_loop_of_its_own_for_each_request(
    kind: str, tmp_path: Path
) -> None:
    store = MemoryStore() if kind == "memory" else SQLiteStore(tmp_path / "r.db")
    responses = ResponsesApp(store=store, models={"echo": EchoProvider()})
    client = TestClient(responses)
    one = client.post("/responses", json={"model": "echo", "input": "first"}).json()
    two = client.post(
        "/responses",
        json={"model": "echo", "input": "second", "previous_response_id": one["id"]},
    ).json()
    assert two["output"][0]["content"][0]["text"] == CHAIN
    with TestClient(responses) as entered:
        assert entered.get(f"/responses/{one['id']}").status_code == 200
    assert client.get(f"/responses/{two['id']}").status_code == 200


async def test_two_applications_share_nothing() -> None:
    first, second = echoing(), echoing()
    async with openai_client(first) as one, openai_client(second) as other:
        made = await one.responses.create(model="echo", input="mine")
        answer = await other._client.get(f"http://test/v1/responses/{made.id}")
    assert answer.status_code == 404
    await first.aclose()
    await second.aclose()


# --- whose request it is


class ByHeader(AuthenticationBackend):
    async def authenticate(self, conn: Any) -> Any:
        name = conn.headers.get("x-user")
        return None if name is None else (AuthCredentials(["authenticated"]), Named(name))


class Named(SimpleUser):
    @property
    def identity(self) -> str:
        return self.username


async def test_the_hosts_authenticated_user_is_the_owner() -> None:
    responses = echoing()
    app = Starlette(
        routes=[Mount("/v1", responses)],
        middleware=[Middleware(AuthenticationMiddleware, backend=ByHeader())],
        lifespan=responses.lifespan,
    )
    async with openai_client(app, lifespan=True) as client:
        ann = client.with_options(default_headers={"x-user": "ann"})
        bob = client.with_options(default_headers={"x-user": "bob"})
        hers = await ann.responses.create(model="echo", input="mine")
        url = f"http://test/v1/responses/{hers.id}"
        http = client._client
        for user, status in {"ann": 200, "bob": 404, "default": 404}.items():
            assert (await http.get(url, headers={"x-user": user})).status_code == status
        assert (await http.get(url)).status_code == 404
        nobodys = await http.post("http://test/v1/responses", json={"model": "echo", "input": "x"})
        url = f"http://test/v1/responses/{nobodys.json()['id']}"
        assert (await http.get(url)).status_code == 200
        assert (await http.get(url, headers={"x-user": "default"})).status_code == 404
        assert (await bob.responses.create(model="echo", input="x")).id


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_an_owner_function_decides(asynchronous: bool) -> None:
    def owner(request: Any) -> str | None:
        return request.headers.get("x-user")

    async def later(request: Any) -> str | None:
        return owner(request)

    responses = echoing(owner=later if asynchronous else owner)
    async with openai_client(responses) as client:
        http = client._client
        body = {"model": "echo", "input": "x"}
        refused = await http.post("http://test/v1/responses", json=body)
        assert refused.status_code == 401
        assert refused.json()["error"]["code"] == "invalid_api_key"
        taken = await http.post("http://test/v1/responses", json=body, headers={"x-user": "ann"})
        assert taken.status_code == 200
    await responses.aclose()


@pytest.mark.parametrize("wrong", [ZeroDivisionError("boom"), 7])
async def test_an_owner_function_that_fails_lets_nobody_in(wrong: Any) -> None:
    def owner(request: Any) -> Any:
        if isinstance(wrong, Exception):
            raise wrong
        return wrong

    provider = ScriptedProvider("never")
    responses = ResponsesApp(store=MemoryStore(), models={"m": provider}, owner=owner)
    client = openai_client(responses)
    answer = await client._client.post(
        "http://test/v1/responses", json={"model": "m", "input": "x"}
    )
    assert answer.status_code == 500
    assert "boom" not in answer.text
    assert answer.json()["error"]["type"] == "server_error"
    assert provider.turns == []


@pytest.mark.parametrize("nobody", [None, ""])
async def test_whom_the_owner_function_does_not_know_is_not_let_in(nobody: str | None) -> None:
    provider = ScriptedProvider("never")
    responses = ResponsesApp(
        store=MemoryStore(), models={"m": provider}, owner=lambda request: nobody
    )
    body = {"model": "m", "input": "x"}
    answer = await openai_client(responses)._client.post("http://test/v1/responses", json=body)
    assert answer.status_code == 401
    assert provider.turns == []


async def test_fastapi_dependencies_of_the_host_are_not_in_the_way() -> None:
    responses = echoing()
    app = FastAPI(dependencies=[Depends(lambda: None)], lifespan=responses.lifespan)
    app.mount("/v1", responses)
    async with openai_client(app, lifespan=True) as client:
        assert await two_turns(client) == CHAIN


# --- what cannot work is said at once


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ({}, "models is empty"),
        ({"m": []}, "models['m'] is empty"),
        ([EchoProvider()], "models is of type list; a mapping from public names"),
        ({"m": [EchoProvider()]}, "models['m'][0] is of type EchoProvider; a Deployment"),
        ({"m": EchoProvider}, "models['m'] is the class EchoProvider; an object of it is needed"),
        ({"m": "gpt-4o"}, "models['m'] is text; a Provider is needed"),
        ({"m": Deployment(object())}, "models['m'] is of type object"),  # type: ignore[arg-type]
        ({"m": [Deployment(object())]}, "models['m'][0] is of type"),  # type: ignore[arg-type]
    ],
)
def test_models_that_cannot_answer_are_refused_at_the_start(models: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ResponsesApp(store="memory://", models=models)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"store": Path("conversations.db")},
            "store is of type PosixPath; a SessionStore or a URL",
        ),
        ({"owner": "ann"}, "owner is of type str; a function of the request is needed"),
    ],
)
def test_what_is_no_store_and_no_owner_is_refused_at_the_start(given: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ResponsesApp(**{"store": "memory://", "models": {"echo": EchoProvider()}, **given})
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ttl_s": "30d"}, "ttl_s is '30d'; a number from 0 on is needed"),
        ({"owner_ttl_s": {"ann": "30d"}}, "owner_ttl_s['ann'] is '30d'"),
        ({"drain_s": -1}, "drain_s is -1"),
        ({"lease_s": float("nan")}, "lease_s is nan"),
        ({"max_body_bytes": None}, "max_body_bytes is None"),
        ({"raw_reasoning": "openia"}, "raw_reasoning is 'openia'; it can be None, 'openai', "),
    ],
)
def test_settings_that_mean_nothing_are_refused(given: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings(**given)
    assert message in caught.value.message
