"""Who may talk to a served application: who holds its key, or without a key this machine alone."""

import hashlib
import hmac
from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from responses_mw.errors import InvalidRequest, ResponsesError, Unauthorized
from responses_mw.http import json_response

OPEN_PATHS = {f"{root}/health/{question}" for root in ("", "/v1") for question in ("live", "ready")}
METRICS_PATHS = {"/metrics", "/v1/metrics"}
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class PermissionDenied(InvalidRequest):
    status = 403


class Gate:
    """With `key`, `Authorization: Bearer` must carry it; without, loopback must be addressed.

    The latter is against web pages: a browser lets any page post to 127.0.0.1, and read the answers
    after rebinding a name of its own to it. Host or Origin give both away.
    """

    def __init__(
        self, app: ASGIApp, *, key: str | None, open_paths: Collection[str] = OPEN_PATHS
    ) -> None:
        self._app = app
        self._open_paths = open_paths
        self._digest = None if key is None else _digest(key)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = None
        if scope["type"] != "lifespan" and scope["path"] not in self._open_paths:
            error = self._refusal(Headers(scope=scope))
        if error is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            response = json_response(error.envelope(), status=error.status, headers=error.headers)
            await response(scope, receive, send)
        else:
            # Before it is accepted, closing a WebSocket is a 403 to its client.
            await send({"type": "websocket.close", "code": 1008, "reason": error.message})

    def _refusal(self, headers: Headers) -> ResponsesError | None:
        if self._digest is None:
            return _foreign_page(headers)
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            message = "No API key provided: send it as `Authorization: Bearer KEY`."
        elif hmac.compare_digest(_digest(given.strip()), self._digest):
            return None
        else:
            message = "Incorrect API key provided."
        return Unauthorized(message, headers={"www-authenticate": "Bearer"})


def _foreign_page(headers: Headers) -> ResponsesError | None:
    for name, address in _addresses(headers):
        try:
            host = urlsplit(address).hostname
        except ValueError:
            host = None
        if host not in LOOPBACK:
            return PermissionDenied(
                f"This server has no key and answers only to this machine: its {name} cannot be "
                f"{address[:100]!r}. Start it with --api-key to let others in."
            )
    return None


def _addresses(headers: Headers) -> Iterable[tuple[str, str]]:
    if host := headers.get("host"):
        yield "Host", f"//{host}"
    if origin := headers.get("origin"):
        yield "Origin", origin


def _digest(key: str) -> bytes:
    """Of equal length whatever the key, so that comparing takes equally long."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
