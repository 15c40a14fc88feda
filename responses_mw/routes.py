"""The routes of responses: requests become service calls, answers become JSON or events."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from responses_mw.checks import shortened
from responses_mw.generation import Generation
from responses_mw.http import (
    EventStream,
    caller_of,
    cursor,
    descending,
    flag,
    header_safe,
    include,
    json_response,
    limit,
    read_body,
    watch,
)
from responses_mw.ids import new_id
from responses_mw.included import shown
from responses_mw.schema import CreateRequest
from responses_mw.service import Service
from responses_mw.usage import dollars

Entrance = Callable[[HTTPConnection], Awaitable[tuple[Service, str]]]
"""Opens what must be open and says whose request this is. Raises Unauthorized."""


class ResponseRoutes:
    """The routes of one application; `entrance` leads to its service."""

    def __init__(self, entrance: Entrance, *, max_body_bytes: int) -> None:
        self._entrance = entrance
        self._max_body_bytes = max_body_bytes

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/responses", self.create, methods=["POST"]),
            Route("/responses/{id}", self.get, methods=["GET"]),
            Route("/responses/{id}", self.delete, methods=["DELETE"]),
            Route("/responses/{id}/cancel", self.cancel, methods=["POST"]),
            Route("/responses/{id}/input_items", self.input_items, methods=["GET"]),
        ]

    async def create(self, request: Request) -> Response:
        service, owner = await self._entrance(request)
        asked = CreateRequest.parse(await read_body(request, limit=self._max_body_bytes))
        caller = caller_of(request, owner)
        generation = await service.create(asked, owner=owner, caller=caller)
        if asked.background:
            await generation.reserved()
            if asked.stream:
                return EventStream(generation.listen(), headers=headers_of(generation))
            return json_response(generation.as_created, headers=headers_of(generation))
        if not asked.stream:
            response = await _unless_left(generation, generation.result(), request)
            cost = cost_headers(generation.noted.cost_nano)
            return json_response(response, headers={**headers_of(generation), **cost})
        return await _streamed(generation, request)

    async def get(self, request: Request) -> Response:
        service, owner = await self._entrance(request)
        id, query = request.path_params["id"], request.query_params
        include(query)
        after = cursor(query.get("starting_after"))
        if not flag("stream", query.get("stream", "false")):
            response, cost = await service.read(id, owner=owner)
            return json_response(response, headers=cost_headers(cost))
        heard = await service.tell(id, owner=owner, after=after)
        return EventStream(heard, headers={"x-request-id": new_id("req")})

    async def cancel(self, request: Request) -> Response:
        service, owner = await self._entrance(request)
        return json_response(await service.cancel(request.path_params["id"], owner=owner))

    async def delete(self, request: Request) -> Response:
        service, owner = await self._entrance(request)
        return json_response(await service.delete(request.path_params["id"], owner=owner))

    async def input_items(self, request: Request) -> Response:
        service, owner = await self._entrance(request)
        query = request.query_params
        page = await service.input_items(
            request.path_params["id"],
            owner=owner,
            limit=limit(query.get("limit", "20")),
            descending=descending(query.get("order", "desc")),
            after=query.get("after"),
        )
        return json_response({**page, "data": shown(page["data"], include(query))})


def headers_of(generation: Generation) -> dict[str, str]:
    """Who answers and what was done to the turn, as far as it is known."""
    headers = {"x-request-id": new_id("req")}
    if generation.deployment is not None:
        headers["x-responses-mw-deployment"] = generation.deployment
        headers["x-litellm-model-id"] = generation.deployment
    if generation.noted.fallback is not None:
        headers["x-responses-mw-fallback"] = generation.noted.fallback
    if generation.dropped:
        # Proxies take a few kilobytes of headers; a thousand tools may each have dropped one.
        headers["x-responses-mw-dropped"] = shortened(",".join(generation.dropped), 2000)
    return header_safe({**headers, **generation.notes})


def cost_headers(nano: int | None) -> dict[str, str]:
    """In dollars; none while the cost is unknown, because of a price or because it still runs."""
    if nano is None:
        return {}
    return {"x-response-cost": dollars(nano), "x-litellm-response-cost": dollars(nano)}


async def _streamed(generation: Generation, request: Request) -> EventStream:
    """Raises what happened before the answer began."""
    listener = generation.listen()

    def leave() -> None:
        generation.leave(listener)

    watching = asyncio.create_task(watch(request.receive, leave))
    try:
        await generation.accepted()
    except BaseException as error:
        watching.cancel()
        if isinstance(error, asyncio.CancelledError):
            leave()
        raise
    headers = headers_of(generation)
    return EventStream(listener, leave=leave, headers=headers, watching=watching)


async def _unless_left(generation: Generation, waiting: Awaitable[Any], request: Request) -> Any:
    """Tells the generation if its client leaves before the answer begins."""
    watching = asyncio.create_task(watch(request.receive, generation.leave))
    try:
        return await waiting
    except asyncio.CancelledError:
        generation.leave()
        raise
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
