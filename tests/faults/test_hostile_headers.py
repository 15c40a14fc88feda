"""What stands around a request: headers, how its body comes, and what the answer's headers say."""

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from live import live
from upstream import Exchange, upstream

from responses_mw import ChatCompletions, ResponsesApp, Settings
from responses_mw.deltas import Delta
from responses_mw.errors import UpstreamUnavailable
from responses_mw.router import Deployment, Routing
from responses_mw.routing.course import MOST_RETRIES
from responses_mw.testing import EchoProvider
from responses_mw.transport import HTTPProvider
from responses_mw.turn import Turn

HI = {"model": "echo", "input": "hi"}
LIMIT = 4000
KEY = "sk-canary-upstream-5f0e7c1d9ab34c"


class Down:
    def __init__(self) -> None:
        self.asked = 0

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        self.asked += 1
        raise UpstreamUnavailable("no connection")
        yield


DOWN = Down()


@pytest.fixture
async def http(caplog: pytest.LogCaptureFixture) -> AsyncIterator[httpx.AsyncClient]:
    """Fails if anything was raised that nobody caught."""
    models = {
        "echo": EchoProvider(),
        "\u6a21\u578b": EchoProvider(),
        "down/*": Deployment(DOWN, model="*"),
    }
    app = ResponsesApp(
        store="memory://",
        models=models,
        routing=Routing(default_fallbacks=["echo"], backoff_s=0),
        settings=Settings(drain_s=1, max_body_bytes=LIMIT),
    )
    escaped: list[BaseException] = []

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except Exception as error:
            escaped.append(error)

    async with (
        live(watched) as address,
        httpx.AsyncClient(base_url=f"http://{address}", trust_env=False, timeout=10) as client,
    ):
        yield client
    assert escaped == []


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "model", ["\u6a21\u578b", "down/\u6a21\u578b", "down/\u00e9", 'down/a,b;c="d"']
)
async def test_a_name_of_any_letters_fits_into_headers(
    http: httpx.AsyncClient, model: str, *, stream: bool
) -> None:
    answer = await http.post("/responses", json={**HI, "model": model, "stream": stream})
    assert answer.status_code == 200
    named = answer.headers.get("x-responses-mw-fallback") or answer.headers["x-litellm-model-id"]
    assert named.isascii()
    assert named.isprintable()


@pytest.mark.parametrize(
    "retries", ["9" * 5000, "10000", "\u00b2".encode("latin-1"), "-1", "1e9", ""]
)
async def test_no_header_makes_many_requests_of_one(http: httpx.AsyncClient, retries: Any) -> None:
    DOWN.asked = 0
    headers = {"x-litellm-num-retries": retries}
    answer = await http.post("/responses", json={**HI, "model": "down/x"}, headers=headers)
    assert answer.status_code == 200
    assert DOWN.asked <= 1 + MOST_RETRIES


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "a/b"])
async def test_a_page_of_another_site_must_be_asked_about(
    http: httpx.AsyncClient, kind: str
) -> None:
    """What a browser sends with its user's cookies, and does not ask before."""
    sent = {"content-type": kind} if kind else {}
    body = b'{"model": "echo", "input": "hi"}'
    for origin in ("https://evil.example", "null", "http://[", "http://127.0.0.1:1"):
        foreign = await http.post("/responses", content=body, headers={**sent, "origin": origin})
        assert (foreign.status_code, foreign.json()["error"]["code"]) == (
            415,
            "unsupported_content",
        )
    own = {**sent, "origin": str(http.base_url).rstrip("/")}
    assert (await http.post("/responses", content=body, headers=own)).status_code == 200
    assert (await http.post("/responses", content=body, headers=sent)).status_code == 200
    asked = {"content-type": "application/json; charset=utf-8", "origin": "https://evil.example"}
    assert (await http.post("/responses", content=body, headers=asked)).status_code == 200


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "br", "gzip, gzip", "x"])
async def test_an_encoded_body_is_refused_by_its_header(
    http: httpx.AsyncClient, encoding: str
) -> None:
    headers = {"content-encoding": encoding, "content-type": "application/json"}
    body = gzip.compress(b" " * 10_000_000)[:LIMIT]
    answer = await http.post("/responses", content=body, headers=headers)
    assert answer.status_code == 415
    assert "encoded" in answer.json()["error"]["message"]


async def raw(http: httpx.AsyncClient, *sent: bytes) -> tuple[asyncio.StreamReader, Any]:
    reader, writer = await asyncio.open_connection(http.base_url.host, http.base_url.port)
    for piece in sent:
        writer.write(piece)
        await writer.drain()
    return reader, writer


async def test_a_body_over_the_limit_is_not_read(http: httpx.AsyncClient) -> None:
    head = b"POST /responses HTTP/1.1\r\nhost: x\r\n"
    piece = b"3e8\r\n" + b"x" * 1000 + b"\r\n"
    for sent in (
        [head + b"content-length: 99999999999999\r\n\r\n{"],
        [head + b"transfer-encoding: chunked\r\n\r\n", *[piece] * 5],
    ):
        reader, writer = await raw(http, *sent)
        async with asyncio.timeout(5):
            assert b" 413 " in await reader.readline()
        writer.close()


async def test_bodies_that_come_slowly_or_never_stall_nobody(http: httpx.AsyncClient) -> None:
    head = b"POST /responses HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"
    slow = [await raw(http, head, b'{"model"') for _ in range(50)]
    async with asyncio.timeout(5):
        for _, writer in slow:
            writer.write(b" ")
            assert (await http.post("/responses", json=HI)).status_code == 200
    for _, writer in slow:
        writer.close()
    await asyncio.sleep(0.1)


async def test_a_key_that_an_upstream_repeats_is_told_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As a page for debugging does, which shows the headers that it was sent."""
    caplog.set_level(logging.DEBUG)

    async def chatty(exchange: Exchange) -> None:
        said = f"It broke. authorization: {exchange.headers['authorization']}"
        asked = exchange.json["messages"][-1]["content"]
        match asked:
            case "text":
                await exchange.whole(said.encode(), 500, content_type="text/plain")
            case "event":
                await exchange.sse()
                choice = {"index": 0, "delta": {"content": "Well, "}}
                await exchange.event({"choices": [choice]})
                await exchange.event({"error": {"message": said}})
                exchange.writer.close()
            case status:
                await exchange.whole({"error": {"message": said}}, int(status))

    async with upstream(chatty) as there:
        provider = HTTPProvider(
            ChatCompletions(), base_url=there.url, headers={"authorization": f"Bearer {KEY}"}
        )
        app = ResponsesApp(store="memory://", models={"m": provider})
        async with (
            live(app) as address,
            httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as http,
        ):
            for asked in ("text", "event", "400", "401", "429", "500"):
                body = {"model": "m", "input": asked, "stream": asked == "event"}
                answer = await http.post("/responses", json=body)
                assert "It broke." in answer.text
                assert "[redacted]" in answer.text
                assert KEY not in answer.text
    assert KEY not in caplog.text
