"""The route of Prometheus: whether there is one, and who may read it."""

import hmac
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from responses_mw.errors import NotFound, Unauthorized


class Metrics(Protocol):
    content_type: str

    def exposed(self) -> bytes: ...


class MetricsRoutes:
    """`metrics` None: they are off. `key` None: open to whoever reaches the application."""

    def __init__(self, metrics: Metrics | None, *, key: str | None) -> None:
        self._metrics = metrics
        self._key = key

    def routes(self) -> list[BaseRoute]:
        return [Route("/metrics", self.metrics, methods=["GET"])]

    async def metrics(self, request: Request) -> Response:
        """Of everybody's responses together: not for those whom `owner` lets in."""
        if self._metrics is None:
            raise NotFound("Metrics are off; Settings(metrics=True) turns them on.")
        if self._key is not None and not _carries(request, self._key):
            message = "The metrics need their own key, as `Authorization: Bearer KEY`."
            raise Unauthorized(message, headers={"www-authenticate": "Bearer"})
        return Response(self._metrics.exposed(), media_type=self._metrics.content_type)


def _carries(request: Request, key: str) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    found = given.strip().encode("utf-8", "surrogateescape")
    return scheme.lower() == "bearer" and hmac.compare_digest(found, key.encode())
