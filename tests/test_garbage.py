"""What a turn needed goes with it: no cycles of objects that wait for the garbage collector."""

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from live import live
from upstream import Answer, Exchange, upstream

import stores
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.app import ResponsesApp
from responses_mw.transport import HTTPProvider

TURNS = 8


async def chat(exchange: Exchange) -> None:
    if not exchange.json.get("stream"):
        message = {"role": "assistant", "content": "Good day"}
        await exchange.whole({"choices": [{"message": message, "finish_reason": "stop"}]})
        return
    await exchange.sse()
    for word in ("Good", " day"):
        await exchange.event({"choices": [{"index": 0, "delta": {"content": word}}]})
    await exchange.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    exchange.writer.close()


async def cut(exchange: Exchange) -> None:
    await exchange.sse()
    await exchange.event({"choices": [{"index": 0, "delta": {"content": "Good"}}]})
    exchange.writer.close()


async def refuse(exchange: Exchange) -> None:
    await exchange.whole({"error": {"message": "busy"}}, status=429)


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    gc.freeze()  # what is there already is not looked through again
    yield
    gc.set_debug(0)
    gc.garbage.clear()
    gc.unfreeze()
    gc.enable()


def ours() -> Counter[str]:
    """By type, whatever of ours only the collector found."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    types = [type(found) for found in gc.garbage]
    return Counter(
        kind.__qualname__
        for kind in types
        if kind.__module__.startswith(("responses_mw", "stores"))
    )


@pytest.mark.parametrize("answer", [chat, cut, refuse], ids=["well", "cut", "refused"])
@pytest.mark.parametrize("store", [False, True], ids=["unstored", "stored"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.usefixtures("no_collector")
async def test_a_turn_leaves_no_garbage(
    stream: bool, store: bool, answer: Answer, tmp_path: Path
) -> None:
    async with upstream(answer) as server:
        provider = HTTPProvider(ChatCompletions(), base_url=server.url)
        kept = stores.SQLiteStore(tmp_path / "turns.db")
        app = ResponsesApp(store=kept, models={"m": provider})
        async with live(app) as host:
            gc.collect()  # what the start left
            await ask(host, {"model": "m", "input": "Hi", "stream": stream, "store": store})
            assert len(server.exchanges) == TURNS
            assert not ours()


async def ask(host: str, body: dict[str, Any]) -> None:
    """By hand: a client's library makes garbage of its own."""
    name, _, port = host.partition(":")
    raw = orjson.dumps(body)
    for _ in range(TURNS):
        reader, writer = await asyncio.open_connection(name, int(port))
        head = f"host: x\r\nconnection: close\r\ncontent-length: {len(raw)}\r\n\r\n"
        writer.write(f"POST /responses HTTP/1.1\r\n{head}".encode() + raw)
        assert b"HTTP/1.1 " in await reader.read()
        writer.close()
