"""Whom to ask for an upstream's answers, what their errors mean, and how bodies are read."""

import os
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

import httpx

from responses_mw.addresses import Address, proxy_for
from responses_mw.errors import (
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from responses_mw.http1 import NoConnection
from responses_mw.pool import Pool

_IDLE_S = 15.0
_IDLE_NEARBY_S = 4.0
_CODINGS = ("gzip", "deflate")
_SLICE = 4096
"""Bytes that are unpacked at a time: they may become a thousand times as many."""


class Answer(Protocol):
    """As `http1.Answer` is."""

    status: int
    headers: dict[str, str]

    async def read(self) -> bytes: ...

    async def aclose(self) -> None: ...


class Connections(Protocol):
    async def post(self, address: Address, headers: Mapping[str, str], body: bytes) -> Answer:
        """`headers` are all that are sent. Raises NoConnection, ConnectionBroke, TimeoutError, and
        ValueError for what cannot be sent."""
        ...

    async def aclose(self) -> None: ...


def connections_to(base_url: str, *, connect_s: float, silence_s: float) -> Connections:
    """Of the running event loop. `silence_s` bounds every wait for the upstream."""
    secure = base_url.lower().startswith("https:")
    context = _trusted() if secure else None
    # Servers nearby close what was idle for five seconds, and a request that meets that is lost;
    # a new connection to them costs nothing.
    idle_s = _IDLE_S if secure else _IDLE_NEARBY_S
    proxy = proxy_for(base_url)
    if proxy is None:
        return Pool(base_url, context, connect_s=connect_s, silence_s=silence_s, idle_s=idle_s)
    # It takes 0.1 s to import.
    from responses_mw.proxied import Proxied

    return Proxied(proxy, context, connect_s=connect_s, silence_s=silence_s, idle_s=idle_s)


def _trusted() -> ssl.SSLContext:
    """Certifi's authorities, unless the environment names others."""
    if os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"):
        return ssl.create_default_context()
    import certifi

    return ssl.create_default_context(cafile=certifi.where())


# --- errors


NETWORK_ERRORS = (OSError, ValueError, httpx.HTTPError, httpx.InvalidURL)
"""Whatever asking and reading raises."""


def translated(error: BaseException, *, name: str, silence_s: float) -> UpstreamError:
    """Theirs as ours."""
    reason = str(error) or type(error).__name__
    match error:
        case httpx.DecodingError():
            message = f"{name} sent a body that its content-encoding does not decode"
            return UpstreamProtocolError(message, provider=name)
        case NoConnection():
            message = f"no connection to {name}: {reason}"
        case TimeoutError():
            message = f"{name} said nothing for {silence_s:g} s"
            return UpstreamTimeout(message, provider=name)
        case _:
            message = f"the connection to {name} broke: {reason}"
    return UpstreamUnavailable(message, provider=name)


# --- bodies


class Decoded:
    """An answer whose body is compressed, by httpx's decoders. A coding that nobody knows (`none`)
    says nothing."""

    def __init__(self, answer: Answer) -> None:
        self.status, self.headers = answer.status, answer.headers
        self._answer = answer
        self._coding = answer.headers["content-encoding"].strip().lower()
        headers = {"content-encoding": self._coding} if self._coding in _CODINGS else {}
        response = httpx.Response(answer.status, headers=headers, stream=_Raw(answer))
        self._chunks = response.aiter_bytes()

    async def read(self) -> bytes:
        # What is packed twice becomes a million times as long.
        if "," in self._coding or self._coding in ("br", "zstd", "compress"):
            raise UpstreamProtocolError(
                f"the upstream's answer has the content-encoding {self._coding!r}; "
                "gzip or deflate was asked for"
            )
        return await anext(self._chunks, b"")

    async def aclose(self) -> None:
        await self._answer.aclose()


class _Raw(httpx.AsyncByteStream):
    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await self._answer.read():
            for start in range(0, len(chunk), _SLICE):
                yield chunk[start : start + _SLICE]


async def read_body(answer: Answer, limit: int, *, cut: bool = False) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while chunk := await answer.read():
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            if cut:
                break
            raise UpstreamProtocolError(f"the upstream's answer is longer than {limit} bytes")
    return b"".join(chunks)
