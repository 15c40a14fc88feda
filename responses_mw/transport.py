"""Speaks HTTP to upstreams: a deployment's adapter encodes the turn, this posts it and has the
answer read.

Foreign exceptions become the tree in `errors.py` here. Connections are made in `connections`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx
import orjson

from responses_mw import outgoing
from responses_mw.adapters.base import (
    Adapter,
    Continues,
    Counts,
    Decoder,
    Revises,
    UpstreamRequest,
)
from responses_mw.adapters.decoding import WRONG_SHAPE, wrong_shape
from responses_mw.adapters.reading import Reading
from responses_mw.connections import (
    chunks_of,
    network_errors,
    never_asked,
    new_transport,
    read_body,
    translated,
)
from responses_mw.deltas import Delta, UpstreamInfo, singly
from responses_mw.errors import (
    UpstreamError,
    UpstreamProtocolError,
    UpstreamUnavailable,
)
from responses_mw.turn import Turn

Auth = Callable[[str, str, Mapping[str, str], bytes], Awaitable[Mapping[str, str]]]
"""Credentials that change: `await auth(method, url, headers, body)` gives the headers to add. Asked
before every attempt, with the URL, the header names (lower case) and the body as they will be sent.
Raises an UpstreamError if there are no credentials to be had."""

_SECRET = ("authorization", "x-api-key", "api-key", "x-goog-api-key", "x-amz-security-token")
_LEAST_SECRET = 8
_MOST_ADDRESSES = 1000
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
        self._secrets = _secrets_of(self._headers)
        self._timeouts = timeouts or Timeouts()
        self._stream = stream
        self._continues = adapter if isinstance(adapter, Continues) else None
        self.extra_body: Mapping[str, Any] = {}
        """Of every turn's request here; what a turn has of its own wins."""
        self._urls: dict[str, httpx.URL] = {}
        self._timeout_extensions = {
            "timeout": {"connect": self._timeouts.connect, "read": self._timeouts.read}
        }
        self._transports: dict[asyncio.AbstractEventLoop, httpx.AsyncBaseTransport] = {}

    def __repr__(self) -> str:
        return f"HTTPProvider({self.name!r}, base_url={self.base_url!r})"

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        async for deltas in self.batches(turn):
            for delta in singly(deltas):
                yield delta

    async def batches(self, turn: Turn) -> AsyncIterator[list[Delta]]:
        """The deltas of one network read at a time."""
        streamed = turn.stream if self._stream is None else self._stream
        request, response = await self._asked(
            turn if turn.stream == streamed else replace(turn, stream=streamed)
        )
        try:
            yield [self._accepted(request, response)]
            if self._continues is None and (not streamed or _is_json(response)):
                body = await self._whole(response)
                with self._well_formed():
                    deltas = list(self.adapter.decode(body, turn))
                yield deltas
                return
            decoder = self.adapter.decoder(turn)
            while True:
                async for deltas in self._heard(response, decoder, streamed=streamed):
                    yield deltas
                if self._continues is None:
                    break
                again = self._continues.continued(request, decoder)
                if again is None:
                    break
                await response.aclose()
                response = await self._sent(again)
            with self._well_formed():
                last = list(decoder.close())
            if last:
                yield last
        except UpstreamError as error:
            error.hide(self._secrets)
            raise
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
            body = await self._whole(response)
            with self._well_formed():
                return self.adapter.counted(body)
        finally:
            await response.aclose()

    def scope(self, turn: Turn) -> str:
        """Native turns of this scope can be read there."""
        return self.adapter.scope(turn)

    async def aclose(self) -> None:
        """Closes this event loop's connections; loops that are gone took theirs with them."""
        transport = self._transports.pop(asyncio.get_running_loop(), None)
        if transport is not None:
            await transport.aclose()

    # --- asking

    async def _asked(self, turn: Turn) -> tuple[UpstreamRequest, httpx.Response]:
        """The request that was accepted: an adapter may revise one that was refused, once."""
        if self.extra_body:
            turn = replace(turn, extra_body={**self.extra_body, **turn.extra_body})
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
        return again, await self._sent(again)

    async def _sent(self, request: UpstreamRequest) -> httpx.Response:
        response = await self._send(request)
        if response.status_code >= 400:
            raise await self._refusal(response)
        return response

    async def _send(self, request: UpstreamRequest) -> httpx.Response:
        transport = self._transport()
        body = orjson.dumps(request.body)
        for attempt in range(self._timeouts.connect_retries + 1):
            url, headers = await self._addressed(request, body)
            asked = httpx.Request(
                "POST", url, headers=headers, content=body, extensions=self._timeout_extensions
            )
            try:
                with self._translated():
                    return await transport.handle_async_request(asked)
            except UpstreamUnavailable as error:
                if attempt == self._timeouts.connect_retries or not never_asked(error):
                    raise
                await asyncio.sleep(0.05 * 4**attempt)
        raise AssertionError("the last attempt returns or raises")

    async def _addressed(
        self, request: UpstreamRequest, body: bytes
    ) -> tuple[httpx.URL, dict[str, str]]:
        """URL and headers; what is signed is exactly what will be sent."""
        url = self._url(self.base_url + request.path)
        headers = {**self._headers, **_lowered(request.headers)}
        if self._auth is not None:
            headers["host"] = url.netloc.decode()
            headers["content-length"] = str(len(body))
            made = _lowered(await self._auth("POST", str(url), headers, body))
            self._secrets = (*_secrets_of(self._headers), *_secrets_of(made))
            headers |= made
        # After signing: what a proxy may change cannot be signed.
        headers |= outgoing.HEADERS.get(outgoing.NONE)
        return url, headers

    def _url(self, address: str) -> httpx.URL:
        """Quoted as aiohttp will quote it. Models are few, and each has an address or two."""
        url = self._urls.get(address)
        if url is None:
            from yarl import URL

            if len(self._urls) >= _MOST_ADDRESSES:  # behind a wildcard, clients name models
                self._urls.clear()
            with self._translated():
                url = self._urls[address] = httpx.URL(str(URL(address)))
        return url

    def _transport(self) -> httpx.AsyncBaseTransport:
        loop = asyncio.get_running_loop()
        transport = self._transports.get(loop)
        if transport is None:
            for gone in [old for old in self._transports if old.is_closed()]:
                del self._transports[gone]
            transport = self._transports[loop] = new_transport(self.base_url)
        return transport

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except network_errors() as error:
            raise self._told(error) from error

    def _told(self, error: BaseException) -> UpstreamError:
        return translated(error, name=self.name, silence_s=self._timeouts.read)

    # --- hearing

    def _accepted(self, request: UpstreamRequest, response: httpx.Response) -> UpstreamInfo:
        names = ("x-request-id", "request-id", "x-amzn-requestid")
        upstream_id = next((found for n in names if (found := response.headers.get(n))), None)
        return UpstreamInfo(upstream_id=upstream_id, dropped=request.dropped)

    async def _refusal(self, response: httpx.Response) -> UpstreamError:
        try:
            with self._translated():
                body = await read_body(response, _MAX_ERROR_BYTES, cut=True)
        finally:
            await response.aclose()
        error = self.adapter.error(response.status_code, _lowered(response.headers), body)
        error.hide(self._secrets)  # some repeat what they were sent
        return error

    async def _whole(self, response: httpx.Response) -> bytes:
        with self._translated():
            return await read_body(response, _MAX_ANSWER_BYTES)

    async def _heard(
        self, response: httpx.Response, decoder: Decoder, *, streamed: bool
    ) -> AsyncIterator[list[Delta]]:
        """All that an answer says but its end, which the decoder's `close` does."""
        if self._continues is not None and (not streamed or _is_json(response)):
            body = await self._whole(response)
            with self._well_formed():
                deltas = list(self._continues.read_whole(body, decoder))
            yield deltas
            return
        self._check_framing(response)
        reading = Reading(decoder, self.adapter.framing, name=self.name)
        chunks = chunks_of(response)
        while True:
            # A context manager would cost as much as a short event does.
            try:
                chunk = await anext(chunks, None)
            except network_errors() as error:
                raise self._told(error) from error
            if chunk is None:
                break
            deltas = []
            try:
                reading.feed(chunk, deltas)
            except UpstreamError:
                # What was said before the error, in the same read, was said.
                yield deltas
                raise
            if deltas:
                yield deltas

    @contextlib.contextmanager
    def _well_formed(self) -> Iterator[None]:
        """Around what reads a whole answer; `Reading` does the same for a stream."""
        try:
            yield
        except WRONG_SHAPE as error:
            raise wrong_shape(error, self.name) from error

    def _check_framing(self, response: httpx.Response) -> None:
        content_type = response.headers.get("content-type", "")
        if content_type.startswith("text/html"):
            raise UpstreamProtocolError(
                f"{self.name} answered {content_type!r} where a stream was asked for; "
                f"is {self.base_url!r} the right address?",
                provider=self.name,
            )


def _secrets_of(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Without the scheme before it."""
    found = (headers.get(name, "").rpartition(" ")[2] for name in _SECRET)
    return tuple(secret for secret in found if len(secret) >= _LEAST_SECRET)


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _is_json(response: httpx.Response) -> bool:
    content_type: str = response.headers.get("content-type", "")
    return content_type.partition(";")[0].strip() == "application/json"
