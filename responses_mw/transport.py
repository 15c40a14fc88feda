"""Speaks HTTP to upstreams: a deployment's adapter encodes the turn, this posts it and has the
answer read.

Foreign exceptions become the tree in `errors.py` here. Connections are made in `connections`.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from responses_mw import outgoing
from responses_mw.adapters.base import (
    Adapter,
    Continues,
    Counts,
    Decoder,
    KnowsTools,
    Revises,
    UpstreamRequest,
)
from responses_mw.adapters.client_tools import (
    ClientCalls,
    ClientTool,
    as_functions,
    client_tools,
    with_added_tools,
)
from responses_mw.adapters.decoding import well_formed
from responses_mw.adapters.reading import Reading
from responses_mw.addresses import Address, address_of, without_credentials
from responses_mw.connections import (
    NETWORK_ERRORS,
    Answer,
    Connections,
    Decoded,
    connections_to,
    read_body,
    translated,
)
from responses_mw.deltas import Delta, UpstreamInfo, singly
from responses_mw.errors import (
    UpstreamError,
    UpstreamProtocolError,
)
from responses_mw.http1 import NoConnection
from responses_mw.turn import Turn

Auth = Callable[[str, str, Mapping[str, str], bytes], Awaitable[Mapping[str, str]]]
"""Credentials that change: `await auth(method, url, headers, body)` gives the headers to add. Asked
before every attempt, with the URL, the header names (lower case) and the body as they will be sent.
Raises an UpstreamError if there are no credentials to be had."""

Headers = Mapping[str, str]

_SECRET = ("authorization", "x-api-key", "api-key", "x-goog-api-key", "x-amz-security-token")
_LEAST_SECRET = 8
_MOST_ADDRESSES = 1000
_REFUSED = 300
"""The least status of what is no answer: redirects are not followed."""
_MAX_ERROR_BYTES = 64 * 1024
_MAX_ERROR_S = 10.0
_LONGEST_PLACE = 200
_MAX_ANSWER_BYTES = 64 * 1024 * 1024
_UNSIGNED = {"accept": "*/*", "accept-encoding": "gzip, deflate"}
"""What a proxy on the way may change cannot be signed."""


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
        self.base_url, basic = without_credentials(base_url.rstrip("/"))
        self.name = name or adapter.name
        self._headers = {
            "content-type": "application/json",
            "user-agent": "responses-mw",
            **({"authorization": basic} if basic else {}),
            **_lowered(headers or {}),
        }
        self._auth = auth
        self._timeouts = timeouts or Timeouts()
        self._stream = stream
        self._knows = adapter.knows if isinstance(adapter, KnowsTools) else _knows_none
        self._continues = adapter if isinstance(adapter, Continues) else None
        self.extra_body: Mapping[str, Any] = {}
        """Of every turn's request here; what a turn has of its own wins."""
        self._addresses: dict[str, Address] = {}
        self._connections: dict[asyncio.AbstractEventLoop, Connections] = {}

    def __repr__(self) -> str:
        return f"HTTPProvider({self.name!r}, base_url={self.base_url!r})"

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        async for deltas in self.batches(turn):
            for delta in singly(deltas):
                yield delta

    def batches(self, turn: Turn) -> AsyncIterator[list[Delta]]:
        """The deltas of one network read at a time."""
        turn = with_added_tools(turn, self._knows)
        tools = self._as_functions(turn)
        return self._with_calls(turn, tools) if tools else self._batches(turn)

    async def _with_calls(
        self, turn: Turn, tools: Mapping[str, ClientTool]
    ) -> AsyncIterator[list[Delta]]:
        calls = ClientCalls(tools)
        async with contextlib.aclosing(self._batches(as_functions(turn, tools))) as batches:
            async for deltas in batches:
                if told := calls.told(deltas):
                    yield told

    async def _batches(self, turn: Turn) -> AsyncGenerator[list[Delta], None]:
        streamed = turn.stream if self._stream is None else self._stream
        request, answer, sent = await self._asked(
            turn if turn.stream == streamed else replace(turn, stream=streamed)
        )
        try:
            yield [self._accepted(request, answer)]
            if self._continues is None and (not streamed or _is_json(answer)):
                body = await self._whole(answer)
                with well_formed(self.name):
                    deltas = list(self.adapter.decode(body, turn))
                yield deltas
                return
            decoder = self.adapter.decoder(turn)
            while True:
                async for deltas in self._heard(answer, decoder, streamed=streamed):
                    yield deltas
                if self._continues is None:
                    break
                again = self._continues.continued(request, decoder)
                if again is None:
                    break
                await answer.aclose()
                answer, sent = await self._sent(again)
            with well_formed(self.name):
                last = list(decoder.close())
            if last:
                yield last
        except UpstreamError as error:
            self._hide(error, sent)
            raise
        finally:
            await answer.aclose()

    async def count(self, turn: Turn) -> int | None:
        """Input tokens, as the upstream counts them; None where it does not."""
        if not isinstance(self.adapter, Counts):
            return None
        request = self.adapter.count(self._plain(turn))
        answer, sent = await self._send(request)
        try:
            if answer.status in (404, 405, 501):  # it speaks the format, but not all of it
                return None
            if answer.status >= _REFUSED:
                raise await self._refusal(answer, sent)
            body = await self._whole(answer)
            with well_formed(self.name):
                return self.adapter.counted(body)
        finally:
            await answer.aclose()

    def scope(self, turn: Turn) -> str:
        """Native turns of this scope can be read there."""
        return self.adapter.scope(self._plain(turn))

    async def aclose(self) -> None:
        """Closes this event loop's connections; loops that are gone took theirs with them."""
        connections = self._connections.pop(asyncio.get_running_loop(), None)
        if connections is not None:
            await connections.aclose()

    # --- tools that are offered as functions

    def _as_functions(self, turn: Turn) -> Mapping[str, ClientTool]:
        return client_tools(turn, self._knows) if turn.tools else {}

    def _plain(self, turn: Turn) -> Turn:
        turn = with_added_tools(turn, self._knows)
        tools = self._as_functions(turn)
        return as_functions(turn, tools) if tools else turn

    # --- asking

    async def _asked(self, turn: Turn) -> tuple[UpstreamRequest, Answer, Headers]:
        """The request that was accepted: an adapter may revise one that was refused, once."""
        if self.extra_body:
            turn = replace(turn, extra_body={**self.extra_body, **turn.extra_body})
        request = self.adapter.encode(turn)
        answer, sent = await self._send(request)
        if answer.status < _REFUSED:
            return request, answer, sent
        refusal = await self._refusal(answer, sent)
        again = None
        if isinstance(self.adapter, Revises):
            again = self.adapter.revised(turn, request, refusal)
        if again is None:
            raise refusal
        return again, *await self._sent(again)

    async def _sent(self, request: UpstreamRequest) -> tuple[Answer, Headers]:
        answer, sent = await self._send(request)
        if answer.status >= _REFUSED:
            raise await self._refusal(answer, sent)
        return answer, sent

    async def _send(self, request: UpstreamRequest) -> tuple[Answer, Headers]:
        connections = self._connected()
        body = orjson.dumps(request.body)
        for attempt in range(self._timeouts.connect_retries + 1):
            address, headers = await self._addressed(request, body)
            try:
                answer = await connections.post(address, headers, body)
            except NETWORK_ERRORS as error:
                if attempt == self._timeouts.connect_retries or not isinstance(error, NoConnection):
                    raise self._told(error) from error
            else:
                encoded = "content-encoding" in answer.headers
                return (Decoded(answer) if encoded else answer), headers
            await asyncio.sleep(0.05 * 4**attempt)
        raise AssertionError("the last attempt returns or raises")

    async def _addressed(
        self, request: UpstreamRequest, body: bytes
    ) -> tuple[Address, dict[str, str]]:
        """What is signed is exactly what will be sent."""
        address = self._address(self.base_url + request.path)
        headers = {
            "host": address.netloc,
            **self._headers,
            **_lowered(request.headers),
            "content-length": str(len(body)),
        }
        if self._auth is not None:
            headers |= _lowered(await self._auth("POST", address.url, headers, body))
        return address, {**_UNSIGNED, **headers, **outgoing.HEADERS.get(outgoing.NONE)}

    def _address(self, url: str) -> Address:
        """Models are few, and each has an address or two."""
        address = self._addresses.get(url)
        if address is None:
            if len(self._addresses) >= _MOST_ADDRESSES:  # behind a wildcard, clients name models
                self._addresses.clear()
            with self._translated():
                address = self._addresses[url] = address_of(url)
        return address

    def _connected(self) -> Connections:
        loop = asyncio.get_running_loop()
        connections = self._connections.get(loop)
        if connections is None:
            # Another thread may be at it, too.
            for gone in [old for old in list(self._connections) if old.is_closed()]:
                self._connections.pop(gone, None)
            timeouts = self._timeouts
            with self._translated():
                connections = self._connections[loop] = connections_to(
                    self.base_url, connect_s=timeouts.connect, silence_s=timeouts.read
                )
        return connections

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except NETWORK_ERRORS as error:
            raise self._told(error) from error

    def _told(self, error: BaseException) -> UpstreamError:
        return translated(error, name=self.name, silence_s=self._timeouts.read)

    # --- hearing

    def _accepted(self, request: UpstreamRequest, answer: Answer) -> UpstreamInfo:
        names = ("x-request-id", "request-id", "x-amzn-requestid")
        upstream_id = next((found for n in names if (found := answer.headers.get(n))), None)
        return UpstreamInfo(upstream_id=upstream_id, dropped=request.dropped)

    async def _refusal(self, answer: Answer, sent: Headers) -> UpstreamError:
        """Where its body does not come, its status says enough."""
        body = b""
        try:
            with contextlib.suppress(UpstreamError, *NETWORK_ERRORS):
                async with asyncio.timeout(_MAX_ERROR_S):
                    body = await read_body(answer, _MAX_ERROR_BYTES, cut=True)
        finally:
            await answer.aclose()
        if answer.status < 400:
            error = self._astray(answer)
        else:
            error = self.adapter.error(answer.status, answer.headers, body)
        self._hide(error, sent)
        return error

    def _hide(self, error: UpstreamError, sent: Headers) -> None:
        """Some repeat what they were sent; every request may have credentials of its own."""
        error.hide((*_secrets_of(self._headers), *_secrets_of(sent)))

    def _astray(self, answer: Answer) -> UpstreamError:
        place = answer.headers.get("location", "").partition("?")[0][:_LONGEST_PLACE]
        return UpstreamProtocolError(
            f"{self.name} answered HTTP {answer.status} and points to {place!r}; "
            f"is {self.base_url!r} the right address?",
            provider=self.name,
        )

    async def _whole(self, answer: Answer) -> bytes:
        with self._translated():
            return await read_body(answer, _MAX_ANSWER_BYTES)

    async def _heard(
        self, answer: Answer, decoder: Decoder, *, streamed: bool
    ) -> AsyncIterator[list[Delta]]:
        """All that an answer says but its end, which the decoder's `close` does."""
        if self._continues is not None and (not streamed or _is_json(answer)):
            body = await self._whole(answer)
            with well_formed(self.name):
                deltas = list(self._continues.read_whole(body, decoder))
            yield deltas
            return
        self._check_framing(answer)
        reading = Reading(decoder, self.adapter.framing, name=self.name)
        while True:
            # A context manager would cost as much as a short event does.
            try:
                chunk = await answer.read()
            except NETWORK_ERRORS as error:
                raise self._told(error) from error
            if not chunk:
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

    def _check_framing(self, answer: Answer) -> None:
        content_type = answer.headers.get("content-type", "")
        if content_type.lower().startswith("text/html"):
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


def _is_json(answer: Answer) -> bool:
    content_type: str = answer.headers.get("content-type", "")
    return content_type.partition(";")[0].strip().lower() == "application/json"


def _knows_none(_: str) -> bool:
    return False
