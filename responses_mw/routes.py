"""HTTP in and out: requests become service calls, answers become JSON or server-sent events.

Errors leave here in the OpenAI envelope, framework ones included.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from responses_mw.errors import BodyTooLarge, InvalidRequest, ResponsesError
from responses_mw.generation import Generation
from responses_mw.ids import new_id
from responses_mw.output_items import Event
from responses_mw.schema import CreateRequest
from responses_mw.service import Service

logger = logging.getLogger("responses_mw")

Entrance = Callable[[HTTPConnection], Awaitable[tuple[Service, str]]]
"""Opens what must be open and says whose request this is. Raises Unauthorized."""

_STREAM_HEADERS = {
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",  # nginx would hold events back
    "connection": "keep-alive",
}
_KEEP_ALIVE = b": keep-alive\n\n"
_DONE = b"data: [DONE]\n\n"


class ResponseRoutes:
    """The routes of one application; `entrance` leads to its service."""

    def __init__(self, entrance: Entrance, *, max_body_bytes: int) -> None:
        self._entrance = entrance
        self._max_body_bytes = max_body_bytes

    def routes(self) -> list[Route]:
        return [
            Route("/responses", self.create, methods=["POST"]),
            Route("/responses/{id}", self.get, methods=["GET"]),
            Route("/responses/{id}", self.delete, methods=["DELETE"]),
            Route("/responses/{id}/cancel", self.cancel, methods=["POST"]),
            Route("/responses/{id}/input_items", self.input_items, methods=["GET"]),
        ]

    async def create(self, request: Request) -> Response:
        service, owner = await self._entrance(request)
        asked = CreateRequest.parse(await self._body(request))
        generation = await service.create(asked, owner=owner)
        if asked.background:
            await generation.reserved()
            if asked.stream:
                return EventStream(generation.listen(), headers=_headers(generation))
            return json_response(generation.as_created, headers=_headers(generation))
        if not asked.stream:
            response = await _unless_left(generation, generation.result(), request)
            return json_response(response, headers=_headers(generation))
        listener = generation.listen()
        await _unless_left(generation, generation.accepted(), request)
        return EventStream(
            listener, leave=lambda: generation.leave(listener), headers=_headers(generation)
        )

    async def get(self, request: Request) -> Response:
        service, owner = await self._entrance(request)
        id, query = request.path_params["id"], request.query_params
        if query.get("stream", "false") not in ("true", "1"):
            return json_response(await service.get(id, owner=owner))
        heard = await service.tell(id, owner=owner, after=_cursor(query.get("starting_after")))
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
            limit=_limit(query.get("limit", "20")),
            descending=_descending(query.get("order", "desc")),
            after=query.get("after"),
        )
        return json_response(page)

    async def _body(self, request: Request) -> bytes:
        """Refuses a body that is too large before it is read whole."""
        announced = request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > self._max_body_bytes:
            raise self._too_large()
        chunks: list[bytes] = []
        size = 0
        async for chunk in request.stream():
            chunks.append(chunk)
            size += len(chunk)
            if size > self._max_body_bytes:
                raise self._too_large()
        return b"".join(chunks)

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"The request body is larger than {self._max_body_bytes} bytes.")


class Heard(Protocol):
    def batches(self) -> AsyncIterator[list[Event] | None]: ...

    def leave(self) -> None:
        """Ends `batches`."""
        ...


class EventStream(Response):
    """Sends events as they come, each whole in one chunk and several at a time. `leave` is called
    if the client goes before their end, and must end them."""

    def __init__(
        self, heard: Heard, *, headers: dict[str, str], leave: Callable[[], None] | None = None
    ) -> None:
        self._heard = heard
        self._leave = leave or heard.leave
        self.status_code = 200
        self.background = None
        self.media_type = "text/event-stream"
        self.init_headers({**_STREAM_HEADERS, **headers})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        watch = asyncio.create_task(_watch(receive, self._leave))
        try:
            await send(start)
            async for events in self._heard.batches():
                body = _KEEP_ALIVE if events is None else encode_events(events)
                await send({"type": "http.response.body", "body": body, "more_body": True})
            await send({"type": "http.response.body", "body": _DONE})
        except (asyncio.CancelledError, OSError):
            self._leave()
            raise
        finally:
            watch.cancel()


def encode_events(events: list[Event]) -> bytes:
    pieces: list[bytes] = []
    for event in events:
        pieces += (b"event: ", event["type"].encode(), b"\ndata: ", orjson.dumps(event), b"\n\n")
    return b"".join(pieces)


def json_response(
    body: Any, *, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    return Response(orjson.dumps(body), status, headers, media_type="application/json")


async def on_error(request: Request, error: Exception) -> Response:
    """Every error, the framework's included, in the envelope that clients parse."""
    match error:
        case ResponsesError():
            known = error
        case HTTPException():
            known = _of_framework(request, error)
        case _:
            known = ResponsesError("The server had an error while processing the request.")
    headers = {**known.headers, "x-request-id": new_id("req")}
    return json_response(known.envelope(), status=known.status, headers=headers)


def _of_framework(request: Request, error: HTTPException) -> ResponsesError:
    place = f"{request.method} {request.url.path[:200]}"
    known = InvalidRequest(
        f"{error.detail}: {place}" if error.status_code in (404, 405) else error.detail,
        code="unknown_url" if error.status_code == 404 else None,
        headers=dict(error.headers or {}),
    )
    known.status = error.status_code
    return known


def _headers(generation: Generation) -> dict[str, str]:
    headers = {"x-request-id": new_id("req")}
    if generation.deployment is not None:
        headers["x-responses-mw-deployment"] = generation.deployment
        headers["x-litellm-model-id"] = generation.deployment
    if generation.dropped:
        headers["x-responses-mw-dropped"] = ",".join(generation.dropped)
    return headers


async def _watch(receive: Receive, leave: Callable[[], None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    leave()


async def _unless_left(generation: Generation, waiting: Awaitable[Any], request: Request) -> Any:
    """Tells the generation if its client leaves before the answer begins."""
    watch = asyncio.create_task(_watch(request.receive, generation.leave))
    try:
        return await waiting
    except asyncio.CancelledError:
        generation.leave()
        raise
    finally:
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch


def _cursor(text: str | None) -> int:
    if text is None:
        return -1
    if text.isascii() and text.isdigit() and len(text) < 16:
        return int(text)
    raise InvalidRequest(
        f"starting_after must be the sequence_number of an event, not {text[:20]!r}.",
        param="starting_after",
        code="invalid_value",
    )


def _limit(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text[:4]) <= 100:
        return int(text)
    raise InvalidRequest(
        f"limit must be a whole number from 1 to 100, not {text[:20]!r}.",
        param="limit",
        code="invalid_value",
    )


def _descending(text: str) -> bool:
    if text in ("asc", "desc"):
        return text == "desc"
    raise InvalidRequest(
        f"order must be 'asc' or 'desc', not {text[:20]!r}.", param="order", code="invalid_value"
    )
