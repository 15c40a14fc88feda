"""A steady load on one server, and what the server holds meanwhile: memory, tasks, threads, files.

What it says at the end is whether any of them grew.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from statistics import fmean

import httpx
from kills import (
    Client,
    by_background,
    by_conversation,
    by_socket,
    by_stream,
    by_whole,
    talking,
    text_of,
)
from victims import Victim, files, resident_mib, threads

SAMPLE_S = 5.0
CLIENTS = 10
CHAIN = 20
"""Turns after which a client deletes its chain and begins another one: neither histories nor the
database grow for ever."""
PAUSE_S = 0.05
"""Between the turns of a client: the load is to be steady, not the most that is possible."""
MAY_GROW = {"resident_mib": 8.0, "tasks": 20.0, "threads": 2.0, "files": 20.0}
"""Between the second quarter of the time and the last. The first is for warming up."""

_WAYS = (by_stream, by_whole, by_background, by_socket, by_conversation)


@dataclass(frozen=True)
class Sample:
    seconds: float
    resident_mib: float
    tasks: int
    threads: int
    files: int
    turns: int


@dataclass
class Load:
    """What one server went through. `losses` are sentences; there must be none."""

    samples: list[Sample] = field(default_factory=list)
    turns: int = 0
    losses: list[str] = field(default_factory=list)

    def growth(self) -> dict[str, tuple[float, float]]:
        """Of each measure, its mean in the second quarter of the time and in the last."""
        quarter = max(1, len(self.samples) // 4)
        early, late = self.samples[quarter : 2 * quarter], self.samples[-quarter:]
        return {name: (_mean(early, name), _mean(late, name)) for name in MAY_GROW}

    def grown(self) -> list[str]:
        return [
            f"{name} grew from {before:.1f} to {after:.1f}"
            for name, (before, after) in self.growth().items()
            if after - before > MAY_GROW[name]
        ]


def _mean(samples: list[Sample], name: str) -> float:
    return fmean(asdict(sample)[name] for sample in samples)


async def load(victim: Victim, *, seconds: float, sample_s: float = SAMPLE_S) -> Load:
    it = Load()
    ends = time.monotonic() + seconds
    clients = [Client(_WAYS[n % len(_WAYS)]) for n in range(CLIENTS)]
    left = asyncio.Event()

    async def measure() -> None:
        async with talking(victim) as http:
            begun = time.monotonic()
            while not left.is_set():
                it.samples.append(await _sample(victim, http, time.monotonic() - begun, it.turns))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(sample_s):
                        await left.wait()

    measuring = asyncio.create_task(measure())
    try:
        await asyncio.gather(
            *(_talk(client, victim, it, lambda: time.monotonic() < ends) for client in clients)
        )
    finally:
        left.set()
        await measuring
    return it


async def _sample(victim: Victim, http: httpx.AsyncClient, seconds: float, turns: int) -> Sample:
    tasks = int((await http.get(f"http://{victim.address}/tasks")).text)
    return Sample(
        round(seconds, 1),
        round(resident_mib(victim), 1),
        tasks,
        threads(victim),
        files(victim),
        turns,
    )


async def _talk(client: Client, victim: Victim, it: Load, goes_on: Callable[[], bool]) -> None:
    async with talking(victim) as http:
        while goes_on():
            while goes_on() and len(client.turns) < CHAIN:
                ended = await client.talk(victim, lambda _: None, turns=1)
                it.turns += ended
                if not ended:
                    it.losses.append("a turn was cut off by a server that should not have ended")
                    client.forget()
                await asyncio.sleep(PAUSE_S)
            it.losses += await _check(http, client)
            client.forget()


async def _check(http: httpx.AsyncClient, client: Client) -> list[str]:
    """Reads a chain again and deletes it."""
    losses = []
    for turn in client.turns:
        kept = await http.get(f"/responses/{turn.id}")
        if kept.status_code != 200 or kept.json() != turn.ended:
            losses.append(f"{turn.id} is not what its client was told")
        elif text_of(kept.json()) != turn.answer:
            losses.append(f"{turn.id} was built on another history")
    for turn in client.turns[::-1]:
        if (await http.delete(f"/responses/{turn.id}")).status_code != 200:
            losses.append(f"{turn.id} could not be deleted")
    if client.conversation is not None:
        await http.delete(f"/conversations/{client.conversation}")
    return losses
