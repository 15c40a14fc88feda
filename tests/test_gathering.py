"""What a WebSocket's messages become on their way: written together, and no different."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator

from both_loops import anyio_backend
from live import live
from websockets.asyncio.client import connect

from responses_mw import ResponsesApp
from responses_mw.cli.gathering import Gathering, Protocol
from responses_mw.testing import ScriptedProvider

__all__ = ["anyio_backend"]


@contextlib.asynccontextmanager
async def pair() -> AsyncIterator[tuple[Gathering, socket.socket]]:
    """A transport, and the other end of its connection."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(2)
    ours.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
    try:
        yield Gathering(transport), theirs
    finally:
        transport.abort()
        theirs.close()
        await asyncio.sleep(0)


def received(end: socket.socket) -> bytes:
    return b"".join(iter(lambda: end.recv(1 << 20), b""))


async def test_what_is_written_in_one_step_arrives_together() -> None:
    async with pair() as (transport, end):
        for n in range(50):
            transport.write(b"%d," % n)
        assert transport.get_write_buffer_size() == 140
        await asyncio.sleep(0.01)
        assert end.recv(1000) == b"".join(b"%d," % n for n in range(50))
        assert transport.get_write_buffer_size() == 0


async def test_what_was_written_before_the_end_arrives() -> None:
    async with pair() as (transport, end):
        transport.write(b"last words")
        transport.close()
        assert await asyncio.to_thread(received, end) == b"last words"
    async with pair() as (transport, end):
        transport.write(b"last words")
        transport.write_eof()
        assert await asyncio.to_thread(received, end) == b"last words"


async def test_much_does_not_wait_for_its_step() -> None:
    async with pair() as (transport, end):
        transport.write(bytes(40_000))
        assert transport.get_write_buffer_size() == 40_000
        transport.write(bytes(40_000))
        transport.write(b"and more")
        transport.close()
        assert await asyncio.to_thread(received, end) == bytes(80_000) + b"and more"


async def test_messages_of_a_turn_are_whole_and_in_order() -> None:
    words = [f"word {n} " for n in range(300)]
    app = ResponsesApp(store="memory://", models={"test": ScriptedProvider(*["".join(words)] * 3)})
    async with live(app, http=Protocol) as host, connect(f"ws://{host}/responses") as line:
        for _ in range(3):
            await line.send(json.dumps({"type": "response.create", "model": "test", "input": "Hi"}))
            events = []
            while not events or events[-1]["type"] != "response.completed":
                events.append(json.loads(await asyncio.wait_for(line.recv(), 5)))
            assert [event["sequence_number"] for event in events] == list(range(len(events)))
            said = "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")
            assert said == "".join(words)
