"""What every route needs of HTTP: bodies in, JSON and server-sent events out, errors, paging.

Errors leave here in the OpenAI envelope, framework ones included.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import orjson
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from responses_mw.errors import BodyTooLarge, InvalidRequest, ResponsesError
from responses_mw.ids import new_id
from responses_mw.included import check_include
from responses_mw.keys import bearer_of
from responses_mw.output_items import DeltaRun, Told
from responses_mw.records import Caller

_STREAM_HEADERS = {
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",  # nginx would hold events back
    "connection": "keep-alive",
}
_KEEP_ALIVE = b": keep-alive\n\n"
_DONE = b"data: [DONE]\n\n"
_SAFE = "".join(map(chr, range(0x20, 0x7F)))


async def read_body(request: Request, *, limit: int) -> bytes:
    """Refuses a body that is larger than `limit` bytes before it is read whole, and what a page of
    another site made a browser send. Raises ClientLeft."""
    headers = _by_name(request)
    _check_content(headers)
    announced = headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            chunks.append(chunk)
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
    except ClientDisconnect as left:
        raise ClientLeft("The client left before it had sent the whole body.") from left
    return b"".join(chunks)


def _check_content(headers: Mapping[str, str]) -> None:
    encoding = headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise UnsupportedContent(f"The body is encoded as {encoding[:20]!r}; send it as it is.")
    # Browsers ask the other site before they send it JSON, but not before they send it a form.
    origin = headers.get("origin")
    if origin is None or _host_of(origin) == headers.get("host"):
        return
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise UnsupportedContent(
            f"Pages of {origin[:100]!r} must send application/json, not {kind[:50]!r}."
        )


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


class UnsupportedContent(InvalidRequest):
    status = 415
    code = "unsupported_content"


class ClientLeft(InvalidRequest):
    """Nobody reads it; nginx's logs know it by this number."""

    status = 499


def header_safe(headers: Mapping[str, str]) -> dict[str, str]:
    """Names of models and deployments may have any letters; a header has those of an address."""
    return {
        name: value if value.isascii() and value.isprintable() else quote(value, safe=_SAFE)
        for name, value in headers.items()
    }


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The request body is larger than {limit} bytes.")


class Heard(Protocol):
    def batches(self) -> AsyncIterator[Sequence[Told] | None]: ...

    @property
    def over(self) -> bool:
        """Nothing will come after what was heard. It may say so only by ending `batches`."""
        ...

    def leave(self) -> None:
        """Ends `batches`."""
        ...


class EventStream(Response):
    """Sends events as they come, each whole in one chunk and several at a time. `leave` is called
    if the client goes before their end, and must end them; `watching` looks out for that already.
    """

    def __init__(
        self,
        heard: Heard,
        *,
        headers: dict[str, str],
        leave: Callable[[], None] | None = None,
        watching: "asyncio.Task[None] | None" = None,
    ) -> None:
        self._heard = heard
        self._leave = leave or heard.leave
        self._watching = watching
        self.status_code = 200
        self.background = None
        self.media_type = "text/event-stream"
        self.init_headers({**_STREAM_HEADERS, **headers})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        watching = self._watching or asyncio.create_task(watch(receive, self._leave))
        try:
            await send(start)
            over = False
            async for events in self._heard.batches():
                body = _KEEP_ALIVE if events is None else encode_events(events)
                over = self._heard.over
                if over:  # each send is a call of the operating system's
                    body += _DONE
                await send({"type": "http.response.body", "body": body, "more_body": not over})
            if not over:
                await send({"type": "http.response.body", "body": _DONE})
        except (asyncio.CancelledError, OSError):
            self._leave()
            raise
        finally:
            watching.cancel()


def encode_events(events: Iterable[Told]) -> bytes:
    return b"".join([_encoded(event) for event in events])


def _encoded(event: Told) -> bytes:
    if isinstance(event, DeltaRun):
        return event.encoded()
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event))


def json_response(
    body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Under the id that `headers` give the request, else under a new one."""
    if headers is None or "x-request-id" not in headers:
        headers = {**(headers or {}), "x-request-id": new_id("req")}
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
    return json_response(known.envelope(), status=known.status, headers=known.headers)


def _of_framework(request: Request, error: HTTPException) -> ResponsesError:
    place = f"{request.method} {request.url.path[:200]}"
    allowed = {"Allow": _allowed(request)} if error.status_code == 405 else {}
    known = InvalidRequest(
        f"{error.detail}: {place}" if error.status_code in (404, 405) else error.detail,
        code="unknown_url" if error.status_code == 404 else None,
        headers={**(error.headers or {}), **allowed},
    )
    known.status = error.status_code
    return known


def _allowed(request: Request) -> str:
    """Every method of the path; Starlette names those of one of its routes."""
    routes = (route for route in request.app.routes if isinstance(route, Route))
    found = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    own = (route.methods or set() for route in found if route.path == found[0].path)
    return ", ".join(sorted(set().union(*own)))


async def watch(receive: Receive, leave: Callable[[], None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    leave()


def cursor(text: str | None) -> int:
    if text is None:
        return -1
    if text.isascii() and text.isdigit() and len(text) < 16:
        return int(text)
    raise InvalidRequest(
        f"starting_after must be the sequence_number of an event, not {text[:20]!r}.",
        param="starting_after",
        code="invalid_value",
    )


def caller_of(connection: HTTPConnection, owner: str) -> Caller:
    """What a request's headers say about it (LiteLLM's names among them); a header that makes no
    sense says nothing."""
    headers = _by_name(connection)
    bearer = bearer_of(connection)
    key = None if bearer is None else bearer.key
    tags = headers.get("x-litellm-tags", "")
    return Caller(
        owner,
        key=None if key is None else key.id,
        models=None if key is None else key.models,
        session=headers.get("x-litellm-session-id")
        or headers.get("x-session-id")
        or headers.get("x-litellm-trace-id"),
        tags=tuple(tag.strip() for tag in tags.split(",") if tag.strip()),
        end_user=headers.get("x-litellm-end-user-id") or headers.get("x-litellm-customer-id"),
        timeout_s=_seconds(headers.get("x-litellm-timeout")),
        retries=_retries(headers.get("x-litellm-num-retries", "")),
        trace={name: headers[name] for name in ("traceparent", "tracestate") if name in headers},
    )


def _by_name(connection: HTTPConnection) -> dict[str, str]:
    """The first of each name. Starlette's looks through all of them for each that is asked for."""
    raw = reversed(connection.scope["headers"])
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}


def _retries(text: str) -> int | None:
    """As many as four digits say; the router takes no more than it allows anybody."""
    return int(text[:4]) if text.isascii() and text.isdigit() else None


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return seconds if 0 < seconds < float("inf") else None


def include(query: QueryParams) -> frozenset[str]:
    """`include[]=x` and `include=x`, any number of times. Raises InvalidRequest for unknown
    ones."""
    return check_include([*query.getlist("include[]"), *query.getlist("include")])


def flag(name: str, text: str) -> bool:
    if text in ("true", "1", "false", "0"):
        return text in ("true", "1")
    raise InvalidRequest(
        f"{name} must be 'true' or 'false', not {text[:20]!r}.", param=name, code="invalid_value"
    )


def limit(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= 100:
        return int(text)
    raise InvalidRequest(
        f"limit must be a whole number from 1 to 100, not {text[:20]!r}.",
        param="limit",
        code="invalid_value",
    )


def descending(text: str) -> bool:
    if text in ("asc", "desc"):
        return text == "desc"
    raise InvalidRequest(
        f"order must be 'asc' or 'desc', not {text[:20]!r}.", param="order", code="invalid_value"
    )
