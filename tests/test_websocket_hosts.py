"""The WebSocket in somebody's application: whom it lets in, and under which paths it answers."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from live import line, live, text
from openai import OpenAI
from served import config, serving
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.routing import Mount, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket
from websockets.exceptions import InvalidStatus

from responses_mw.app import ResponsesApp
from responses_mw.middleware import ResponsesMiddleware
from responses_mw.settings import Settings
from responses_mw.testing import EchoProvider
from stores import MemoryStore

KEY = "sk-the-only-key"


def echoing(**options: Any) -> ResponsesApp:
    return ResponsesApp(store=MemoryStore(), models={"echo": EchoProvider()}, **options)


async def two_turns(app: ASGIApp, path: str) -> str:
    async with live(app) as address, line(address, path) as client:
        one = await client.answer(input="first", store=False)
        two = await client.answer(input="second", store=False, previous_response_id=one["id"])
        return text(two)


CHAIN = "user: first\nassistant: user: first\nuser: second"


# --- where it answers


@pytest.mark.parametrize("lifespan", [True, False], ids=["lifespan", "lazy"])
async def test_mounted_in_fastapi(lifespan: bool) -> None:
    responses = echoing()
    app = FastAPI(lifespan=responses.lifespan if lifespan else None)
    app.mount("/v1", responses)
    assert await two_turns(app, "/v1/responses") == CHAIN
    await responses.aclose()


async def test_mounted_deeper_in_starlette() -> None:
    responses = echoing()
    routes = [Mount("/api", routes=[Mount("/ai", responses)])]
    app = Starlette(routes=routes, lifespan=responses.lifespan)
    assert await two_turns(app, "/api/ai/responses") == CHAIN


async def test_through_the_middleware_beside_the_hosts_own_sockets() -> None:
    async def own(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(json.dumps({"type": "the host's"}))
        await socket.close()

    app = Starlette(routes=[WebSocketRoute("/v1/other", own)])
    app.add_middleware(ResponsesMiddleware, responses=echoing(), prefix="/v1")
    assert await two_turns(app, "/v1/responses") == CHAIN
    async with live(app) as address, line(address, "/v1/other") as client:
        assert await client.event() == {"type": "the host's"}


async def test_a_path_without_a_socket_is_refused() -> None:
    async with live(echoing()) as address:
        with pytest.raises(InvalidStatus) as caught:
            async with line(address, "/responses/resp_1"):
                pass
    assert caught.value.response.status_code == 403


# The official client's own use of that library.
@pytest.mark.filterwarnings(r"ignore:connect\(\) must be used as a context:DeprecationWarning")
def test_served_with_a_key_under_both_roots(tmp_path: Path) -> None:
    model = config(tmp_path, echo="python/responses_mw.testing:EchoProvider")
    with serving("--config", model, "--api-key", KEY, folder=tmp_path) as server:
        for url in (server.url, server.root):
            client = OpenAI(base_url=url, api_key=KEY)
            with client.responses.connect() as connection:
                connection.response.create(model="echo", input="hi")
                for event in connection:
                    if event.type == "response.completed":
                        break
            assert client.responses.retrieve(event.response.id).output_text == "user: hi"
            stranger = OpenAI(base_url=url, api_key="sk-wrong")
            with pytest.raises(InvalidStatus) as refused, stranger.responses.connect():
                pass
            assert refused.value.response.status_code == 401
            said = json.loads(refused.value.response.body or b"")["error"]
            assert said["code"] == "invalid_api_key"


# --- whom it lets in


def by_header(connection: Any) -> str | None:
    name: str | None = connection.headers.get("x-user")
    return name


async def by_header_later(connection: Any) -> str | None:
    return by_header(connection)


@pytest.mark.parametrize("owner", [by_header, by_header_later])
async def test_whom_the_owner_function_does_not_know_is_a_401(owner: Any) -> None:
    async with live(echoing(owner=owner)) as address:
        with pytest.raises(InvalidStatus) as caught:
            async with line(address):
                pass
        async with line(address, headers={"x-user": "ann"}) as client:
            assert text(await client.answer()) == "user: hi"
    assert caught.value.response.status_code == 401
    error = json.loads(caught.value.response.body or b"")["error"]
    assert (error["code"], error["type"]) == ("invalid_api_key", "invalid_request_error")


async def test_a_server_that_cannot_say_401_closes_instead() -> None:
    sent: asyncio.Queue[Any] = asyncio.Queue()
    scope = {"type": "websocket", "path": "/responses", "headers": []}

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    await echoing(owner=by_header)(scope, receive, sent.put)

    assert sent.get_nowait() == {
        "type": "websocket.close",
        "code": 1008,
        "reason": "Incorrect API key provided.",
    }
    assert sent.empty()


async def test_an_owner_function_that_fails_lets_nobody_in() -> None:
    def owner(connection: Any) -> str:
        raise ZeroDivisionError("boom")

    async with live(echoing(owner=owner)) as address:
        with pytest.raises(InvalidStatus) as caught:
            async with line(address):
                pass
    assert caught.value.response.status_code == 500
    assert b"boom" not in (caught.value.response.body or b"")


class ByHeader(AuthenticationBackend):
    async def authenticate(self, conn: Any) -> Any:
        name = by_header(conn)
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
    async with live(app) as address:
        async with line(address, "/v1/responses", headers={"x-user": "ann"}) as ann:
            hers = await ann.answer()
            named = {"previous_response_id": hers["id"]}
            assert text(await ann.answer(**named)).startswith("user: hi\n")
        async with line(address, "/v1/responses", headers={"x-user": "bob"}) as bob:
            refused = await bob.refusal(**named)
    assert refused["error"]["code"] == "previous_response_not_found"


async def opened_by(page: str, **settings: Any) -> int:
    """101 where a page of this origin may connect, else the status of the refusal. `{}` in it is
    the server's own address."""
    async with live(echoing(settings=Settings(**settings))) as address:
        try:
            async with line(address, headers={"origin": page.format(address)}) as client:
                assert text(await client.answer()) == "user: hi"
        except InvalidStatus as refused:
            return refused.response.status_code
    return 101


@pytest.mark.parametrize(
    ("page", "allowed", "status"),
    [
        ("http://{}", (), 101),
        ("HTTP://{}", (), 101),
        ("https://evil.example", (), 403),
        ("http://{}.evil.example", (), 403),
        ("null", (), 403),
        ("http://[", (), 403),
        ("https://app.example", ("https://app.example",), 101),
        ("http://app.example", ("https://app.example",), 403),
        ("https://any.example", ("*",), 101),
    ],
)
async def test_pages_of_other_origins_are_refused_unless_allowed(
    page: str, allowed: tuple[str, ...], status: int
) -> None:
    assert await opened_by(page, socket_origins=allowed) == status
