"""A ResponsesApp as a whole server's: under `/v1` and under `/`, behind a key, with health.

What a host application would decide (who may enter, how to end) is decided here; the API itself is
in `app.py`.
"""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from responses_mw.app import ResponsesApp
from responses_mw.cli.drain import Drain
from responses_mw.cli.gate import Gate
from responses_mw.errors import NotFound, ResponsesError
from responses_mw.http import json_response, on_error
from stores.base import StoreError


class Standalone:
    """ASGI. `key` None: only this machine may ask."""

    def __init__(self, responses: ResponsesApp, *, key: str | None) -> None:
        self._responses = responses
        own = [
            Route("/health/live", self.live, methods=["GET"]),
            Route("/health/ready", self.ready, methods=["GET"]),
            Route("/models", self.models, methods=["GET"]),
            Route("/models/{name:path}", self.model, methods=["GET"]),
        ]
        api = [*own, Mount("", responses)]
        app = Starlette(
            routes=[Mount("/v1", routes=api), Mount("", routes=api)],
            lifespan=self._lifespan,
            exception_handlers={
                ResponsesError: on_error,
                HTTPException: on_error,
                Exception: on_error,
            },
        )
        self._drain = Drain(Gate(app, key=key), patience_s=responses.settings.drain_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._drain(scope, receive, send)

    async def live(self, request: Request) -> Response:
        return json_response({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """503 while the store does not answer, and once the server was told to end."""
        if self._drain.draining:
            return json_response({"status": "draining"}, status=503)
        try:
            # Any answer will do; no response has this id.
            await self._responses.store.get("ready", owner="ready")
        except StoreError:
            return json_response({"status": "the store does not answer"}, status=503)
        return json_response({"status": "ok"})

    async def models(self, request: Request) -> Response:
        return json_response(
            {"object": "list", "data": [_model(name) for name in self._responses.models]}
        )

    async def model(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._responses.models:
            raise NotFound(f"The model {name[:100]!r} does not exist.", code="model_not_found")
        return json_response(_model(name))

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        async with self._responses.lifespan(), self._drain.heeding_signals():
            yield


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "responses-mw"}
