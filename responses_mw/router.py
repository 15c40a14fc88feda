"""From a model's public name to the deployments that answer it, and through them to deltas.

The entrance to `routing`, where all decisions are: only the loop over whom it names stands here.
"""

import random
from collections.abc import AsyncGenerator
from typing import Protocol

from responses_mw.cost import PriceList
from responses_mw.deltas import Delta
from responses_mw.errors import UnsupportedByProvider, UpstreamError
from responses_mw.records import TurnRecord
from responses_mw.routing.affinity import Affinities
from responses_mw.routing.attempts import answer
from responses_mw.routing.course import Course
from responses_mw.routing.deployments import CountsTokens, Deployment, Models, Provider
from responses_mw.routing.directory import Directory
from responses_mw.routing.known import Clock, Known
from responses_mw.routing.options import Routing
from responses_mw.routing.shared_state import SharedState
from responses_mw.routing.strategies import Price, price_of
from responses_mw.turn import Turn

__all__ = [
    "Answers",
    "Clock",
    "CountsTokens",
    "Deployment",
    "Models",
    "Provider",
    "Router",
    "Routing",
]


class Answers(Protocol):
    """The router, or what stands before it and asks it otherwise than it was asked."""

    def batches(
        self, turn: Turn, record: TurnRecord
    ) -> AsyncGenerator[tuple[Deployment, list[Delta]], None]: ...


class Router:
    """Tries a model's deployments until one says something. Raises ConfigurationError."""

    def __init__(
        self,
        models: Models,
        routing: Routing | None = None,
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        routing, clock = routing or Routing(), clock or Clock()

        self._known = Known(
            routing,
            Directory(models, routing),
            Affinities(routing),
            _listed_prices() if routing.strategy == "cost-based-routing" else _no_price,
            clock,
            rng or random.Random(),
            None if routing.redis_url is None else SharedState(routing.redis_url, clock.wall),
            routing.limited,
        )

    @property
    def names(self) -> list[str]:
        return self._known.directory.names

    @property
    def health(self) -> dict[str, str]:
        """healthy, cooling or probing, by deployment id."""
        now = self._known.clock.now()
        return {each.id: each.cooldown.health(now) for each in self._known.directory.standings}

    def serves(self, model: str) -> bool:
        return self._known.directory.find(model) is not None

    def check(self, model: str) -> None:
        """Raises InvalidRequest for a model nobody serves, naming those somebody does."""
        self._known.directory.get(model)

    async def batches(
        self, turn: Turn, record: TurnRecord
    ) -> AsyncGenerator[tuple[Deployment, list[Delta]], None]:
        """`turn.model` is the public name. Moves on to another deployment only before something is
        said, and writes down who was asked."""
        course = Course(self._known, turn, record)
        while True:
            asked = await course.next()
            deployment = asked.deployment
            record.attempt(deployment)
            batches = answer(asked, course.began, self._known.clock.now)
            try:
                try:  # `contextlib.aclosing` takes a tenth of what all of routing does
                    async for deltas in batches:
                        yield deployment, deltas
                finally:
                    await batches.aclose()
                await course.ended(asked)
                return
            except (UpstreamError, UnsupportedByProvider) as error:
                await course.failed(asked, error)
                if asked.begun:
                    raise
            finally:
                course.left(asked)

    async def count(self, turn: Turn) -> int | None:
        """The turn's input tokens as an upstream of its model counts them; None if none does."""
        found = self._known.directory.get(turn.model)
        for standing in found.standings:
            deployment = found.deployment(standing)
            if isinstance(deployment.provider, CountsTokens):
                counted = await deployment.provider.count(deployment.as_asked(turn))
                if counted is not None:
                    return counted
        return None

    def max_input_tokens(self, model: str) -> int | None:
        """The least of its deployments', where known: any of them may answer."""
        standings = self._known.directory.get(model).standings
        limits = [standing.deployment.max_input_tokens for standing in standings]
        return min((limit for limit in limits if limit is not None), default=None)

    async def aclose(self) -> None:
        for standing in self._known.directory.standings:
            aclose = getattr(standing.deployment.provider, "aclose", None)
            if aclose is not None:
                await aclose()
        if self._known.shared is not None:
            await self._known.shared.aclose()


def _no_price(_deployment: Deployment) -> None:
    return None


def _listed_prices() -> Price:
    """The operator's own, else those of the kept list."""
    listed = PriceList()

    def price(deployment: Deployment) -> float | None:
        return price_of(listed.of(deployment))

    return price
