"""From a model's public name to the deployments that answer it, and through them to deltas."""

import contextlib
import dataclasses
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from responses_mw.cost import Prices
from responses_mw.deltas import Delta
from responses_mw.errors import ConfigurationError, InvalidRequest, UpstreamError, UpstreamRefused
from responses_mw.records import Attempt, TurnRecord
from responses_mw.turn import Turn


@runtime_checkable
class Provider(Protocol):
    """Answers turns. Errors are raised from the UpstreamError tree (or InvalidRequest for the
    turn's).

    A provider that has several deltas at once may also have `batches(turn)`, giving lists of them,
    and `aclose()`, called when the application shuts down.
    """

    def stream(self, turn: Turn) -> AsyncIterator[Delta]: ...


@runtime_checkable
class CountsTokens(Protocol):
    """What a provider also has if it can count a turn's input tokens without answering it."""

    async def count(self, turn: Turn) -> int | None:
        """None where the upstream cannot, after all."""
        ...


@dataclass(frozen=True, slots=True)
class Deployment:
    """One place that answers for a model. `model` is its own name for it, None: the public one.

    `id` names it in headers and records; None: made from the public name and its place in the list.
    `max_input_tokens` is how many a turn may have, where that is known. `prices` are its own, else
    those of the kept list; `base_model` is what the list knows it by (`provider/name`), where its
    address and name do not say.
    """

    provider: Provider
    model: str | None = None
    id: str | None = None
    max_input_tokens: int | None = None
    prices: Prices | None = None
    base_model: str | None = None


class Answers(Protocol):
    """The router, or what stands before it and asks it otherwise than it was asked."""

    def batches(
        self, turn: Turn, record: TurnRecord
    ) -> AsyncGenerator[tuple[Deployment, list[Delta]], None]: ...


Models = Mapping[str, Provider | Deployment | Sequence[Deployment]]


class Router:
    """Tries a model's deployments in random order until one says something."""

    def __init__(self, models: Models) -> None:
        if not models:
            raise ConfigurationError("models is empty: name at least one model and its provider")
        self._models = {name: _deployments(name, given) for name, given in models.items()}

    @property
    def names(self) -> list[str]:
        return list(self._models)

    def check(self, model: str) -> None:
        """Raises InvalidRequest for a model nobody serves, naming those somebody does."""
        if model not in self._models:
            known = ", ".join(sorted(self._models))
            raise InvalidRequest(
                f"The model {model[:100]!r} does not exist. Known models: {known}.",
                param="model",
                code="model_not_found",
            )

    async def batches(
        self, turn: Turn, record: TurnRecord
    ) -> AsyncGenerator[tuple[Deployment, list[Delta]], None]:
        """`turn.model` is the public name. Moves on to another deployment only before a delta, and
        writes down who was asked."""
        deployments = self._models[turn.model]
        order = random.sample(deployments, len(deployments))
        for last, deployment in _marking_last(order):
            begun, started = False, time.monotonic()
            own = _as_known_to(deployment, turn)
            try:
                async with contextlib.aclosing(_batches(deployment.provider, own)) as batches:
                    async for deltas in batches:
                        if not begun:
                            begun = True
                            record.attempts.append(_attempt(deployment, started))
                        yield deployment, deltas
            except UpstreamError as error:
                if not begun:
                    record.attempts.append(_attempt(deployment, started, error))
                if begun or last or not _worth_another(error):
                    raise
            else:
                return

    async def count(self, turn: Turn) -> int | None:
        """The turn's input tokens as an upstream of its model counts them; None if none does."""
        for deployment in self._models[turn.model]:
            if isinstance(deployment.provider, CountsTokens):
                counted = await deployment.provider.count(_as_known_to(deployment, turn))
                if counted is not None:
                    return counted
        return None

    def max_input_tokens(self, model: str) -> int | None:
        """The least of its deployments', where known: any of them may answer."""
        known = [d.max_input_tokens for d in self._models[model] if d.max_input_tokens is not None]
        return min(known, default=None)

    async def aclose(self) -> None:
        for deployments in self._models.values():
            for deployment in deployments:
                aclose = getattr(deployment.provider, "aclose", None)
                if aclose is not None:
                    await aclose()


def _batches(provider: Provider, turn: Turn) -> AsyncGenerator[list[Delta], None]:
    batches: Callable[[Turn], AsyncGenerator[list[Delta], None]] | None
    batches = getattr(provider, "batches", None)
    return _one_by_one(provider.stream(turn)) if batches is None else batches(turn)


async def _one_by_one(deltas: AsyncIterator[Delta]) -> AsyncGenerator[list[Delta], None]:
    try:
        async for delta in deltas:
            yield [delta]
    finally:
        aclose = getattr(deltas, "aclose", None)
        if aclose is not None:
            await aclose()


def _as_known_to(deployment: Deployment, turn: Turn) -> Turn:
    if deployment.model is None:
        return turn
    return dataclasses.replace(turn, model=deployment.model)


def _attempt(deployment: Deployment, started: float, error: UpstreamError | None = None) -> Attempt:
    """Of one that answered, the time until it began to."""
    code = None if error is None else error.code or error.type
    return Attempt(str(deployment.id), started, time.monotonic(), code)


def _worth_another(error: UpstreamError) -> bool:
    return not isinstance(error, UpstreamRefused) or error.status not in (400, 413, 422)


def _deployments(
    name: str, given: Provider | Deployment | Sequence[Deployment]
) -> list[Deployment]:
    if isinstance(given, Deployment):
        given = [given]
    elif not isinstance(given, Sequence):
        given = [Deployment(given)]
    found: list[Deployment] = []
    for n, entry in enumerate(given):
        if not isinstance(entry, Deployment) or not isinstance(entry.provider, Provider):
            raise ConfigurationError(
                f"models[{name!r}][{n}] is a {type(entry).__name__}; "
                "a Deployment around a Provider (an object with a method stream(turn)) is needed"
            )
        id = entry.id or (name if len(given) == 1 else f"{name}-{n}")
        found.append(dataclasses.replace(entry, id=id))
    if not found:
        raise ConfigurationError(f"models[{name!r}] is empty: give it at least one deployment")
    return found


def _marking_last(items: Sequence[Deployment]) -> Iterable[tuple[bool, Deployment]]:
    return ((n == len(items), item) for n, item in enumerate(items, 1))
