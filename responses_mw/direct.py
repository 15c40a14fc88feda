"""Who answers a call that names its model as `provider/name`, without a list of models.

The name is read as a configuration file's would be. The router made of it is kept, with its
connections, for the next call that says the same.
"""

import contextlib
import os
from collections import OrderedDict
from collections.abc import AsyncGenerator

import orjson

from responses_mw.call_options import CallOptions
from responses_mw.config import load
from responses_mw.deltas import Delta
from responses_mw.errors import ConfigurationError, InvalidRequest
from responses_mw.records import TurnRecord
from responses_mw.router import Deployment, Router
from responses_mw.transport import HTTPProvider
from responses_mw.turn import Turn

KEPT = 64
"""How many different ways of being called keep their connections."""

_ENTRY = "model_list[0].params."


class Upstreams:
    """Of one event loop."""

    def __init__(self) -> None:
        self._routers: OrderedDict[bytes, _Lent] = OrderedDict()

    async def router(self, model: str, options: CallOptions) -> Router:
        """Raises InvalidRequest for a model or an option that nobody can make sense of."""
        key = _key(model, options)
        router = self._routers.get(key)
        if router is None:
            router = self._routers[key] = _Lent({model: _deployments(model, options)})
        self._routers.move_to_end(key)
        if len(self._routers) > KEPT:
            _, oldest = self._routers.popitem(last=False)
            await oldest.retire()
        return router

    async def aclose(self) -> None:
        while self._routers:
            await self._routers.popitem()[1].aclose()


class _Lent(Router):
    """Closes its connections when it is retired and nobody is answered by it any more."""

    _answering = 0
    _retired = False

    async def batches(
        self, turn: Turn, record: TurnRecord
    ) -> AsyncGenerator[tuple[Deployment, list[Delta]], None]:
        self._answering += 1
        try:
            async with contextlib.aclosing(super().batches(turn, record)) as batches:
                async for batch in batches:
                    yield batch
        finally:
            self._answering -= 1
            await self._close_unless_used()

    async def retire(self) -> None:
        self._retired = True
        await self._close_unless_used()

    async def _close_unless_used(self) -> None:
        if self._retired and not self._answering:
            await self.aclose()


def _key(model: str, options: CallOptions) -> bytes:
    """What the environment says is part of it: a key that is put right there must be tried."""
    try:
        written = orjson.dumps([model, options.place], option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise InvalidRequest(f"The options of the call cannot be read: {error}.") from error
    if model == "local":
        return written  # loading it takes seconds
    return written + str(hash(frozenset(os.environ.items()))).encode()


def _deployments(model: str, options: CallOptions) -> list[Deployment]:
    params = {"model": model, **options.place}
    try:
        found = load({"model_list": [{"model_name": model, "params": params}]}).models[model]
    except ConfigurationError as error:
        message = error.message.replace(_ENTRY, "")
        raise InvalidRequest(f"{message}.", param=_culprit(message)) from error
    if options.place and not all(isinstance(entry.provider, HTTPProvider) for entry in found):
        name = next(iter(options.place))
        raise InvalidRequest(f"{model} is not asked over HTTP: leave {name} out.", param=name)
    return found


def _culprit(message: str) -> str:
    """A message of the configuration begins with the key it is about."""
    name = message.partition(" ")[0].partition(".")[0].rstrip(":")
    return name if name.isidentifier() else "model"
