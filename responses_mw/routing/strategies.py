"""In which order a model's deployments are asked: one function for each strategy.

They only sort. Who may not be asked is left out before, and who is preferred moved to the front
after.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple

from responses_mw.cost import Prices
from responses_mw.routing.deployments import Deployment
from responses_mw.routing.limits import used
from responses_mw.routing.options import StrategyName
from responses_mw.routing.standing import Standing

Price = Callable[[Deployment], float | None]
"""Dollars for an input and an output token together; None where that is not known."""


class Moment(NamedTuple):
    """What a decision depends on beside the deployments."""

    now: float
    rng: random.Random
    price: Price
    latency_buffer: float = 0.0


_TIER = attrgetter("tier")

Strategy = Callable[[Sequence[Standing], Moment], list[Standing]]


def price_of(prices: Prices | None) -> float | None:
    known = [] if prices is None else [prices.input, prices.output]
    told = [float(price) for price in known if price is not None]
    return sum(told) if told else None


def _shuffled(standings: Sequence[Standing], moment: Moment) -> list[Standing]:
    if standings[0].share is None:
        return _mixed(standings, moment)
    # The smallest of exponential times of these rates is the first with probability rate / sum.
    times = [
        (-math.log(1 - moment.rng.random()) / standing.share if standing.share else math.inf, n)
        for n, standing in enumerate(standings)
    ]
    return [standings[n] for _, n in sorted(times)]


def _least_busy(standings: Sequence[Standing], moment: Moment) -> list[Standing]:
    return sorted(_mixed(standings, moment), key=lambda standing: standing.busy)


def _fastest(standings: Sequence[Standing], moment: Moment) -> list[Standing]:
    times = {standing.id: standing.latency(moment.now) for standing in standings}
    level = min(times.values()) * (1 + moment.latency_buffer)
    return sorted(_mixed(standings, moment), key=lambda standing: max(level, times[standing.id]))


def _least_used(standings: Sequence[Standing], moment: Moment) -> list[Standing]:
    return sorted(_mixed(standings, moment), key=used)


def _cheapest(standings: Sequence[Standing], moment: Moment) -> list[Standing]:
    def price(standing: Standing) -> float:
        known = moment.price(standing.deployment)
        return math.inf if known is None else known

    return sorted(_mixed(standings, moment), key=price)


def _mixed(standings: Sequence[Standing], moment: Moment) -> list[Standing]:
    """So that equals share the work."""
    # For a few, a fourth of the time that shuffle() takes.
    number = moment.rng.random
    return sorted(standings, key=lambda _: number())


STRATEGIES: Mapping[StrategyName, Strategy] = {
    "simple-shuffle": _shuffled,
    "least-busy": _least_busy,
    "latency-based-routing": _fastest,
    "usage-based-routing": _least_used,
    "cost-based-routing": _cheapest,
}


def by_tier(standings: list[Standing]) -> list[Standing]:
    """Lower `order` first; within a tier as the strategy said."""
    return sorted(standings, key=_TIER)
