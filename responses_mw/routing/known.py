"""What all turns of one router share: its rules, its deployments, what it remembers, its clock."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from responses_mw.routing.affinity import Affinities
from responses_mw.routing.directory import Directory
from responses_mw.routing.options import Routing
from responses_mw.routing.shared_state import SharedState
from responses_mw.routing.strategies import Price


@dataclass(frozen=True, slots=True)
class Clock:
    """`now` only goes forward, `wall` is seconds since the epoch."""

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class Known:
    routing: Routing
    directory: Directory
    affinities: Affinities
    price: Price
    clock: Clock
    rng: random.Random = field(default_factory=random.Random)
    shared: SharedState | None = None
    limited: bool = False
    """Whether a deployment is asked no more than its `rpm` and `tpm`."""
