"""Who may talk to a served application: who holds a key, or without a key this machine alone."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Collection, Iterable
from functools import partial
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from responses_mw.errors import Forbidden, ResponsesError, Unauthorized
from responses_mw.http import json_response
from responses_mw.keys import PREFIX, Bearer, set_bearer
from responses_mw.sockets import refuse
from stores.accounts import StoredKey

OPEN_PATHS = {f"{root}/health/{question}" for root in ("", "/v1") for question in ("live", "ready")}
METRICS_PATHS = {f"{root}/metrics" for root in ("", "/v1")}
LOOPBACK = ("localhost", "127.0.0.1", "::1")

Find = Callable[[str], Awaitable[StoredKey | None]]


async def _no_virtual_keys(_secret: str) -> None:
    return None


class Gate:
    """With `key`, a request must carry it, or a virtual key, which `find` knows; without, loopback
    must be addressed. Who holds the key, or needs none, is the master.

    The latter is against web pages: a browser lets any page post to 127.0.0.1, and read the answers
    after rebinding a name of its own to it. Host or Origin give both away.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        key: str | None,
        find: Find = _no_virtual_keys,
        open_paths: Collection[str] = OPEN_PATHS,
    ) -> None:
        self._app = app
        self._open_paths = open_paths
        self._digest = None if key is None else _digest(key)
        self._find = find

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = None
        if scope["type"] != "lifespan" and scope["path"] not in self._open_paths:
            try:
                set_bearer(scope, await self._bearer(Headers(scope=scope)))
            except ResponsesError as refusal:
                error = refusal
        if error is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            response = json_response(error.envelope(), status=error.status, headers=error.headers)
            await response(scope, receive, send)
        else:
            await refuse(WebSocket(scope, receive, send), error)

    async def _bearer(self, headers: Headers) -> Bearer:
        if self._digest is None:
            _refuse_foreign_page(headers)
        given = _given(headers)
        if given.startswith(PREFIX):
            found = await self._find(given)
            if found is not None:
                return Bearer(found, again=partial(self._find, given))
        elif self._digest is None:
            return Bearer()  # the official clients send a key always
        if not given:
            raise _unauthorized("No API key provided: send it as `Authorization: Bearer KEY`.")
        if self._digest is None or not hmac.compare_digest(_digest(given), self._digest):
            raise _unauthorized("Incorrect API key provided.")
        return Bearer()


def _given(headers: Headers) -> str:
    """What follows `Authorization: Bearer`, else where clients of LiteLLM and Azure put a key."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    given = headers.get("x-litellm-api-key") or headers.get("api-key") or ""
    return given.removeprefix("Bearer ").strip()


def _unauthorized(message: str) -> Unauthorized:
    return Unauthorized(message, headers={"www-authenticate": "Bearer"})


def _refuse_foreign_page(headers: Headers) -> None:
    for name, address in _addresses(headers):
        try:
            host = urlsplit(address).hostname
        except ValueError:
            host = None
        if host not in LOOPBACK:
            raise Forbidden(
                f"This server has no key and answers only to this machine: its {name} cannot be "
                f"{address[:100]!r}. Start it with --api-key to let others in."
            )


def _addresses(headers: Headers) -> Iterable[tuple[str, str]]:
    if host := headers.get("host"):
        yield "Host", f"//{host}"
    if origin := headers.get("origin"):
        yield "Origin", origin


def _digest(key: str) -> bytes:
    """Of equal length whatever the key, so that comparing takes equally long."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
