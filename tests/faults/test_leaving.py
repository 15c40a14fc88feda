"""Clients that leave, read slowly or only wait: what they cost, and what becomes of their turns."""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from idle import asked, idle_streams
from kills import talking, text_of
from live import line, live
from upstream import Exchange, Upstream, upstream
from victims import Nursery, answer_to, asking, nursery, resident_mib

from responses_mw import ChatCompletions, ResponsesApp, Settings
from responses_mw.transport import HTTPProvider

IDLE = 200
"""`scripts/soak` opens 1,000."""
KIB_PER_IDLE_STREAM = 60
"""Of the server's resident memory. 18 were measured, and 3 MiB for each slow reader."""
SLOW_READERS = 5
EVENTS = 10_000
MIB_PER_SLOW_READER = 6

FIRST = b'{"choices":[{"index":0,"delta":{"content":"word"},"finish_reason":null}]}'


# --- leaving


class Phases:
    """An upstream that stops at a phase until it is let go on, and sees its client leave."""

    def __init__(self, phase: str) -> None:
        self.phase = phase
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()
        self.stopped = asyncio.Event()

    async def answer(self, exchange: Exchange) -> None:
        if self.phase == "before the headers":
            await self._wait(exchange)
        await exchange.sse()
        if self.phase == "before the first delta":
            await self._wait(exchange)
        await exchange.event(FIRST)
        if self.phase == "mid-stream":
            await self._wait(exchange)
        await exchange.event(FIRST.replace(b"null", b'"stop"'))
        await exchange.event(b"[DONE]")
        exchange.writer.close()

    async def _wait(self, exchange: Exchange) -> None:
        self.reached.set()
        waits = [asyncio.create_task(it.wait()) for it in (exchange.gone, self.go_on)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if exchange.gone.is_set():
            self.stopped.set()


@pytest.fixture(params=["before the headers", "before the first delta", "mid-stream"])
async def phases(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Phases, Upstream]]:
    it = Phases(request.param)
    async with upstream(it.answer) as there:
        yield it, there


def application(there: Upstream) -> ResponsesApp:
    provider = HTTPProvider(ChatCompletions(), base_url=there.url, stream=True)
    settings = Settings(drain_s=2, hold_status_s=0.2)
    return ResponsesApp(store="memory://", models={"m": provider}, settings=settings)


async def leave(address: str, phases: Phases, way: str, *, store: bool) -> None:
    """Asks, and is gone as soon as the upstream has reached the phase."""
    body = {"model": "m", "input": "hi", "store": store}
    if way == "socket":
        async with line(address) as socket:
            await socket.say(**body)
            await asyncio.wait_for(phases.reached.wait(), 5)
        return
    content = json.dumps({**body, "stream": way == "stream"}).encode()
    host = f"POST /responses HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n"
    _, writer = await asyncio.open_connection(*address.split(":"))
    writer.write(f"{host}content-length: {len(content)}\r\n\r\n".encode() + content)
    await asyncio.wait_for(phases.reached.wait(), 5)
    await asyncio.sleep(0.05)
    writer.close()


@pytest.mark.parametrize("way", ["stream", "whole", "socket"])
async def test_nobody_generates_what_nobody_keeps(
    phases: tuple[Phases, Upstream], way: str
) -> None:
    it, there = phases
    async with live(application(there)) as address:
        await leave(address, it, way, store=False)
        await asyncio.wait_for(it.stopped.wait(), 5)


@pytest.mark.parametrize("way", ["stream", "whole", "socket"])
async def test_what_is_kept_is_finished(phases: tuple[Phases, Upstream], way: str) -> None:
    it, there = phases
    app = application(there)
    async with live(app) as address:
        await leave(address, it, way, store=True)
        await asyncio.sleep(0.1)
        assert not it.stopped.is_set()
        runtime = await app.open()
        (id,) = runtime.generations
        it.go_on.set()
        async with httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as http:
            async with asyncio.timeout(5):
                while (kept := (await http.get(f"/responses/{id}")).json())[
                    "status"
                ] != "completed":
                    await asyncio.sleep(0.02)
    assert text_of(kept) == "wordword"


# --- staying


@pytest.fixture
def born(tmp_path: Path) -> Iterator[Nursery]:
    with nursery(f"sqlite:///{tmp_path}/left.db") as it:
        yield it


async def test_idle_streams_hold_little_memory(born: Nursery) -> None:
    victim = born.start()
    async with idle_streams(victim, IDLE) as each, talking(victim) as http:
        print(f"{IDLE} idle streams: {each:.0f} KiB each")
        assert each < KIB_PER_IDLE_STREAM
        begun = time.monotonic()
        answer = await http.post("/responses", json={"model": "paced", "input": asking(1)})
        assert (answer.status_code, time.monotonic() - begun < 2) == (200, True)


async def everything(reader: asyncio.StreamReader) -> bytes:
    heard = b""
    async with asyncio.timeout(20):
        while b"data: [DONE]" not in heard[-100:]:
            heard += await reader.read(1 << 16)
    return heard


async def test_slow_readers_stall_nobody_and_hold_little_however_much_waits_for_them(
    born: Nursery,
) -> None:
    victim = born.start()
    async with talking(victim) as http, contextlib.AsyncExitStack() as leaving:
        await http.post("/responses", json={"model": "paced", "input": asking(2)})
        before = resident_mib(victim)
        slow = [await asked(victim, asking(EVENTS)) for _ in range(SLOW_READERS)]
        for _, writer in slow:
            leaving.callback(writer.close)
        for reader, _ in slow:
            assert await reader.readexactly(1) == b"H"
        await asyncio.sleep(1)
        for reader, _ in slow:
            assert await reader.readexactly(1) == b"T"
        text = asking(3)
        begun = time.monotonic()
        answer = await http.post("/responses", json={"model": "paced", "input": text})
        took = time.monotonic() - begun
        each = (resident_mib(victim) - before) / SLOW_READERS
        print(
            f"slow readers of {EVENTS} events: {each:.1f} MiB each; another turn took {took:.2f} s"
        )
        assert text_of(answer.json()) == answer_to([text])
        assert took < 2
        assert each < MIB_PER_SLOW_READER
        rest = await everything(slow[0][0])
        numbers = [int(number) for number in re.findall(rb'"sequence_number":(\d+)', rest)]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) > EVENTS
