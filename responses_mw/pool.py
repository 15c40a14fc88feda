"""Connections to one upstream: kept for the next request, made where none is free.

Cookies, redirects and credentials of other places (.netrc) must not reach an upstream, so none of
them is known here.
"""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from functools import partial
from weakref import WeakSet

import aiohappyeyeballs
import httpx

from responses_mw.addresses import Address
from responses_mw.http1 import Answer, Connection, NoConnection

_NEXT_ADDRESS_S = 0.25
_NOT_CONNECTED = (OSError, UnicodeError, RuntimeError)
"""UnicodeError: no name that DNS could know. RuntimeError: uvloop's, where others raise OSError."""


class Pool:
    """Without a proxy. As many connections as there are requests at a time."""

    def __init__(
        self,
        base_url: str,
        context: ssl.SSLContext | None,
        *,
        connect_s: float,
        silence_s: float,
        idle_s: float,
    ) -> None:
        url = httpx.URL(base_url)
        # `host` is as it was written: the resolver encodes it by older rules than a Host header.
        self._host = url.raw_host.decode()
        self._port = url.port or (80 if context is None else 443)
        self._context = context
        self._connect_s, self._silence_s, self._idle_s = connect_s, silence_s, idle_s
        self._all: WeakSet[Connection] = WeakSet()
        self._idle: list[Connection] = []
        """The one that was used last comes last."""
        self._sweeping: asyncio.TimerHandle | None = None

    async def post(self, address: Address, headers: Mapping[str, str], body: bytes) -> Answer:
        connection = self._kept() or await self._made()
        try:
            answer = connection.ask(address.target, headers, body, silence_s=self._silence_s)
        except (ValueError, NoConnection):
            connection.close()
            raise
        try:
            await answer.head()
        except BaseException:
            await answer.aclose()
            raise
        return answer

    async def aclose(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in list(self._all):
            connection.close()

    def _kept(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            connection.close()
        return None

    async def _made(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_s):
                found = await loop.getaddrinfo(
                    self._host, self._port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
                )
                raw = await aiohappyeyeballs.start_connection(
                    found, happy_eyeballs_delay=_NEXT_ADDRESS_S, interleave=1
                )
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                _, connection = await loop.create_connection(
                    partial(Connection, self._rests),
                    sock=raw,
                    ssl=self._context,
                    server_hostname=self._host if self._context else None,
                )
        except _NOT_CONNECTED as error:
            raise NoConnection(str(error) or "it took too long") from error
        self._all.add(connection)
        return connection

    def _rests(self, connection: Connection) -> None:
        self._idle.append(connection)
        if self._sweeping is None:
            self._sweeping = connection.loop.call_later(self._idle_s, self._sweep, connection.loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Looks again when the one that has been idle longest will have been so for too long."""
        self._sweeping = None
        too_long = loop.time() - self._idle_s
        while self._idle and self._idle[0].idle_since <= too_long:
            self._idle.pop(0).close()
        if self._idle:
            wait = self._idle[0].idle_since - too_long
            self._sweeping = loop.call_later(wait, self._sweep, loop)
