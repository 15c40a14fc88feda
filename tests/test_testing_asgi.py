"""The transport without sockets streams, disconnects and fails as a server would."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route

from responses_mw.testing.asgi import InProcessTransport


def client(app: Any, **options: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        transport=InProcessTransport(app, **options), base_url="http://test", timeout=5
    )


def app(endpoint: Any, **options: Any) -> Starlette:
    return Starlette(routes=[Route("/{path:path}", endpoint, methods=["GET", "POST"])], **options)


async def test_request_and_answer_arrive_as_they_were_sent() -> None:
    async def show(request: Request) -> JSONResponse:
        return JSONResponse(
            {
                "method": request.method,
                "path": request.url.path,
                "query": request.url.query,
                "body": (await request.body()).decode(),
                "header": request.headers["x-mine"],
            },
            status_code=201,
            headers={"x-yours": "2"},
        )

    async with client(app(show)) as http:
        answer = await http.post("/a%20b?x=1&y=2", content="hello", headers={"X-Mine": "1"})
    assert (answer.status_code, answer.headers["x-yours"]) == (201, "2")
    assert answer.json() == {
        "method": "POST",
        "path": "/a b",
        "query": "x=1&y=2",
        "body": "hello",
        "header": "1",
    }


async def test_a_root_path_mounts_the_application() -> None:
    async def show(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.path_params["path"])

    async with client(app(show), root_path="/v1") as http:
        assert (await http.get("/v1/responses")).text == "responses"


async def test_an_answer_is_streamed_piece_by_piece() -> None:
    go = asyncio.Event()

    async def pieces() -> AsyncIterator[str]:
        yield "one"
        await go.wait()
        yield "two"

    async def endpoint(_: Request) -> StreamingResponse:
        return StreamingResponse(pieces())

    async with client(app(endpoint)) as http, http.stream("GET", "/") as answer:
        received = answer.aiter_text()
        assert await anext(received) == "one"
        go.set()
        assert [piece async for piece in received] == ["two"]


async def test_an_endless_answer_is_made_only_as_fast_as_it_is_read() -> None:
    made = 0

    async def pieces() -> AsyncIterator[str]:
        nonlocal made
        while True:
            made += 1
            yield "x"

    async def endpoint(_: Request) -> StreamingResponse:
        return StreamingResponse(pieces())

    async with client(app(endpoint)) as http, http.stream("GET", "/") as answer:
        received = answer.aiter_text()
        for _ in range(5):
            await anext(received)
        assert made < 10


async def test_leaving_early_disconnects_the_application() -> None:
    disconnected = asyncio.Event()

    async def pieces() -> AsyncIterator[str]:
        try:
            while True:
                yield "x"
                await asyncio.sleep(0)
        finally:
            disconnected.set()

    async def endpoint(_: Request) -> StreamingResponse:
        return StreamingResponse(pieces())

    async with client(app(endpoint)) as http:
        async with http.stream("GET", "/") as answer:
            assert await anext(answer.aiter_text()) == "x"
        await asyncio.wait_for(disconnected.wait(), 5)


async def test_leaving_before_the_answer_disconnects_the_application() -> None:
    heard: list[str] = []

    async def endpoint(scope: Any, receive: Any, send: Any) -> None:
        heard.append((await receive())["type"])
        heard.append((await receive())["type"])

    http = client(endpoint)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(http.get("/"), 0.01)
    await asyncio.sleep(0)
    assert heard == ["http.request", "http.disconnect"]
    await http.aclose()


async def test_a_silent_application_is_a_read_timeout() -> None:
    async def endpoint(_: Request) -> PlainTextResponse:
        await asyncio.sleep(60)
        return PlainTextResponse("late")

    async with client(app(endpoint)) as http:
        with pytest.raises(httpx2.ReadTimeout):
            await http.get("/", timeout=0.01)


async def test_an_exception_instead_of_an_answer_is_raised() -> None:
    async def endpoint(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError("nobody home")

    async with client(endpoint) as http:
        with pytest.raises(LookupError, match="nobody home"):
            await http.get("/")


async def test_an_exception_in_the_middle_of_an_answer_is_raised() -> None:
    async def endpoint(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        raise LookupError("it broke")

    async with client(endpoint) as http:
        with pytest.raises(LookupError, match="it broke"):
            await http.get("/")


async def test_an_answer_without_its_end_is_an_error() -> None:
    async def endpoint(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async with client(endpoint) as http:
        with pytest.raises(RuntimeError, match="without finishing"):
            await http.get("/")


async def test_an_exception_behind_a_500_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def endpoint(_: Request) -> PlainTextResponse:
        raise LookupError("broken on purpose")

    async with client(app(endpoint)) as http:
        assert (await http.get("/")).status_code == 500
    assert "broken on purpose" in caplog.text


async def test_closing_ends_what_still_runs() -> None:
    ended = asyncio.Event()

    async def endpoint(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async with client(endpoint) as http:
        await http.get("/")
        assert not ended.is_set()
    assert ended.is_set()


async def test_a_lifespan_runs_from_the_first_request_to_the_close() -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        seen.append("up")
        yield
        seen.append("down")

    async def endpoint(_: Request) -> PlainTextResponse:
        seen.append("request")
        return PlainTextResponse("")

    inner = app(endpoint, lifespan=lifespan)
    async with client(Starlette(routes=[Mount("/", inner)], lifespan=lifespan), lifespan=True) as c:
        assert seen == []
        await asyncio.gather(c.get("/"), c.get("/"))
    assert seen == ["up", "request", "request", "down"]


async def test_a_lifespan_that_fails_is_raised() -> None:
    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        raise LookupError("no database")
        yield

    async with client(Starlette(lifespan=lifespan)) as http:
        assert (await http.get("/")).status_code == 404
    with pytest.raises(RuntimeError, match="no database"):
        async with client(Starlette(lifespan=lifespan), lifespan=True) as http:
            await http.get("/")
