"""However an upstream breaks: one end, the same in the stream and in the store, and nothing left
behind of its connections and tasks."""

import asyncio
import contextlib
import gzip
import os
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import pytest
from every_store import store, store_url
from kills import events_of
from live import live
from upstream import Exchange, Upstream, upstream

from responses_mw import ChatCompletions, ResponsesApp, Settings
from responses_mw.testing import check_event_order
from responses_mw.transport import HTTPProvider, Timeouts
from stores import SessionStore

__all__ = ["store", "store_url"]

READ_S = 0.5
TERMINAL = ("response.completed", "response.failed", "response.incomplete")
ENDED = ("completed", "failed", "incomplete")
MEGABYTE = bytes(1 << 20).replace(b"\0", b" ")


def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    named = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: " + orjson.dumps({**named, "choices": [choice]}) + b"\n\n"


CALL = {"index": 0, "id": "call_1", "type": "function"}
FRAMES = [
    chunk({"role": "assistant", "content": ""}),
    *(chunk({"content": f"word{n} \u00e9\U0001f600 "}) for n in range(6)),
    chunk({"tool_calls": [{**CALL, "function": {"name": "f", "arguments": '{"a":'}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}),
    chunk({}, "tool_calls"),
    b"data: [DONE]\n\n",
]
GOOD = b"".join(FRAMES)
WHOLE = orjson.dumps(
    {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "all"},
                "finish_reason": "stop",
            }
        ],
    }
)
ERROR = orjson.dumps({"error": {"message": "out of order", "type": "server_error", "code": None}})


@dataclass
class Field:
    """An application whose only upstream answers with `fault`."""

    http: httpx.AsyncClient
    upstream: Upstream
    fault: Callable[[Exchange], Awaitable[None]]

    async def turn(self, fault: Callable[[Exchange], Awaitable[None]], *, stream: bool) -> Any:
        """The response it ended with, or None where an HTTP error said so before it began."""
        self.fault = fault
        tool = {"type": "function", "name": "f", "parameters": {}, "strict": False}
        body = {"model": "m", "input": "hi", "stream": stream, "tools": [tool]}
        async with asyncio.timeout(20), self.http.stream("POST", "/responses", json=body) as answer:
            if answer.status_code != 200:
                error = orjson.loads(await answer.aread())["error"]
                assert answer.status_code in (500, 502, 503, 504), error
                assert set(error) == {"message", "type", "param", "code"}
                return None
            if stream:
                events = [event async for event in events_of(answer)]
                check_event_order(events)
                ends = [event for event in events if event["type"] in TERMINAL]
                assert ends == events[-1:]
                ended = ends[0]["response"]
            else:
                ended = orjson.loads(await answer.aread())
        assert ended["status"] in ENDED
        kept = await self.http.get(f"/responses/{ended['id']}")
        assert kept.json() == ended
        return ended


@pytest.fixture
async def field(store: SessionStore) -> AsyncIterator[Field]:
    async with upstream(lambda exchange: field.fault(exchange)) as broken:
        provider = HTTPProvider(
            ChatCompletions(), base_url=broken.url, timeouts=Timeouts(connect=1, read=READ_S)
        )
        settings = Settings(drain_s=1)
        app = ResponsesApp(store=store, models={"m": provider}, settings=settings)
        async with (
            live(app) as address,
            httpx.AsyncClient(base_url=f"http://{address}", timeout=30, trust_env=False) as http,
        ):
            field = Field(http, broken, well)
            for stream in (True, False):
                assert (await field.turn(well, stream=stream))["status"] == "completed"
            before = await at_rest()
            yield field
            assert (await field.turn(well, stream=True))["status"] == "completed"
            for _ in range(100):
                after = await at_rest()
                if after[0] <= before[0] + 1 and after[1] <= before[1] + 2:
                    return
            pytest.fail(f"tasks and files were {before}, and are {after}")


async def at_rest() -> tuple[int, int]:
    await asyncio.sleep(0.05)
    return len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))


# --- faults


async def well(exchange: Exchange) -> None:
    if exchange.json.get("stream"):
        await sse(exchange, GOOD)
    else:
        await exchange.whole(WHOLE)


async def sse(exchange: Exchange, body: bytes, *, close: bool = True) -> None:
    with contextlib.suppress(ConnectionError):
        await exchange.sse()
        await exchange.send(body)
        if close:
            exchange.writer.close()


async def closed(exchange: Exchange) -> None:
    exchange.writer.close()


async def reset(exchange: Exchange) -> None:
    """In the middle, with an RST."""
    await exchange.sse()
    await exchange.send(b"".join(FRAMES[:4]))
    await asyncio.sleep(0.02)
    raw = exchange.writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    exchange.writer.transport.abort()


async def silent(exchange: Exchange) -> None:
    await exchange.gone.wait()


async def stalled(exchange: Exchange) -> None:
    await sse(exchange, b"".join(FRAMES[:4]), close=False)
    await exchange.gone.wait()


async def drip(exchange: Exchange) -> None:
    """A byte at a time."""
    await exchange.sse()
    for n in range(len(GOOD)):
        await exchange.send(GOOD[n : n + 1])
        if n % 64 == 0:
            await asyncio.sleep(0.001)
    exchange.writer.close()


async def web_page(exchange: Exchange) -> None:
    await exchange.whole(b"<html>Sign in</html>", content_type="text/html; charset=utf-8")


async def plain(exchange: Exchange) -> None:
    await exchange.whole(b"it went wrong", content_type="text/plain")


async def error_body(exchange: Exchange) -> None:
    await exchange.whole(ERROR)


async def error_event(exchange: Exchange) -> None:
    await sse(exchange, b"".join(FRAMES[:3]) + b"data: " + ERROR + b"\n\n")


async def not_json(exchange: Exchange) -> None:
    if exchange.json.get("stream"):
        await sse(exchange, b"".join(FRAMES[:3]) + b'data: {"choices": [{\n\n' + GOOD)
    else:
        await exchange.whole(WHOLE[:-7])


async def other_json(exchange: Exchange) -> None:
    """JSON of shapes that the format does not know."""
    shapes = (b"[]", b"7", b'"x"', b'{"choices": 3}', b'{"choices": [null]}', b"null")
    if exchange.json.get("stream"):
        await sse(exchange, b"".join(b"data: " + shape + b"\n\n" for shape in shapes))
    else:
        await exchange.whole(random.choice(shapes))


async def broken_gzip(exchange: Exchange) -> None:
    packed = gzip.compress(GOOD if exchange.json.get("stream") else WHOLE)
    body = packed[: len(packed) // 2] + b"\xff" * (len(packed) // 2)
    head = {"content-type": "text/event-stream", "content-encoding": "gzip", "connection": "close"}
    await exchange.head(200, head)
    await exchange.send(body)
    exchange.writer.close()


async def short(exchange: Exchange) -> None:
    """Less than it announced."""
    await exchange.head(200, {"content-type": "application/json", "content-length": "9999"})
    await exchange.send(WHOLE)
    exchange.writer.close()


async def not_http(exchange: Exchange) -> None:
    await exchange.send(b"\x15\x03\x01\x00\x02\x02\x28 what?\r\n\r\n")
    exchange.writer.close()


async def huge(exchange: Exchange) -> None:
    """200 MB without an end of line."""
    await exchange.head(200, {"content-type": "text/event-stream", "connection": "close"})
    with contextlib.suppress(ConnectionError):
        await exchange.send(b"".join(FRAMES[:3]) + b"data: ")
        for _ in range(200):
            await exchange.send(MEGABYTE)
    exchange.writer.close()


async def huge_whole(exchange: Exchange) -> None:
    await exchange.head(200, {"content-type": "application/json", "connection": "close"})
    with contextlib.suppress(ConnectionError):
        for _ in range(200):
            await exchange.send(MEGABYTE)
    exchange.writer.close()


FAULTS = [
    closed, reset, silent, stalled, drip, web_page, plain, error_body, error_event, not_json,
    other_json, broken_gzip, short, not_http, huge, huge_whole,
]  # fmt: skip


# --- what must hold


async def test_every_fault_has_one_end(field: Field) -> None:
    for fault in FAULTS:
        for stream in (True, False):
            ended = await field.turn(fault, stream=stream)
            if stream and fault in (reset, stalled, error_event, not_json, huge):
                assert ended is not None, fault.__name__
                assert ended["status"] == "failed", fault.__name__
                (said,) = [item for item in ended["output"] if item["type"] == "message"]
                assert said["content"][0]["text"].startswith("word0"), fault.__name__
            if stream and fault is drip:
                assert ended["status"] == "completed"


async def test_an_answer_cut_anywhere_has_one_end(field: Field) -> None:
    random.seed(7)
    frames = [len(b"".join(FRAMES[:n])) for n in range(len(FRAMES) + 1)]
    cuts = [*frames, *random.sample(range(len(GOOD)), 20)]
    for cut in cuts:

        async def shortened(exchange: Exchange, cut: int = cut) -> None:
            await sse(exchange, GOOD[:cut])

        ended = await field.turn(shortened, stream=True)
        if ended is not None and cut < frames[-3]:
            assert ended["status"] == "failed", cut


async def test_a_refused_connection_is_told_before_a_byte(field: Field) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    provider = HTTPProvider(ChatCompletions(), base_url=f"http://127.0.0.1:{port}")
    app = ResponsesApp(store="memory://", models={"m": provider})
    async with live(app) as address:
        url = f"http://{address}/responses"
        answer = await field.http.post(url, json={"model": "m", "input": "hi", "stream": True})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_unavailable")
