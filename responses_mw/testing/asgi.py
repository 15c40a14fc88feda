"""A client transport that calls an ASGI application and streams its answer as it comes.

It behaves as a server does: requests run in tasks of their own, an answer is taken piece by piece,
and the application hears of a client that leaves. Unlike with a server, an exception that the
application lets through instead of an answer reaches the caller.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import httpx2

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Message, Receive, Send], Awaitable[None]]

logger = logging.getLogger("responses_mw.testing")


class InProcessTransport(httpx2.AsyncBaseTransport):
    """Closing it ends what the application still does for this client, and a lifespan it began."""

    def __init__(self, app: ASGIApp, *, root_path: str = "", lifespan: bool = False) -> None:
        self._app = app
        self._root_path = root_path
        self._lifespan = _Lifespan(app) if lifespan else None
        self._exchanges: set[_Exchange] = set()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self._lifespan is not None:
            await self._lifespan.start()
        scope = _scope(request, self._root_path)
        patience = request.extensions.get("timeout", {}).get("read")
        exchange = _Exchange(self._app, scope, await request.aread(), patience)
        self._exchanges = {known for known in self._exchanges if known.running} | {exchange}
        try:
            status, headers = await exchange.started()
        except BaseException:  # cancelled or timed out as well: the client has left
            exchange.leave()
            raise
        return httpx2.Response(status, headers=headers, stream=_Body(exchange))

    async def aclose(self) -> None:
        for exchange in self._exchanges:
            await exchange.end()
        if self._lifespan is not None:
            await self._lifespan.stop()


class _Exchange:
    """One request and its answer. The next piece is taken once the last was handed over."""

    def __init__(self, app: ASGIApp, scope: Message, body: bytes, patience: float | None) -> None:
        self._request: Message | None = {"type": "http.request", "body": body, "more_body": False}
        self._answer: asyncio.Queue[Message] = asyncio.Queue(maxsize=1)
        self._more = True
        self._left = asyncio.Event()
        self._patience = patience
        self._task = asyncio.create_task(_run(app(scope, self._receive, self._send)))
        self._task.add_done_callback(self._ended)

    @property
    def running(self) -> bool:
        return not self._task.done()

    async def started(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        message = await self._next()
        return message["status"], list(message.get("headers", ()))

    async def pieces(self) -> AsyncIterator[bytes]:
        """What was not read yet: iterating again goes on, as with a socket."""
        while self._more:
            message = await self._next()
            self._more = message.get("more_body", False)
            if message.get("body"):
                yield bytes(message["body"])

    def leave(self) -> None:
        """What is sent after a disconnect goes nowhere, as with uvicorn."""
        self._left.set()
        while not self._answer.empty():
            self._answer.get_nowait()
        if self._task.done():
            _log_failure(self._task)

    async def end(self) -> None:
        self.leave()
        self._task.cancel()
        await asyncio.wait((self._task,))

    async def _next(self) -> Message:
        try:
            async with asyncio.timeout(self._patience):
                return await _heard(self._answer, self._task)
        except TimeoutError as error:
            raise httpx2.ReadTimeout(f"silent for {self._patience} s") from error

    async def _receive(self) -> Message:
        if self._request is not None:
            message, self._request = self._request, None
            return message
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if not self._left.is_set():
            await self._answer.put(message)
        else:
            # An application that waits for nothing else must still get to hear of the disconnect.
            await asyncio.sleep(0)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if self._left.is_set():
            _log_failure(task)


class _Body(httpx2.AsyncByteStream):
    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._exchange.pieces():
            yield piece

    async def aclose(self) -> None:
        self._exchange.leave()


class _Lifespan:
    """The lifespan protocol, spoken to the application in a task of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._starting: asyncio.Task[None] | None = None
        self._up = False

    async def start(self) -> None:
        """Once, whoever comes first; others wait for the same start."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        await asyncio.shield(self._starting)

    async def _start(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}}
        running = self._app(scope, self._to_app.get, self._from_app.put)
        self._task = asyncio.create_task(_run(running))
        self._task.add_done_callback(_log_failure)
        await self._say("startup", self._task)
        self._up = True

    async def stop(self) -> None:
        if self._task is not None and self._up:
            self._up = False
            await self._say("shutdown", self._task)
            await self._task

    async def _say(self, what: str, task: "asyncio.Task[None]") -> None:
        await self._to_app.put({"type": f"lifespan.{what}"})
        answer = await _heard(self._from_app, task)
        if answer["type"] != f"lifespan.{what}.complete":
            raise RuntimeError(f"{what} of the application failed: {answer.get('message', '')}")


async def _run(running: Awaitable[None]) -> None:
    await running


def _log_failure(task: "asyncio.Task[None]") -> None:
    """Errors after the answer have no other listener (Starlette re-raises what it made a 500)."""
    if not task.cancelled() and task.exception() is not None:
        logger.error("the application raised an error", exc_info=task.exception())


async def _heard(queue: "asyncio.Queue[Message]", task: "asyncio.Task[None]") -> Message:
    """The next message; or the exception of the task that should have sent it."""
    if queue.empty() and not task.done():
        getting = asyncio.create_task(queue.get())
        try:
            await asyncio.wait((getting, task), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not getting.done():
                getting.cancel()
        if getting.done() and not getting.cancelled():
            return getting.result()
    if not queue.empty():
        return queue.get_nowait()
    await task
    raise RuntimeError("the application ended without finishing its answer")


def _scope(request: httpx2.Request, root_path: str) -> Message:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": request.url.raw_path.split(b"?")[0],
        "query_string": request.url.query,
        "root_path": root_path,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "server": (request.url.host, request.url.port),
        "client": ("127.0.0.1", 50000),
    }
