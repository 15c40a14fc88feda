"""What routing costs: CPU per turn through a router, beside asking its provider at once.

Run as `python -m benchmarks.routing`. Nothing is sent: the provider answers with one batch that it
has already. All ways run interleaved; told is the least of all rounds, which is what the code needs
where nothing else disturbs it, and their median.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from responses_mw.deltas import Delta, Stopped, TextDelta
from responses_mw.records import Caller, TurnRecord
from responses_mw.router import Deployment, Router, Routing
from responses_mw.routing.options import CONTINUITY
from responses_mw.turn import Span, Turn

AIM_US = 15.0

_MESSAGE = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
_TURN = Turn(model="m", spans=[Span([_MESSAGE])], stream=True)
_WILD = _TURN.under("v/large")
_ANSWER: list[Delta] = [TextDelta("hello"), Stopped()]


class Ready:
    async def stream(self, turn: Turn) -> AsyncGenerator[Delta, None]:
        for delta in _ANSWER:
            yield delta

    async def batches(self, turn: Turn) -> AsyncGenerator[list[Delta], None]:
        yield _ANSWER


@dataclass(frozen=True, slots=True)
class Way:
    """`rules` are of Routing, `deployment` of each Deployment, `asked` of the turn's record."""

    name: str
    deployments: int = 3
    model: str = "m"
    theirs: str = "x"
    rules: Mapping[str, Any] = field(default_factory=dict)
    deployment: Mapping[str, Any] = field(default_factory=dict)
    asked: Mapping[str, Any] = field(default_factory=dict)

    def router(self) -> Router:
        ids = [f"d{n}" for n in range(self.deployments)]
        listed = [Deployment(Ready(), model=self.theirs, id=id, **self.deployment) for id in ids]
        return Router({self.model: listed}, Routing(**self.rules))


_LIMITS = {"rpm": 10**9, "tpm": 10**9}
WAYS = (
    Way("one deployment", deployments=1),
    Way("three, shuffled"),
    Way("three, by weight", deployment={"weight": 2}),
    Way("three, least busy", rules={"strategy": "least-busy"}),
    Way("three, by latency", rules={"strategy": "latency-based-routing"}),
    Way("three, by usage", rules={"strategy": "usage-based-routing"}, deployment=_LIMITS),
    Way("three, a chain goes on", asked={"previous_deployment": "d1"}),
    Way("three, a session", rules={"checks": (*CONTINUITY, "session_affinity")}),
    Way("three, behind a wildcard", model="v/*", theirs="*"),
    Way("three, first and idle times", rules={"first_delta_s": 30.0, "idle_s": 30.0}),
)


def record(**asked: Any) -> TurnRecord:
    caller = Caller("ann", session="s")
    return TurnRecord("resp_1", caller, "m", 0.0, 0.0, True, True, False, **asked)


async def routed(router: Router, way: Way, turns: int) -> None:
    turn = _TURN if way.model == _TURN.model else _WILD
    for _ in range(turns):
        async for _ in router.batches(turn, record(**way.asked)):
            pass


async def direct(turns: int) -> None:
    provider = Ready()
    for _ in range(turns):
        record()
        async for _ in provider.batches(_TURN):
            pass


async def microseconds(work: Callable[[int], Awaitable[None]], turns: int) -> float:
    began = time.process_time()
    await work(turns)
    return (time.process_time() - began) / turns * 1e6


async def measure(rounds: int, turns: int) -> Mapping[str, list[float]]:
    """CPU of each way in each round, "direct" among them."""
    routers = [(way, way.router()) for way in WAYS]
    found: dict[str, list[float]] = {"direct": [], **{way.name: [] for way in WAYS}}
    for _ in range(rounds):
        found["direct"].append(await microseconds(direct, turns))
        for way, router in routers:

            async def work(turns: int, way: Way = way, router: Router = router) -> None:
                await routed(router, way, turns)

            found[way.name].append(await microseconds(work, turns))
    return found


def main() -> None:
    import uvloop  # what is served runs on it; whoever counts calls has no need of it

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--turns", type=int, default=2000)
    chosen = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(measure(chosen.rounds, chosen.turns))
    base = found.pop("direct")
    print(f"µs of CPU per turn beyond the provider's own (aim: {AIM_US:.0f})\n")
    for name, taken in found.items():
        least, median = min(taken) - min(base), statistics.median(taken) - statistics.median(base)
        print(f"{name:30} {least:5.1f}   median {median:5.1f}")


if __name__ == "__main__":
    main()
