"""The routes `/responses/input_tokens` and `/responses/compact`."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from responses_mw.aside_schema import compact_request, count_request
from responses_mw.asides import Asides
from responses_mw.http import caller_of, json_response, read_body, watch
from responses_mw.routes import Entrance

ESTIMATED = {"x-responses-mw-estimated": "input_tokens"}
_CLIENT_LEFT = 499
"""Nobody reads it; nginx's logs know it by this number."""


class AsideRoutes:
    def __init__(self, entrance: Entrance, *, max_body_bytes: int) -> None:
        self._entrance = entrance
        self._max_body_bytes = max_body_bytes

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/responses/input_tokens", self.count, methods=["POST"]),
            Route("/responses/compact", self.compact, methods=["POST"]),
        ]

    async def count(self, request: Request) -> Response:
        asides = await self._asides(request)
        asked = count_request(await self._body(request) or b"{}")
        answer, estimated = await asides.count(asked)
        return json_response(answer, headers=ESTIMATED if estimated else None)

    async def compact(self, request: Request) -> Response:
        asides = await self._asides(request)
        asked = compact_request(await self._body(request))
        return await _unless_left(asides.compact(asked), request)

    async def _asides(self, request: Request) -> Asides:
        service, owner = await self._entrance(request)
        return Asides(service.runtime, caller_of(request, owner))

    async def _body(self, request: Request) -> bytes:
        return await read_body(request, limit=self._max_body_bytes)


async def _unless_left(work: Coroutine[Any, Any, dict[str, Any]], request: Request) -> Response:
    """Stops what nobody waits for any more."""
    working = asyncio.create_task(work)
    left = asyncio.create_task(watch(request.receive, lambda: None))
    try:
        await asyncio.wait((working, left), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            return Response(status_code=_CLIENT_LEFT)
        return json_response(working.result())
    finally:
        for task in (working, left):
            if not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
