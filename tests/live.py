"""An application behind a real server in this event loop, and one end of a WebSocket to it."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from websockets.asyncio.client import ClientConnection, connect

PATIENCE_S = 10
LAST = ("response.completed", "response.failed", "response.incomplete", "error")

Event = dict[str, Any]


@contextlib.asynccontextmanager
async def live(app: ASGIApp, **options: Any) -> AsyncIterator[str]:
    """Its `host:port`. The application is opened and closed with the server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # asyncio does so for sockets that know their protocol; without, answers wait 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1, **options)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.005)
        try:
            host, port = listener.getsockname()
            yield f"{host}:{port}"
        finally:
            server.should_exit = True
            await serving


class Line:
    """A client's end. What it asks goes to the model `echo` unless it names another."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, **message: Any) -> None:
        asked = {"type": "response.create", "model": "echo", "input": "hi"}
        await self.send(json.dumps({**asked, **message}))

    async def send(self, message: str | bytes) -> None:
        await self.connection.send(message)

    async def event(self) -> Event:
        async with asyncio.timeout(PATIENCE_S):
            message = await self.connection.recv()
        assert isinstance(message, str)
        event: Event = json.loads(message)
        return event

    async def turn(self) -> list[Event]:
        """The events up to the one that ends a turn."""
        events = [await self.event()]
        while events[-1]["type"] not in LAST:
            events.append(await self.event())
        return events

    async def ask(self, **message: Any) -> list[Event]:
        await self.say(**message)
        return await self.turn()

    async def answer(self, **message: Any) -> Event:
        """The response that the turn ended with."""
        last = (await self.ask(**message))[-1]
        assert last["type"] != "error", last
        response: Event = last["response"]
        return response

    async def refusal(self, **message: Any) -> Event:
        """The error event, which must be the whole answer."""
        (event,) = await self.ask(**message)
        assert event["type"] == "error"
        return event

    async def closed(self) -> int:
        """The code that the server closed with, after whatever it said before."""
        async with asyncio.timeout(PATIENCE_S):
            await self.connection.wait_closed()
        assert self.connection.close_code is not None
        return self.connection.close_code


@contextlib.asynccontextmanager
async def line(
    address: str, path: str = "/responses", *, headers: Mapping[str, str] | None = None
) -> AsyncIterator[Line]:
    url = f"ws://{address}{path}"
    async with connect(url, additional_headers=headers, proxy=None, max_size=None) as it:
        yield Line(it)


def text(response: Event) -> str:
    parts = [part for item in response["output"] for part in item["content"]]
    return "".join(part["text"] for part in parts)
