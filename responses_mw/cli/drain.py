"""Ends a served application without cutting answers short.

At SIGTERM or SIGINT it lets the requests and turns under way finish, refuses new ones with a 503
that clients retry elsewhere, and only then hands the signal on to the server. A second signal is
handed on at once.
"""

import asyncio
import contextlib
import signal
import threading
from collections.abc import AsyncIterator, Callable
from types import FrameType
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from responses_mw.http import json_response
from responses_mw.sockets import Draining, refuse

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Drain:
    """`begun` is called once, when it begins to drain: it must end the WebSockets."""

    def __init__(self, app: ASGIApp, *, patience_s: float, begun: Callable[[], None]) -> None:
        self._app = app
        self._begun = begun
        self._patience_s = patience_s
        self._running = 0
        self._idle = asyncio.Event()
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if self.draining and scope["type"] == "websocket":
            await refuse(WebSocket(scope, receive, send), Draining())
            return
        if self.draining and scope["method"] == "POST":
            error = Draining()
            response = json_response(error.envelope(), status=error.status, headers=error.headers)
            await response(scope, receive, send)
            return
        self._running += 1
        self._idle.clear()
        try:
            await self._app(scope, receive, send)
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    @contextlib.asynccontextmanager
    async def heeding_signals(self) -> AsyncIterator[None]:
        """Within a lifespan: the server has set its own handlers by then, and they come last."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._idle.set()
        loop = asyncio.get_running_loop()
        previous = {number: signal.getsignal(number) for number in SIGNALS}
        tasks: set[asyncio.Task[None]] = set()

        def heed(number: int, frame: FrameType | None) -> None:
            handler = previous[signal.Signals(number)]
            if self.draining or not callable(handler):
                _hand_on(handler, number, frame)
            else:
                self.draining = True
                loop.call_soon_threadsafe(lambda: tasks.add(loop.create_task(end(handler, number))))

        async def end(handler: Callable[[int, FrameType | None], Any], number: int) -> None:
            self._begun()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), self._patience_s)
            handler(number, None)

        for number in SIGNALS:
            signal.signal(number, heed)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def _hand_on(handler: Any, number: int, frame: FrameType | None) -> None:
    if callable(handler):
        handler(number, frame)
