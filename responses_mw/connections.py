"""Connections to upstreams: httpx's transport over aiohttp, and what their errors mean.

The transport is called by itself: cookies, redirects and credentials, which a client adds, must not
reach an upstream.
"""

import os
import ssl
import urllib.request
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from responses_mw.errors import (
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnavailable,
)

if TYPE_CHECKING:
    import aiohttp

_IDLE_S = 15.0
_IDLE_NEARBY_S = 4.0


def new_transport(base_url: str) -> httpx.AsyncBaseTransport:
    # It takes 0.1 s to import, and only applications that call upstreams need it.
    import aiohttp
    from httpx_aiohttp import AiohttpTransport

    secure = base_url.lower().startswith("https:")
    context = _trusted() if secure else True
    # Servers nearby close what was idle for five seconds, and a request that meets that is lost;
    # a new connection to them costs nothing.
    idle_s = _IDLE_S if secure else _IDLE_NEARBY_S

    def session() -> "aiohttp.ClientSession":
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=context, keepalive_timeout=idle_s),
            # Cookies of one user's answer must not go out with another's request.
            cookie_jar=aiohttp.DummyCookieJar(),
            # Not trust_env: it reads .netrc at every request, and sends what it finds.
            proxy=_proxy_for(base_url),
        )

    # Its own context is for sessions that it makes itself.
    return AiohttpTransport(verify=False, client=session)


def _trusted() -> ssl.SSLContext:
    """Certifi's authorities, unless the environment names others."""
    if os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"):
        return ssl.create_default_context()
    import certifi

    return ssl.create_default_context(cafile=certifi.where())


def _proxy_for(url: str) -> str | None:
    """The proxy that the environment (HTTPS_PROXY, NO_PROXY, ...) or the system names for `url`."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if not proxy or parts.hostname is None or urllib.request.proxy_bypass(parts.hostname):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def network_errors() -> tuple[type[Exception], ...]:
    import aiohttp

    return (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, ValueError)


def never_asked(error: UpstreamUnavailable) -> bool:
    """Only then is it certain that nobody has begun to answer: there was no connection, or a kept
    one was closing before the request was written to it."""
    import aiohttp

    cause = error.__cause__ and error.__cause__.__cause__
    closing = cause and isinstance(cause.__cause__, aiohttp.ClientConnectionResetError)
    return bool(closing) or isinstance(cause, aiohttp.ClientConnectorError)


def translated(error: BaseException, *, name: str, silence_s: float) -> UpstreamError:
    """Theirs as ours. httpx-aiohttp calls every broken connection a ConnectTimeout: the cause
    says what it was."""
    import aiohttp

    cause = error.__cause__ if isinstance(error, httpx.TransportError) else None
    cause = cause or error
    reason = str(cause) or type(cause).__name__
    match cause:
        case httpx.DecodingError():
            message = f"{name} sent a body that its content-encoding does not decode"
            return UpstreamProtocolError(message, provider=name)
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            message = f"no connection to {name}: {reason}"
        case TimeoutError():
            message = f"{name} said nothing for {silence_s:g} s"
            return UpstreamTimeout(message, provider=name)
        case _:
            message = f"the connection to {name} broke: {reason}"
    return UpstreamUnavailable(message, provider=name)


def chunks_of(response: httpx.Response) -> AsyncIterator[bytes]:
    """As they come over the wire; httpx decodes them only where there is something to decode."""
    if "content-encoding" in response.headers:
        return response.aiter_bytes()
    stream: Any = response.stream
    return aiter(stream)


async def read_body(response: httpx.Response, limit: int, *, cut: bool = False) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in chunks_of(response):
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            if cut:
                break
            raise UpstreamProtocolError(f"the upstream's answer is longer than {limit} bytes")
    return b"".join(chunks)
