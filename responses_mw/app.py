"""The application: a Starlette app with the Responses routes, to be mounted, wrapped or served."""

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from os import PathLike
from typing import Any, Self

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.types import Receive, Scope, Send

from responses_mw.aside_routes import AsideRoutes
from responses_mw.conversation_routes import ConversationRoutes
from responses_mw.errors import ConfigurationError, ResponsesError, Unauthorized
from responses_mw.handing_on import HandingOn
from responses_mw.hooks import Hooks
from responses_mw.http import on_error
from responses_mw.key_routes import KeyRoutes
from responses_mw.keys import bearer_of
from responses_mw.litellm_headers import UnknownHeaders
from responses_mw.meta_routes import MetaRoutes
from responses_mw.metrics import Metrics
from responses_mw.metrics_routes import MetricsRoutes
from responses_mw.preparation import kept
from responses_mw.records import Observer, Observers
from responses_mw.router import Models, Router, Routing
from responses_mw.routes import ResponseRoutes
from responses_mw.runtime import Runtime
from responses_mw.service import Service
from responses_mw.settings import Settings
from responses_mw.sockets import SocketRoutes
from responses_mw.telemetry.callbacks import Callbacks, installed
from responses_mw.telemetry.log import turn_log
from responses_mw.usage_routes import UsageRoutes
from responses_mw.watch import Watch
from stores.base import SessionStore
from stores.urls import open_store

Owner = Callable[[HTTPConnection], str | Awaitable[str | None] | None]

SINGLE_TENANT = "default"
"""Whose everything is where the host names no owner and no user is logged in."""


class ResponsesApp(Starlette):
    """`store`: a SessionStore or its URL. `owner(request)` says whose data a request may touch:
    None is a 401, an exception a 500. Without it, the host's authenticated `request.user.identity`,
    or else one owner for all.

    Mounted, it opens at the first request; with `lifespan=responses.lifespan` in the host, at
    start, and then a shutdown waits for the responses under way. Two instances share nothing but
    the store they were given.
    """

    def __init__(
        self,
        *,
        store: SessionStore | str,
        models: Models,
        owner: Owner | None = None,
        settings: Settings | None = None,
        routing: Routing | None = None,
        hooks: Sequence[Any] = (),
        callbacks: Sequence[Any] = (),
        observers: Observers = (),
    ) -> None:
        _check_kinds(store, owner)
        self.settings = settings or Settings()
        self.store = open_store(store) if isinstance(store, str) else store
        self._router = Router(models, routing)
        self._owner = owner
        self._hooks = Hooks(hooks)
        self._unknown_headers = UnknownHeaders()
        told = [*callbacks, *(installed() if self.settings.plugins else ())]
        telling = Callbacks(told) if told else None
        self._metrics = Metrics(self._router, telling) if self.settings.metrics else None
        counting = None if self._metrics is None else self._metrics.observer
        tracing = _open_telemetry() if self.settings.otel else None
        watching = (turn_log(), telling, counting, tracing, *observers)
        self._watch = Watch([observer for observer in watching if observer is not None])
        self.draining = False
        """Since `drain`: `/health/ready` then says 503."""
        self._opened: dict[asyncio.AbstractEventLoop, asyncio.Task[Runtime]] = {}
        limit = self.settings.max_body_bytes
        responses = ResponseRoutes(self._enter, max_body_bytes=limit)
        conversations = ConversationRoutes(self._enter, max_body_bytes=limit)
        asides = AsideRoutes(self._enter, max_body_bytes=limit)
        self._sockets = SocketRoutes(self._enter, self.settings)
        meta = MetaRoutes(self, owner=self._owner_of)
        self._create = responses.create
        metrics = MetricsRoutes(self._metrics, key=self.settings.metrics_key)
        super().__init__(
            routes=[
                *asides.routes(),  # before the routes of ids, which match their paths, too
                *responses.routes(),
                *conversations.routes(),
                *self._sockets.routes(),
                *meta.routes(),
                *UsageRoutes(self, owner=self._owner_of).routes(),
                *KeyRoutes(self, owner=self._owner_of).routes(),
                *metrics.routes(),
            ],
            lifespan=self.lifespan,
            exception_handlers={
                ResponsesError: on_error,
                HTTPException: on_error,
                Exception: on_error,
            },
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Turns take the short way: Starlette's takes as long as checking a request does."""
        turn = scope["type"] == "http" and scope["method"] == "POST"
        if turn and not self.user_middleware and not self.debug and _is_below(scope, "/responses"):
            scope.update(app=self, endpoint=self._create, path_params={})
            await self._turn(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def _turn(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        try:
            response = await self._create(request)
        except (ResponsesError, HTTPException) as error:
            # Its traceback leads back to itself: that would wait for the garbage collector.
            response = await on_error(request, error.with_traceback(None))
        except Exception as error:
            # Told to the client, and raised for the server to log, as Starlette does.
            await (await on_error(request, error))(scope, receive, send)
            raise
        await response(scope, receive, send)

    @classmethod
    def from_config(
        cls,
        config: "str | PathLike[str] | dict[str, Any]",
        *,
        owner: Owner | None = None,
        settings: Settings | None = None,
        store: SessionStore | str | None = None,
        hooks: Sequence[Any] = (),
        callbacks: Sequence[Any] = (),
    ) -> Self:
        """From a configuration file in LiteLLM's shape, or what it parses to. `settings` and
        `store` take the place of the file's; `hooks` and `callbacks` come after the file's."""
        from responses_mw.config import load, store_url

        loaded = load(config)
        return cls(
            store=store_url(loaded) if store is None else store,
            models=loaded.models,
            owner=owner,
            settings=settings or loaded.settings,
            routing=loaded.routing,
            hooks=[*loaded.hooks, *hooks],
            callbacks=[*loaded.callbacks, *callbacks],
        )

    @property
    def models(self) -> list[str]:
        """The public names that requests may ask for."""
        return self._router.names

    def serves(self, model: str) -> bool:
        """Whether a request may ask for it: names behind aliases and wildcards, too."""
        return self._router.serves(model)

    @property
    def health(self) -> Mapping[str, str]:
        """healthy, cooling or probing, by deployment."""
        return self._router.health

    def openapi(self, *, prefix: str = "", server: str | None = None) -> dict[str, Any]:
        """The OpenAPI 3.1 document; also served as `/openapi.json`. `prefix` goes before its paths,
        which are below `server`.

        FastAPI's own document leaves out what is mounted. To have both on one page:

            def openapi() -> dict[str, Any]:
                ours, theirs = FastAPI.openapi(app), responses.openapi(prefix="/v1")
                for group, named in theirs["components"].items():
                    ours.setdefault("components", {}).setdefault(group, {}).update(named)
                ours["paths"].update(theirs["paths"])
                return ours

            app.openapi = openapi
        """
        from responses_mw.openapi import document  # only documents need it

        prompts = self.settings.prompts is not None
        return document(prefix=prefix, server=server, prompts=prompts)

    @contextlib.asynccontextmanager
    async def lifespan(self, _app: Any = None) -> AsyncIterator[None]:
        """For `lifespan=` of the host, or inside the host's own. Re-enterable."""
        await self.open()
        try:
            yield
        finally:
            await self.aclose()

    async def open(self) -> Runtime:
        """Opens the store and starts the upkeep, once per event loop. Raises StoreError."""
        loop = asyncio.get_running_loop()
        task = self._opened.get(loop)
        if task is not None and task.done():
            if not task.cancelled() and task.exception() is None:
                return task.result()
            task = None
        if task is None:
            for gone in [old for old in self._opened if old.is_closed()]:
                del self._opened[gone]
            task = self._opened[loop] = asyncio.create_task(self._open())
        return await asyncio.shield(task)

    def drain(self) -> None:
        """Says that the server will end: WebSockets are closed, each after the turn under way."""
        self.draining = True
        self._sockets.drain()

    async def aclose(self) -> None:
        """Waits for the responses under way (`drain_s`), then closes. The next request opens
        again."""
        task = self._opened.pop(asyncio.get_running_loop(), None)
        if task is not None:
            await (await task).aclose()

    async def _open(self) -> Runtime:
        metrics, store = self._metrics, self.store
        store = store if metrics is None else metrics.timed(store)
        runtime = Runtime(store, self._router, self.settings, self._watch, self._hooks)
        if metrics is not None:
            metrics.watch(runtime)
        await runtime.open(HandingOn(runtime, Service(runtime).take_over).take_over)
        return runtime

    async def _enter(self, connection: HTTPConnection) -> tuple[Service, str]:
        owner = await self._owner_of(connection)
        self._unknown_headers.warn(connection.scope["headers"])
        return Service(await kept(self.open())), owner

    async def _owner_of(self, connection: HTTPConnection) -> str:
        bearer = bearer_of(connection)
        if bearer is not None and bearer.key is not None:
            return bearer.key.owner
        if self._owner is None:
            return _host_user(connection)
        owner = self._owner(connection)
        if inspect.isawaitable(owner):
            owner = await owner
        if owner is None or owner == "":  # nobody's name: all whom it says nothing of would meet
            raise Unauthorized("Incorrect API key provided.")
        if not isinstance(owner, str):
            raise TypeError(f"owner() returned a {type(owner).__name__}, not a str or None")
        return owner


def _check_kinds(store: object, owner: object) -> None:
    """Here and not at the first request, where a wrong one would be a 500."""
    # What passes a store's calls on, as one that times them, need not be of its class.
    is_store = hasattr(store, "reserve") and not isinstance(store, type)
    if not is_store and not isinstance(store, str):
        kind = type(store).__name__
        raise ConfigurationError(f"store is of type {kind}; a SessionStore or a URL is needed")
    if owner is not None and not callable(owner):
        kind = type(owner).__name__
        raise ConfigurationError(f"owner is of type {kind}; a function of the request is needed")


def _is_below(scope: Scope, path: str) -> bool:
    """Where the application is mounted, its path comes first."""
    below: bool = scope["path"] == scope.get("root_path", "") + path
    return below


def _open_telemetry() -> Observer:
    try:
        from responses_mw.telemetry.otel import OpenTelemetry  # an extra of its own
    except ImportError as error:
        raise ConfigurationError(
            f"Settings(otel=True) needs the OpenTelemetry API ({error}): "
            "pip install 'responses-mw[otel]'"
        ) from error
    return OpenTelemetry()


def _host_user(connection: HTTPConnection) -> str:
    user = connection.scope.get("user")
    if user is not None and user.is_authenticated:
        return f"user:{user.identity}"  # no identity is SINGLE_TENANT
    return SINGLE_TENANT
