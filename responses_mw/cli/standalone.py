"""A ResponsesApp as a whole server's: under `/v1` and under `/`, behind a key, ended gently.

What a host application would decide (who may enter, how to end) is decided here; the API itself is
in `app.py`.
"""

import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from responses_mw.app import ResponsesApp
from responses_mw.cli.drain import Drain
from responses_mw.cli.gate import METRICS_PATHS, OPEN_PATHS, Gate
from responses_mw.keys import KeyRing
from responses_mw.store_errors import unavailable
from stores.accounts import StoredKey
from stores.base import StoreError

_ROOT = "/v1"
_AZURES = "/openai/v1"
_ALSO = {
    "/health/liveliness": "/health/live",
    "/health/liveness": "/health/live",
    "/health/readiness": "/health/ready",
}
"""What probes that were written for LiteLLM ask."""


class Standalone:
    """ASGI. `key` None: only this machine may ask."""

    def __init__(self, responses: ResponsesApp, *, key: str | None) -> None:
        self._responses = responses
        self._keys = KeyRing(responses.store)
        self._living = Starlette(lifespan=self._lifespan)
        settings = responses.settings
        if key is not None and settings.metrics and settings.metrics_key is None:
            open_paths = OPEN_PATHS | METRICS_PATHS
        else:
            open_paths = OPEN_PATHS
        gate = Gate(self._mounted, key=key, find=self._find, open_paths=open_paths)
        self._drain = Drain(gate, patience_s=responses.settings.drain_s, begun=responses.drain)
        trusted = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1")
        drain: Any = self._drain  # uvicorn has types of its own for the same three arguments
        self._forwarded: Any = ProxyHeadersMiddleware(drain, trusted_hosts=trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        also = _ALSO.get(scope.get("path", ""))
        if also is not None:
            scope = {**scope, "path": also}
        # Reading addresses costs as much as finding a route does.
        through_proxy = any(
            name.startswith(b"x-forwarded-") for name, _ in scope.get("headers", ())
        )
        await (self._forwarded if through_proxy else self._drain)(scope, receive, send)

    async def _mounted(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Two Mounts would do, for a tenth of what a short answer costs.
        if scope["type"] == "lifespan":
            await self._living(scope, receive, send)
            return
        path = scope["path"]
        if path.startswith(_ROOT + "/"):
            scope = _under(_ROOT, scope)
        elif path.startswith(_AZURES + "/"):
            scope = _under(_AZURES, scope)
        await self._responses(scope, receive, send)

    async def _find(self, secret: str) -> StoredKey | None:
        try:
            await self._responses.open()
            return await self._keys.find(secret)
        except StoreError as error:
            raise unavailable(error) from error

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        async with self._responses.lifespan(), self._drain.heeding_signals():
            yield


def _under(prefix: str, scope: Scope) -> Scope:
    root = scope.get("root_path", "") + prefix
    return {**scope, "root_path": root, "app_root_path": root}
