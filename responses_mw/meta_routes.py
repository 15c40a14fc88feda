"""The routes about the application itself: its models, its health, its own description.

Who may ask for a response may ask for the models; health and description are open to whoever
reaches the application.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from responses_mw.errors import NotFound
from responses_mw.http import json_response
from responses_mw.keys import bearer_of, may_ask_for
from stores.base import SessionStore, StoreError


class Application(Protocol):
    store: SessionStore
    draining: bool

    @property
    def models(self) -> list[str]: ...

    def serves(self, model: str) -> bool: ...

    @property
    def health(self) -> Mapping[str, str]: ...

    def openapi(self, *, server: str | None) -> dict[str, Any]: ...

    async def open(self) -> Any: ...


class MetaRoutes:
    """`owner` raises Unauthorized for a stranger."""

    def __init__(
        self, app: Application, *, owner: Callable[[HTTPConnection], Awaitable[str]]
    ) -> None:
        self._app = app
        self._owner = owner

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/models", self.models, methods=["GET"]),
            Route("/models/{name:path}", self.model, methods=["GET"]),
            Route("/health/live", self.live, methods=["GET"]),
            Route("/health/ready", self.ready, methods=["GET"]),
            Route("/openapi.json", self.openapi, methods=["GET"]),
        ]

    async def models(self, request: Request) -> Response:
        await self._owner(request)
        data = [_model(name) for name in self._app.models if _may_ask_for(request, name)]
        return json_response({"object": "list", "data": data})

    async def model(self, request: Request) -> Response:
        await self._owner(request)
        name = request.path_params["name"]
        if not self._app.serves(name) or not _may_ask_for(request, name):
            raise NotFound(f"The model {name[:100]!r} does not exist.", code="model_not_found")
        return json_response(_model(name))

    async def live(self, request: Request) -> Response:
        return json_response({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """503 while the store does not answer, and once the server was told to end."""
        if self._app.draining:
            return json_response({"status": "draining"}, status=503)
        try:
            await self._app.open()
            # Any answer will do; no response has this id.
            await self._app.store.get("ready", owner="ready")
        except StoreError:
            return json_response({"status": "the store does not answer"}, status=503)
        # How many are healthy, cooling, probing: their names are for those who have a key.
        return json_response({"status": "ok", "deployments": Counter(self._app.health.values())})

    async def openapi(self, request: Request) -> Response:
        return json_response(self._app.openapi(server=request.scope.get("root_path") or "/"))


def _may_ask_for(request: Request, name: str) -> bool:
    bearer = bearer_of(request)
    return bearer is None or bearer.key is None or may_ask_for(bearer.key.models, name)


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "responses-mw"}
