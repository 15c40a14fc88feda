"""Speaks HTTP to upstreams: the only file that imports aiohttp.

A deployment's adapter encodes the turn, this posts it, cuts the answer into events and hands them
to the decoder. Foreign exceptions become the tree in `errors.py` here.
"""

import asyncio
import contextlib
import os
import ssl
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson

from responses_mw.adapters.base import PARSERS, Adapter, Counts, Revises, UpstreamRequest
from responses_mw.deltas import Delta, UpstreamInfo
from responses_mw.errors import (
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from responses_mw.turn import Turn

if TYPE_CHECKING:
    import aiohttp
    import yarl

Auth = Callable[[str, str, Mapping[str, str], bytes], Awaitable[Mapping[str, str]]]
"""Credentials that change: `await auth(method, url, headers, body)` gives the headers to add. Asked
before every attempt, with the URL, the header names (lower case) and the body as they will be sent.
Raises an UpstreamError if there are no credentials to be had."""

_MAX_ERROR_BYTES = 64 * 1024
_MAX_ANSWER_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds. `read` bounds every silence: before the headers and between two reads."""

    connect: float = 5.0
    read: float = 600.0
    connect_retries: int = 2


class HTTPProvider:
    """An adapter at an address: answers turns over HTTP. Connections are pooled per event loop.

    `headers` carry the credentials, or `auth` makes them; they are in no message and no repr.
    """

    def __init__(
        self,
        adapter: Adapter,
        *,
        base_url: str,
        headers: Mapping[str, str] | None = None,
        auth: Auth | None = None,
        timeouts: Timeouts | None = None,
        name: str | None = None,
        stream: bool | None = None,
    ) -> None:
        """`stream` forces how the upstream is asked; None asks the way the client did."""
        self.adapter = adapter
        self.base_url = base_url.rstrip("/")
        self.name = name or adapter.name
        self._headers = {
            "content-type": "application/json",
            "user-agent": "responses-mw",
            **_lowered(headers or {}),
        }
        self._auth = auth
        self._timeouts = timeouts or Timeouts()
        self._stream = stream
        self._sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}

    def __repr__(self) -> str:
        return f"HTTPProvider({self.name!r}, base_url={self.base_url!r})"

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        async for deltas in self.batches(turn):
            for delta in deltas:
                yield delta

    async def batches(self, turn: Turn) -> AsyncIterator[list[Delta]]:
        """The deltas of one network read at a time."""
        streamed = turn.stream if self._stream is None else self._stream
        request, response = await self._asked(
            turn if turn.stream == streamed else _streamed(turn, streamed)
        )
        try:
            yield [self._accepted(request, response)]
            if streamed and not _is_json(response):
                async for deltas in self._streamed(response, turn):
                    yield deltas
            else:
                yield list(self.adapter.decode(await self._whole(response), turn))
        finally:
            response.release()

    async def count(self, turn: Turn) -> int | None:
        """Input tokens, as the upstream counts them; None where it does not."""
        if not isinstance(self.adapter, Counts):
            return None
        response = await self._send(self.adapter.count(turn))
        try:
            if response.status in (404, 405, 501):  # it speaks the format, but not all of it
                return None
            if response.status >= 400:
                raise await self._refusal(response)
            return self.adapter.counted(await self._whole(response))
        finally:
            response.release()

    async def aclose(self) -> None:
        """Closes this event loop's connections; loops that are gone took theirs with them."""
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.close()

    # --- asking

    async def _asked(self, turn: Turn) -> "tuple[UpstreamRequest, aiohttp.ClientResponse]":
        """The request that was accepted: an adapter may revise one that was refused, once."""
        request = self.adapter.encode(turn)
        response = await self._send(request)
        if response.status < 400:
            return request, response
        refusal = await self._refusal(response)
        again = None
        if isinstance(self.adapter, Revises):
            again = self.adapter.revised(turn, request, refusal)
        if again is None:
            raise refusal
        response = await self._send(again)
        if response.status >= 400:
            raise await self._refusal(response)
        return again, response

    async def _send(self, request: UpstreamRequest) -> "aiohttp.ClientResponse":
        session = self._session()
        body = orjson.dumps(request.body)
        for attempt in range(self._timeouts.connect_retries + 1):
            url, headers = await self._addressed(request, body)
            try:
                with self._translated():
                    return await session.post(
                        url, data=body, headers=headers, allow_redirects=False
                    )
            except UpstreamUnavailable as error:
                if attempt == self._timeouts.connect_retries or not _never_connected(error):
                    raise
                await asyncio.sleep(0.05 * 4**attempt)
        raise AssertionError("the last attempt returns or raises")

    async def _addressed(
        self, request: UpstreamRequest, body: bytes
    ) -> "tuple[yarl.URL, dict[str, str]]":
        """URL and headers; what is signed is exactly what will be sent."""
        from yarl import URL

        with self._translated():
            url = URL(self.base_url + request.path)
        headers = {**self._headers, **_lowered(request.headers)}
        if self._auth is not None:
            headers["host"] = url.host_port_subcomponent or ""
            headers["content-length"] = str(len(body))
            headers |= _lowered(await self._auth("POST", str(url), headers, body))
        return url, headers

    def _session(self) -> "aiohttp.ClientSession":
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None:
            for gone in [old for old in self._sessions if old.is_closed()]:
                del self._sessions[gone]
            session = self._sessions[loop] = _new_session(self.base_url, self._timeouts)
        return session

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except _network_errors() as error:
            raise self._told(error) from error

    def _told(self, error: BaseException) -> UpstreamError:
        """aiohttp's errors as ours."""
        import aiohttp

        reason = str(error) or type(error).__name__
        match error:
            case aiohttp.ClientPayloadError() if _undecodable(error.__cause__):
                message = f"{self.name} sent a body that its content-encoding does not decode"
                return UpstreamProtocolError(message, provider=self.name)
            case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
                message = f"no connection to {self.name}: {reason}"
            case TimeoutError():
                message = f"{self.name} said nothing for {self._timeouts.read:g} s"
                return UpstreamTimeout(message, provider=self.name)
            case _:
                message = f"the connection to {self.name} broke: {reason}"
        return UpstreamUnavailable(message, provider=self.name)

    # --- hearing

    def _accepted(
        self, request: UpstreamRequest, response: "aiohttp.ClientResponse"
    ) -> UpstreamInfo:
        names = ("x-request-id", "request-id", "x-amzn-requestid")
        given = (response.headers.get(name) for name in names)
        upstream_id = next((id for id in given if id), None)
        return UpstreamInfo(upstream_id=upstream_id, dropped=request.dropped)

    async def _refusal(self, response: "aiohttp.ClientResponse") -> UpstreamError:
        try:
            with self._translated():
                body = await _read(response, _MAX_ERROR_BYTES, cut=True)
        finally:
            response.release()
        return self.adapter.error(response.status, _lowered(response.headers), body)

    async def _whole(self, response: "aiohttp.ClientResponse") -> bytes:
        with self._translated():
            return await _read(response, _MAX_ANSWER_BYTES)

    async def _streamed(
        self, response: "aiohttp.ClientResponse", turn: Turn
    ) -> AsyncIterator[list[Delta]]:
        self._check_framing(response)
        parser = PARSERS[self.adapter.framing]()
        decoder = self.adapter.decoder(turn)
        content = response.content
        while True:
            # A context manager would cost as much as a short event does.
            try:
                chunk = await content.readany()
            except _network_errors() as error:
                raise self._told(error) from error
            if not chunk:
                break
            events = parser.feed(chunk)
            if deltas := [delta for event in events for delta in decoder.feed(event)]:
                yield deltas
        if deltas := list(decoder.close()):
            yield deltas

    def _check_framing(self, response: "aiohttp.ClientResponse") -> None:
        content_type = response.headers.get("content-type", "")
        if content_type.startswith("text/html"):
            raise UpstreamProtocolError(
                f"{self.name} answered {content_type!r} where a stream was asked for; "
                f"is {self.base_url!r} the right address?",
                provider=self.name,
            )


async def _read(response: "aiohttp.ClientResponse", limit: int, *, cut: bool = False) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while chunk := await response.content.readany():
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            if cut:
                break
            raise UpstreamProtocolError(f"the upstream's answer is longer than {limit} bytes")
    return b"".join(chunks)


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _streamed(turn: Turn, stream: bool) -> Turn:
    from dataclasses import replace

    return replace(turn, stream=stream)


def _is_json(response: "aiohttp.ClientResponse") -> bool:
    content_type: str = response.headers.get("content-type", "")
    return content_type.partition(";")[0].strip() == "application/json"


def _new_session(base_url: str, timeouts: Timeouts) -> "aiohttp.ClientSession":
    # It takes 0.1 s to import, and only applications that call upstreams need it.
    import aiohttp

    secure = base_url.lower().startswith("https:")
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=_trusted() if secure else True),
        timeout=aiohttp.ClientTimeout(sock_connect=timeouts.connect, sock_read=timeouts.read),
        # Cookies of one user's answer must not go out with another's request.
        cookie_jar=aiohttp.DummyCookieJar(),
        # Not trust_env: it reads .netrc, in a thread and at every request, and sends what it finds.
        proxy=proxy_for(base_url),
    )


def _trusted() -> ssl.SSLContext:
    """Certifi's authorities, unless the environment names others."""
    if os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"):
        return ssl.create_default_context()
    import certifi

    return ssl.create_default_context(cafile=certifi.where())


def proxy_for(url: str) -> str | None:
    """The proxy that the environment (HTTPS_PROXY, NO_PROXY, ...) or the system names for `url`."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if not proxy or parts.hostname is None or urllib.request.proxy_bypass(parts.hostname):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _network_errors() -> tuple[type[Exception], ...]:
    import aiohttp

    return (aiohttp.ClientError, OSError, ValueError)


def _undecodable(error: BaseException | None) -> bool:
    from aiohttp.http_exceptions import ContentEncodingError

    return isinstance(error, ContentEncodingError)


def _never_connected(error: UpstreamUnavailable) -> bool:
    """Only then is it certain that nobody has begun to answer."""
    import aiohttp

    return isinstance(error.__cause__, aiohttp.ClientConnectorError)
