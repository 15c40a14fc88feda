"""The WebSocket on /responses: one client says `response.create`, its turns are answered in order.

What a connection takes, remembers and outlives is decided here; what a response is, elsewhere.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from responses_mw import checks
from responses_mw.errors import BodyTooLarge, InvalidRequest, ResponsesError
from responses_mw.generation import Generation
from responses_mw.http import caller_of, json_response
from responses_mw.inbox import Inbox
from responses_mw.json_body import decoded
from responses_mw.keys import look_again
from responses_mw.listening import Listener
from responses_mw.output_items import singly
from responses_mw.replay import TERMINAL
from responses_mw.routes import Entrance
from responses_mw.schema import CreateRequest
from responses_mw.service import Service
from responses_mw.settings import Settings
from stores.base import History

_GOING_AWAY = 1001
_TOGETHER = 32
"""Events that are sent under one clock: setting it takes as long as sending one of them."""
_TERMINAL = frozenset(f"response.{status}" for status in TERMINAL)
_ELSEWHERE = {
    "stream": "events are always streamed here",
    "stream_options": "events are always streamed here",
    "background": "ask for it over HTTP",
    "stream_id": "there are no lanes: open another connection",
}
"""Parameters that have no place in a message, and why."""
_NEEDLESS = {"stream": True}
"""Values of those that say what happens anyway. Codex sends them."""


class OriginRefused(InvalidRequest):
    status = 403
    code = "origin_not_allowed"


class ConnectionExpired(InvalidRequest):
    code = "websocket_connection_limit_reached"


class ConnectionIdle(InvalidRequest):
    status = 408
    code = "websocket_idle_timeout"


class Draining(ResponsesError):
    """The process is told to end: it finishes what it began, and begins nothing."""

    status = 503
    code = "server_draining"

    def __init__(self) -> None:
        super().__init__("The server is shutting down; try again.", headers={"Retry-After": "1"})


class SocketRoutes:
    """The route of one application; `entrance` leads to its service."""

    def __init__(self, entrance: Entrance, settings: Settings) -> None:
        self._entrance = entrance
        self._settings = settings
        self._connections: set[Connection] = set()
        self._draining = False

    def routes(self) -> list[BaseRoute]:
        return [WebSocketRoute("/responses", self.connect)]

    async def connect(self, socket: WebSocket) -> None:
        try:
            _check_origin(socket, self._settings.socket_origins)
            service, owner = await self._entrance(socket)
        except ResponsesError as error:
            await refuse(socket, error)
            return
        connection = Connection(socket, service, owner, self._settings)
        self._connections.add(connection)
        if self._draining:
            connection.drain()
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)

    def drain(self) -> None:
        """Idle connections are closed now, the others after the turn under way."""
        self._draining = True
        for connection in self._connections:
            connection.drain()


@dataclass(frozen=True, slots=True)
class Message:
    """A `response.create`. `generate` False: the turn gets no output, only an id."""

    request: CreateRequest
    generate: bool

    @classmethod
    def of(cls, body: dict[str, Any]) -> "Message":
        """Raises InvalidRequest."""
        match body.get("type"):
            case "response.create":
                pass
            case None:
                raise checks.missing("type").error()
            case "response.steer":
                raise InvalidRequest(
                    "response.steer is not supported; send a response.create when the response has "
                    "ended.",
                    param="type",
                    code=checks.UNSUPPORTED,
                )
            case other:
                raise checks.not_among("type", other, ["response.create"]).error()
        for name, reason in _ELSEWHERE.items():
            given = body.get(name)
            if given is not None and given is not _NEEDLESS.get(name):
                message = f"'{name}' has no place in a WebSocket message: {reason}."
                raise InvalidRequest(message, param=name, code=checks.UNSUPPORTED)
        generate = body.get("generate")
        if generate is not None and not isinstance(generate, bool):
            raise checks.wrong_type("generate", generate, "a boolean").error()
        left_out = {"type", "generate", *_ELSEWHERE}
        asked = {name: value for name, value in body.items() if name not in left_out}
        if generate is False:
            asked.setdefault("input", [])
        return cls(CreateRequest.of({**asked, "stream": True}), generate is not False)


class Connection:
    """One accepted client. Of its responses that are not stored, the latest can be continued, and
    here only."""

    def __init__(self, socket: WebSocket, service: Service, owner: str, settings: Settings) -> None:
        self._socket = socket
        self._service = service
        self._owner = owner
        self._settings = settings
        self._inbox = Inbox(messages=settings.socket_queue, size=settings.max_body_bytes)
        self._remembered: tuple[str, History] | None = None
        self._running: tuple[Generation, Listener] | None = None
        self._draining = False

    async def run(self) -> None:
        """Returns when the client has left or was sent away."""
        await self._socket.accept()
        reading = asyncio.create_task(self._read())
        try:
            await self._serve()
        except WebSocketDisconnect:
            pass
        finally:
            self._leave()
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading

    def drain(self) -> None:
        self._draining = True
        self._inbox.end()

    # --- what comes in

    async def _read(self) -> None:
        """Reads on while a turn is answered, so that a client that leaves is noticed."""
        try:
            while (message := await self._socket.receive())["type"] == "websocket.receive":
                try:
                    self._inbox.put(self._said(message))
                except ResponsesError as refused:
                    await self._send(_error_event(refused))
        except WebSocketDisconnect:
            pass
        finally:
            self._inbox.close()
            # A generation made at this moment takes its first step: without it, it never ends.
            await asyncio.sleep(0)
            self._leave()

    def _said(self, message: Any) -> bytes:
        text, limit = message.get("text"), self._settings.max_body_bytes
        said: bytes = message["bytes"] if text is None else text.encode("utf-8", "surrogatepass")
        if len(said) > limit:
            raise BodyTooLarge(f"The message is larger than {limit} bytes.")
        return said

    # --- answering

    async def _serve(self) -> None:
        now = asyncio.get_running_loop().time
        end = now() + self._settings.socket_limit_s
        try:
            while (message := await self._next(end - now())) is not None:
                await self._answer(message)
            if self._draining and not self._inbox.closed:
                raise Draining
        except (ConnectionExpired, ConnectionIdle, Draining) as over:
            await self._send(_error_event(over))
            await self._socket.close(_GOING_AWAY, over.message)

    async def _next(self, left: float) -> bytes | None:
        """None when the client has gone. `left` are the seconds until no turn is begun any more."""
        limit, idle = self._settings.socket_limit_s, self._settings.socket_idle_s
        if left > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, idle)):
                    return await self._inbox.take()
        if left > idle:
            raise ConnectionIdle(f"Nothing was asked for {idle:g} seconds; connect again to go on.")
        raise ConnectionExpired(
            f"The connection has reached its limit of {limit:g} seconds; connect again to go on."
        )

    async def _answer(self, message: bytes) -> None:
        named = None
        try:
            body = decoded(message)
            if not isinstance(body, dict):
                raise InvalidRequest(
                    f"A message must be a JSON object, not {checks.kind(body)}.",
                    code=checks.INVALID_TYPE,
                )
            named = body.get("previous_response_id")
            await self._turn(Message.of(body))
        except ResponsesError as error:
            if self._remembers(named):
                self._remembered = None
            await self._send(_error_event(error))

    async def _turn(self, message: Message) -> None:
        request = message.request
        await look_again(self._socket)
        generation = await self._service.create(
            request,
            owner=self._owner,
            caller=caller_of(self._socket, self._owner),
            remembered=self._recall(request),
            generate=message.generate,
        )
        listener = generation.listen()
        self._running = generation, listener
        try:
            if self._inbox.closed:
                return
            await generation.accepted()
            await self._tell(listener)
        finally:
            self._leave()
        self._remembered = None if request.store else (generation.id, generation.history)

    async def _tell(self, listener: Listener) -> None:
        last = ""
        async for events in listener.batches():
            single = singly(events or ())
            for start in range(0, len(single), _TOGETHER):
                await self._send(*single[start : start + _TOGETHER])
            if single:
                last = single[-1]["type"]
        if last not in _TERMINAL:
            raise ResponsesError(
                "The response was stopped before its end: it was deleted, or the server is ending.",
                code="response_cancelled",
            )

    async def _send(self, *events: dict[str, Any]) -> None:
        """Waits until the client can take them. Raises WebSocketDisconnect."""
        try:
            async with asyncio.timeout(self._settings.socket_idle_s):
                for event in events:
                    await self._socket.send_text(orjson.dumps(event).decode())
        except (TimeoutError, RuntimeError) as error:
            # Servers raise RuntimeError where they have closed the connection themselves.
            raise WebSocketDisconnect(1006) from error

    # --- what is remembered

    def _remembers(self, id: Any) -> bool:
        return self._remembered is not None and self._remembered[0] == id

    def _recall(self, request: CreateRequest) -> History | None:
        if self._remembered is None or self._remembered[0] != request.previous_response_id:
            return None
        if request.store:
            raise InvalidRequest(
                f"Response '{request.previous_response_id}' was not stored, so what continues it "
                "cannot be; send store: false.",
                param="store",
                code=checks.INVALID_VALUE,
            )
        return self._remembered[1]

    def _leave(self) -> None:
        """Nobody listens any more: a stored response goes on, another is stopped."""
        if self._running is not None:
            generation, listener = self._running
            self._running = None
            generation.leave(listener)


def _error_event(error: ResponsesError) -> dict[str, Any]:
    told = error.envelope()["error"]
    told["code"] = error.code or error.type  # never null here (Open Responses)
    if error.headers:
        told["headers"] = error.headers
    return {"type": "error", "status": error.status, "error": told}


def _check_origin(socket: WebSocket, allowed: tuple[str, ...]) -> None:
    """Browsers let any page open a WebSocket, cookies included, and ask nobody before."""
    origin = socket.headers.get("origin")
    if origin is None or origin in allowed or "*" in allowed:
        return
    try:
        page = urlsplit(origin).netloc.lower()
    except ValueError:
        page = ""
    if not page or page != socket.headers.get("host", "").lower():
        raise OriginRefused(
            f"Pages of {origin[:100]!r} may not connect; allow them with "
            "Settings(socket_origins=...)."
        )


async def refuse(socket: WebSocket, error: ResponsesError) -> None:
    """Before it is accepted: with the error's own status where the server can say it, else 403."""
    if "websocket.http.response" in socket.scope.get("extensions", {}):
        response = json_response(error.envelope(), status=error.status, headers=error.headers)
        await socket.send_denial_response(response)
    else:
        await socket.close(1008, error.message)
