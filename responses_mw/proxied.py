"""Asking an upstream through the proxy that the environment names: httpx's transport over aiohttp.

The transport is called by itself: cookies, redirects and credentials, which a client adds, must not
reach an upstream.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from responses_mw.addresses import Address
from responses_mw.http1 import ConnectionBroke, NoConnection


class Proxied:
    def __init__(
        self,
        proxy: str,
        context: ssl.SSLContext | None,
        *,
        connect_s: float,
        silence_s: float,
        idle_s: float,
    ) -> None:
        def session() -> aiohttp.ClientSession:
            return aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, ssl=context or True, keepalive_timeout=idle_s
                ),
                # Cookies of one user's answer must not go out with another's request.
                cookie_jar=aiohttp.DummyCookieJar(),
                # Not trust_env: it reads .netrc at every request, and sends what it finds.
                proxy=proxy,
            )

        # Its own context is for sessions that it makes itself.
        self._transport = AiohttpTransport(verify=False, client=session)
        # "pool" is all of connecting, a proxy's answer and TLS included.
        timeout = {"connect": connect_s, "pool": connect_s, "read": silence_s}
        self._extensions = {"timeout": timeout}
        self._connect_s, self._silence_s = connect_s, silence_s

    async def post(
        self, address: Address, headers: Mapping[str, str], body: bytes
    ) -> "ProxiedAnswer":
        request = httpx.Request(
            "POST", address.url, headers=headers, content=body, extensions=self._extensions
        )
        # aiohttp's own limits do not hold for every answer that is no HTTP.
        async with asyncio.timeout(self._connect_s + self._silence_s):
            with _translated():
                response = await self._transport.handle_async_request(request)
        return ProxiedAnswer(response, self._silence_s)

    async def aclose(self) -> None:
        await self._transport.aclose()


class ProxiedAnswer:
    """As `http1.Answer` is."""

    def __init__(self, response: httpx.Response, silence_s: float) -> None:
        self.status = response.status_code
        self.headers = {name.lower(): value for name, value in response.headers.items()}
        self._response = response
        self._silence_s = silence_s
        self._chunks: AsyncIterator[bytes] = aiter(response.stream)  # type: ignore[arg-type]

    async def read(self) -> bytes:
        async with asyncio.timeout(self._silence_s):
            with _translated():
                return await anext(self._chunks, b"")

    async def aclose(self) -> None:
        with _translated():
            await self._response.aclose()


@contextmanager
def _translated() -> Iterator[None]:
    """httpx-aiohttp calls every broken connection a ConnectTimeout: the cause says what it was."""
    try:
        yield
    except (httpx.HTTPError, aiohttp.ClientError) as error:
        cause = (isinstance(error, httpx.HTTPError) and error.__cause__) or error
        reason = str(cause) or type(cause).__name__
        match cause:
            case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
                raise NoConnection(reason) from error
            case aiohttp.ClientHttpProxyError(status=status):
                # Not from the error: that names the proxy's address with its password.
                raise NoConnection(f"the proxy answered HTTP {status}") from None
            case TimeoutError():
                raise TimeoutError(reason) from error
            case _ if isinstance(cause.__cause__, aiohttp.ClientConnectionResetError):
                raise NoConnection(reason) from error
            case _:
                raise ConnectionBroke(reason) from error
