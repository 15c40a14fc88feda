"""Speaks HTTP to upstreams: the only file that imports httpx.

A deployment's adapter encodes the turn, this posts it, cuts the answer into events and hands them
to the decoder. Foreign exceptions become the tree in `errors.py` here.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
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
            **(headers or {}),
        }
        self._auth = auth
        self._timeouts = timeouts or Timeouts()
        self._stream = stream
        self._clients: dict[asyncio.AbstractEventLoop, httpx.AsyncClient] = {}

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
            await response.aclose()

    async def count(self, turn: Turn) -> int | None:
        """Input tokens, as the upstream counts them; None where it does not."""
        if not isinstance(self.adapter, Counts):
            return None
        response = await self._send(self.adapter.count(turn))
        try:
            if response.status_code in (404, 405, 501):  # it speaks the format, but not all of it
                return None
            if response.status_code >= 400:
                raise await self._refusal(response)
            return self.adapter.counted(await self._whole(response))
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Closes this event loop's connections; loops that are gone took theirs with them."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    # --- asking

    async def _asked(self, turn: Turn) -> tuple[UpstreamRequest, httpx.Response]:
        """The request that was accepted: an adapter may revise one that was refused, once."""
        request = self.adapter.encode(turn)
        response = await self._send(request)
        if response.status_code < 400:
            return request, response
        refusal = await self._refusal(response)
        again = None
        if isinstance(self.adapter, Revises):
            again = self.adapter.revised(turn, request, refusal)
        if again is None:
            raise refusal
        response = await self._send(again)
        if response.status_code >= 400:
            raise await self._refusal(response)
        return again, response

    async def _send(self, request: UpstreamRequest) -> httpx.Response:
        for attempt in range(self._timeouts.connect_retries + 1):
            http_request = await self._request(request)
            try:
                with self._translated():
                    return await self._client().send(http_request, stream=True)
            except UpstreamUnavailable as error:
                if attempt == self._timeouts.connect_retries or not _never_connected(error):
                    raise
                await asyncio.sleep(0.05 * 4**attempt)
        raise AssertionError("the last attempt returns or raises")

    async def _request(self, request: UpstreamRequest) -> httpx.Request:
        timeout = {"connect": self._timeouts.connect, "read": self._timeouts.read}
        with self._translated():
            made = httpx.Request(
                "POST",
                self.base_url + request.path,
                content=orjson.dumps(request.body),
                headers={**self._headers, **request.headers},
                extensions={"timeout": timeout},
            )
        if self._auth is not None:
            made.headers.update(
                await self._auth(made.method, str(made.url), dict(made.headers), made.content)
            )
        return made

    def _client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            for gone in [old for old in self._clients if old.is_closed()]:
                del self._clients[gone]
            client = self._clients[loop] = _new_client()
        return client

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except httpx.DecodingError as error:
            message = f"{self.name} sent a body that its content-encoding does not decode"
            raise UpstreamProtocolError(message, provider=self.name) from error
        except httpx.TimeoutException as error:
            if _connection_failed(error):
                message = f"no connection to {self.name}: {_reason(error)}"
                raise UpstreamUnavailable(message, provider=self.name) from error
            message = f"{self.name} said nothing for {self._timeouts.read:g} s"
            raise UpstreamTimeout(message, provider=self.name) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            message = f"the connection to {self.name} broke: {_reason(error)}"
            raise UpstreamUnavailable(message, provider=self.name) from error

    # --- hearing

    def _accepted(self, request: UpstreamRequest, response: httpx.Response) -> UpstreamInfo:
        names = ("x-request-id", "request-id", "x-amzn-requestid")
        given = (response.headers.get(name) for name in names)
        upstream_id = next((id for id in given if id), None)
        return UpstreamInfo(upstream_id=upstream_id, dropped=request.dropped)

    async def _refusal(self, response: httpx.Response) -> UpstreamError:
        try:
            with self._translated():
                body = await _read(response, _MAX_ERROR_BYTES, cut=True)
        finally:
            await response.aclose()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return self.adapter.error(response.status_code, headers, body)

    async def _whole(self, response: httpx.Response) -> bytes:
        with self._translated():
            return await _read(response, _MAX_ANSWER_BYTES)

    async def _streamed(self, response: httpx.Response, turn: Turn) -> AsyncIterator[list[Delta]]:
        self._check_framing(response)
        parser = PARSERS[self.adapter.framing]()
        decoder = self.adapter.decoder(turn)
        chunks = response.aiter_bytes()
        while True:
            with self._translated():
                chunk = await anext(chunks, None)
            if chunk is None:
                break
            events = parser.feed(chunk)
            if deltas := [delta for event in events for delta in decoder.feed(event)]:
                yield deltas
        if deltas := list(decoder.close()):
            yield deltas

    def _check_framing(self, response: httpx.Response) -> None:
        content_type = response.headers.get("content-type", "")
        if content_type.startswith("text/html"):
            raise UpstreamProtocolError(
                f"{self.name} answered {content_type!r} where a stream was asked for; "
                f"is {self.base_url!r} the right address?",
                provider=self.name,
            )


async def _read(response: httpx.Response, limit: int, *, cut: bool = False) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_bytes():
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            if cut:
                break
            raise UpstreamProtocolError(f"the upstream's answer is longer than {limit} bytes")
    return b"".join(chunks)


def _streamed(turn: Turn, stream: bool) -> Turn:
    from dataclasses import replace

    return replace(turn, stream=stream)


def _is_json(response: httpx.Response) -> bool:
    content_type: str = response.headers.get("content-type", "")
    return content_type.partition(";")[0].strip() == "application/json"


def _new_client() -> httpx.AsyncClient:
    # aiohttp takes 0.1 s to import, and only applications that call upstreams need it.
    import aiohttp
    from httpx_aiohttp import AiohttpTransport

    context = httpx.create_ssl_context()

    def session() -> "aiohttp.ClientSession":
        # Cookies of one user's answer must not go out with another's request.
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=context),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=True,
        )

    return httpx.AsyncClient(transport=AiohttpTransport(client=session), trust_env=False)


def _connection_failed(error: BaseException) -> bool:
    """httpx-aiohttp calls every broken connection a ConnectTimeout; the cause says what it was."""
    import aiohttp

    return isinstance(error.__cause__, aiohttp.ClientConnectionError) and not isinstance(
        error.__cause__, aiohttp.ServerTimeoutError
    )


def _never_connected(error: UpstreamUnavailable) -> bool:
    """Only then is it certain that nobody has begun to answer."""
    import aiohttp

    cause: Any = error.__cause__
    return isinstance(getattr(cause, "__cause__", None), aiohttp.ClientConnectorError)


def _reason(error: BaseException) -> str:
    cause = error.__cause__ or error
    return str(cause) or type(cause).__name__
