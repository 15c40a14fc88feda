"""The public names of the calls without a server: functions for models by `provider/name`, and a
router for models by names of one's own.

Who answers, and where the conversations are kept, stands here; what a call does, in `calling`.
"""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from responses_mw import config, router
from responses_mw.app import ResponsesApp
from responses_mw.call_options import CallOptions
from responses_mw.calling import Calls
from responses_mw.deltas import Delta
from responses_mw.direct import Upstreams
from responses_mw.errors import ConfigurationError, InvalidRequest
from responses_mw.runtime import Runtime
from responses_mw.settings import Settings
from responses_mw.turn import Turn
from stores.base import SessionStore

DRAIN_S = 5.0
"""How long the end of the process waits for responses that are still generated."""


class Direct(Calls):
    """Models by `provider/name`; a conversation is kept where `serve` keeps it: what
    RESPONSES_MW_STORE names, else SQLite in the user's data folder."""

    def __init__(self) -> None:
        super().__init__()
        self._process = 0
        self._apps: dict[str, ResponsesApp] = {}
        self._upstreams = Upstreams()

    async def _runtime(self) -> Runtime:
        if self._process != os.getpid():  # forked: threads and connections were left behind
            self._process = os.getpid()
            self._apps, self._upstreams = {}, Upstreams()
        url = config.store_url()
        if url not in self._apps:
            self._apps[url] = _application(config.Config(_NO_LIST), url)
        return await self._apps[url].open()

    async def _router(self, runtime: Runtime, model: str, options: CallOptions) -> router.Router:
        return await self._upstreams.router(model, options)

    async def _end(self) -> None:
        if self._process == os.getpid():
            for app in self._apps.values():
                await app.aclose()
            await self._upstreams.aclose()


class Router(Calls):
    """Models by the names of a `model_list`, as in LiteLLM's configuration file; `routing` are the
    keys of its `router_settings`. Raises ConfigurationError.

    `store` is a SessionStore or its URL; else it is the one of the calls without a router.
    `settings` wait `DRAIN_S` at the end unless they are given. `hooks` and `callbacks` are those of
    a ResponsesApp, called in the thread of these calls.
    """

    def __init__(
        self,
        model_list: Sequence[Mapping[str, Any]],
        *,
        store: SessionStore | str | None = None,
        settings: Settings | None = None,
        hooks: Sequence[Any] = (),
        callbacks: Sequence[Any] = (),
        **routing: Any,
    ) -> None:
        super().__init__()
        self._said: dict[str, Any] = {"model_list": list(model_list)}
        if routing:
            self._said["router_settings"] = routing
        self._where = store
        self._settings = settings
        self._watching = {"hooks": hooks, "callbacks": callbacks}
        self._process = os.getpid()
        self._app = self._made()

    @property
    def models(self) -> list[str]:
        return self._app.models

    def _made(self) -> ResponsesApp:
        loaded = config.load(self._said)
        store = config.store_url() if self._where is None else self._where
        return _application(loaded, store, self._settings, **self._watching)

    async def _runtime(self) -> Runtime:
        if self._process != os.getpid():  # forked: threads and connections were left behind
            self._process = os.getpid()
            self._app = self._made()
        return await self._app.open()

    async def _router(self, runtime: Runtime, model: str, options: CallOptions) -> router.Router:
        for name in options.place:
            raise InvalidRequest(
                f"{name} says where to ask; with a Router it belongs into the model_list.",
                param=name,
            )
        return runtime.router

    async def _end(self) -> None:
        if self._process == os.getpid():
            await self._app.aclose()


class _Nobody:
    """Of an application without a list of models: each call brings who answers it."""

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        raise InvalidRequest(f"Nobody answers for {turn.model[:100]!r}.", param="model")
        yield


_NO_LIST = {"provider/name": [router.Deployment(_Nobody())]}


def _application(
    loaded: config.Config,
    store: SessionStore | str,
    settings: Settings | None = None,
    *,
    hooks: Sequence[Any] = (),
    callbacks: Sequence[Any] = (),
) -> ResponsesApp:
    try:
        return ResponsesApp(
            store=store,
            models=loaded.models,
            routing=loaded.routing,
            settings=settings or replace(loaded.settings, drain_s=DRAIN_S),
            hooks=hooks,
            callbacks=callbacks,
        )
    except (ValueError, ImportError) as error:
        raise ConfigurationError(f"the store cannot be used: {error}") from error


default = Direct()
"""One for the process, as the names below are: it starts nothing before the first call."""

responses = default.responses
aresponses = default.aresponses
get_responses = default.get_responses
aget_responses = default.aget_responses
delete_responses = default.delete_responses
adelete_responses = default.adelete_responses
cancel_responses = default.cancel_responses
acancel_responses = default.acancel_responses
list_input_items = default.list_input_items
alist_input_items = default.alist_input_items
compact_responses = default.compact_responses
acompact_responses = default.acompact_responses
