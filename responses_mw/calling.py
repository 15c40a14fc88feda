"""The calls of the Responses API from Python: the same service as behind the routes, and no server.

Each call has a form that blocks and one, beginning with `a`, to be awaited. Both run on one event
loop in a thread of its own: they work in any thread, inside any running loop, and what is generated
outlives the loop that asked. What a request means is decided elsewhere; who answers it, by those
who make `Calls` whole.
"""

import asyncio
import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, overload

import orjson

from responses_mw import http, router
from responses_mw.app import SINGLE_TENANT
from responses_mw.aside_schema import compact_request
from responses_mw.asides import Asides
from responses_mw.call_options import CallOptions
from responses_mw.errors import InvalidRequest
from responses_mw.generation import Generation
from responses_mw.heard import AsyncEventStream, Ear, EventStream
from responses_mw.included import check_include, shown
from responses_mw.loop_thread import LoopThread
from responses_mw.preparation import kept
from responses_mw.records import Caller
from responses_mw.routes import cost_headers, headers_of
from responses_mw.runtime import Runtime
from responses_mw.schema import CreateRequest
from responses_mw.service import Service
from responses_mw.turn import Turn
from responses_mw.typed import Reply, Response, plain


class Calls(ABC):
    """`responses` takes the parameters of the API as keywords and, besides them, `api_key`,
    `api_base`, `extra_headers`, `extra_body`, `timeout` (seconds), `num_retries`, `session_id` (for
    `session_affinity` and the record of the turn), `drop_params` (False: what a provider cannot
    express is an error) and `mock_response` (an answer as `ScriptedProvider` takes it; nobody is
    asked).

    Raised are the errors of `responses_mw.errors`, which have `status` and `code` as over HTTP.
    """

    def __init__(self) -> None:
        self._thread = LoopThread(self._end, name="responses-mw calls")

    # --- creating

    @overload
    def responses(self, *, stream: Literal[True], **asked: Any) -> EventStream: ...
    @overload
    def responses(self, *, stream: Literal[False] | None = None, **asked: Any) -> Response: ...
    def responses(self, *, stream: bool | None = None, **asked: Any) -> Response | EventStream:
        """With `stream=True` the events, as they come."""
        made = self._thread.run(self._create({**asked, "stream": stream}))
        return EventStream(made, self._thread) if isinstance(made, Ear) else made

    @overload
    async def aresponses(self, *, stream: Literal[True], **asked: Any) -> AsyncEventStream: ...
    @overload
    async def aresponses(
        self, *, stream: Literal[False] | None = None, **asked: Any
    ) -> Response: ...
    async def aresponses(
        self, *, stream: bool | None = None, **asked: Any
    ) -> Response | AsyncEventStream:
        made = await self._thread.arun(self._create({**asked, "stream": stream}))
        return AsyncEventStream(made, self._thread) if isinstance(made, Ear) else made

    def compact_responses(self, **asked: Any) -> Reply:
        """`model`, and `input` or `previous_response_id`: what a conversation comes down to."""
        return self._thread.run(self._compact(asked))

    async def acompact_responses(self, **asked: Any) -> Reply:
        return await self._thread.arun(self._compact(asked))

    # --- what there is

    @overload
    def get_responses(
        self, response_id: str, *, stream: Literal[True], starting_after: int | None = None
    ) -> EventStream: ...
    @overload
    def get_responses(self, response_id: str, *, stream: Literal[False] = False) -> Response: ...
    def get_responses(
        self, response_id: str, *, stream: bool = False, starting_after: int | None = None
    ) -> Response | EventStream:
        """With `stream=True` its events again, those above `starting_after`, and those to come."""
        found = self._thread.run(self._get(response_id, starting_after, stream=stream))
        return EventStream(found, self._thread) if isinstance(found, Ear) else found

    @overload
    async def aget_responses(
        self, response_id: str, *, stream: Literal[True], starting_after: int | None = None
    ) -> AsyncEventStream: ...
    @overload
    async def aget_responses(
        self, response_id: str, *, stream: Literal[False] = False
    ) -> Response: ...
    async def aget_responses(
        self, response_id: str, *, stream: bool = False, starting_after: int | None = None
    ) -> Response | AsyncEventStream:
        found = await self._thread.arun(self._get(response_id, starting_after, stream=stream))
        return AsyncEventStream(found, self._thread) if isinstance(found, Ear) else found

    def delete_responses(self, response_id: str) -> Reply:
        return self._thread.run(self._delete(response_id))

    async def adelete_responses(self, response_id: str) -> Reply:
        return await self._thread.arun(self._delete(response_id))

    def cancel_responses(self, response_id: str) -> Response:
        """For `background=True`; answers once it has stopped."""
        return self._thread.run(self._cancel(response_id))

    async def acancel_responses(self, response_id: str) -> Response:
        return await self._thread.arun(self._cancel(response_id))

    def list_input_items(
        self,
        response_id: str,
        *,
        limit: int = 20,
        order: Literal["asc", "desc"] = "desc",
        after: str | None = None,
        include: Sequence[str] = (),
    ) -> Reply:
        """A page: `data`, `first_id`, `last_id`, `has_more`."""
        return self._thread.run(self._input_items(response_id, limit, order, after, include))

    async def alist_input_items(
        self,
        response_id: str,
        *,
        limit: int = 20,
        order: Literal["asc", "desc"] = "desc",
        after: str | None = None,
        include: Sequence[str] = (),
    ) -> Reply:
        return await self._thread.arun(self._input_items(response_id, limit, order, after, include))

    # --- ending

    def close(self) -> None:
        """Waits for the responses under way, as the end of the process does. The next call opens
        again."""
        self._thread.close()

    async def aclose(self) -> None:
        await asyncio.to_thread(self._thread.close)

    # --- in the thread

    @abstractmethod
    async def _runtime(self) -> Runtime: ...

    @abstractmethod
    async def _router(
        self, runtime: Runtime, model: str, options: CallOptions
    ) -> router.Router: ...

    @abstractmethod
    async def _end(self) -> None: ...

    async def _service(self) -> Service:
        return Service(await kept(self._runtime()))

    async def _create(self, asked: dict[str, Any]) -> Response | Ear:
        options = CallOptions.taken_from(asked)
        request = CreateRequest.parse(_json(asked))
        service = Service(await self._asking(request.model, options))
        generation = await service.create(request, owner=SINGLE_TENANT, caller=_caller(options))
        if request.background:
            return await _detached(generation, stream=request.stream)
        if request.stream:
            return await _begun(generation)
        try:
            result = await generation.result()
            cost = cost_headers(generation.noted.cost_nano)
            return Response(result, {**headers_of(generation), **cost})
        except asyncio.CancelledError:
            generation.leave()
            raise

    async def _compact(self, asked: dict[str, Any]) -> Reply:
        options = CallOptions.taken_from(asked)
        request = compact_request(_json(asked))
        runtime = await self._asking(request.model, options)
        return Reply(await Asides(runtime, _caller(options)).compact(request))

    async def _asking(self, model: str, options: CallOptions) -> Runtime:
        """The runtime as this call sees it: with its own router, hooks and settings, and the same
        work, store and upkeep as everybody's."""
        runtime = await kept(self._runtime())
        view = copy.copy(runtime)
        if options.mock is not None:
            view.router = _scripted(model, options.mock)
        elif model:  # else it is in a prompt
            view.router = await self._router(runtime, model, options)
        if options.headers or options.body:
            view.hooks = runtime.hooks.with_last(_Extras(options.headers, options.body))
        if options.drop_params is not None:
            view.settings = replace(runtime.settings, strict=not options.drop_params)
        return view

    async def _get(self, id: str, after: int | None, *, stream: bool) -> Response | Ear:
        service = await self._service()
        if not stream:
            return Response(await service.get(id, owner=SINGLE_TENANT))
        number = http.cursor(None if after is None else str(after))
        heard = await service.tell(id, owner=SINGLE_TENANT, after=number)
        return Ear(heard, headers={})

    async def _delete(self, id: str) -> Reply:
        return Reply(await (await self._service()).delete(id, owner=SINGLE_TENANT))

    async def _cancel(self, id: str) -> Response:
        return Response(await (await self._service()).cancel(id, owner=SINGLE_TENANT))

    async def _input_items(
        self, id: str, limit: int, order: str, after: str | None, include: Sequence[str]
    ) -> Reply:
        service = await self._service()
        page = await service.input_items(
            id,
            owner=SINGLE_TENANT,
            limit=http.limit(str(limit)),
            descending=http.descending(order),
            after=after,
        )
        return Reply({**page, "data": shown(page["data"], check_include(include))})


@dataclass(frozen=True, slots=True)
class _Extras:
    """A hook: what a call adds to the upstream's request."""

    headers: Mapping[str, str]
    body: Mapping[str, Any]

    def before_turn(self, turn: Turn, _caller: Caller) -> Turn:
        return replace(
            turn,
            extra_headers={**turn.extra_headers, **self.headers},
            extra_body={**turn.extra_body, **self.body},
        )


def _scripted(model: str, answer: Any) -> router.Router:
    from responses_mw.testing import ScriptedProvider  # only who mocks needs it

    return router.Router({model: ScriptedProvider(answer)})


def _caller(options: CallOptions) -> Caller:
    return Caller(
        SINGLE_TENANT,
        session=options.session,
        tags=options.tags,
        timeout_s=options.timeout,
        retries=options.retries,
    )


def _json(asked: Mapping[str, Any]) -> bytes:
    """As a client would send it; nothing that the caller may change is kept."""
    try:
        return orjson.dumps(asked, default=plain)
    except TypeError as error:
        raise InvalidRequest(f"The request cannot be written as JSON: {error}.") from error


async def _detached(generation: Generation, *, stream: bool) -> Response | Ear:
    await generation.reserved()
    headers = headers_of(generation)
    if stream:
        return Ear(generation.listen(), headers=headers)
    return Response(generation.as_created, headers)


async def _begun(generation: Generation) -> Ear:
    """Raises what happened before the answer began."""
    listener = generation.listen()
    try:
        await generation.accepted()
    except asyncio.CancelledError:
        generation.leave(listener)
        raise
    return Ear(listener, headers=headers_of(generation), leave=lambda: generation.leave(listener))
