"""`scripts/bench stores`: what rebuilding and appending turns costs, beside the least it could.

Ratios are of time: of the least in each of several interleaved rounds, and the median of those. The
floor of a history is one row that holds the same bytes, read by its key through the same kind of
driver and decoded by orjson.
"""

import argparse
import asyncio
import contextlib
import gc
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import uvloop
from sqlalchemy.exc import SQLAlchemyError

from benchmarks import report
from benchmarks.databases import database
from benchmarks.measure import Ratio, percentile
from benchmarks.orm import Sessions
from benchmarks.report import Line
from benchmarks.seeding import Crowd, fill
from benchmarks.values import OWNER, Turns
from stores import SessionStore, StoreError, open_store

Call = Callable[[], Awaitable[Any]]

SHORT, LONG = 540, 20_000
HISTORY_AIM = {"sqlite": 2.0, "postgres": 2.2}
ORM_AIM = {"sqlite": 5.0, "postgres": 3.0}
SESSIONS = 64


def main(arguments: Sequence[str]) -> None:
    options = _options(arguments)
    print(report.machine("time"))
    # As in a server: what was loaded is not looked through again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    found: list[dict[str, Any]] = []
    for store in options.store or ["sqlite", "postgres"]:
        for name, measure in _PARTS.items():
            if options.only is None or options.only in name:
                print(f"\n{store}: {name}")
                for line in measure(store, 3 if options.quick else 9):
                    print(line, flush=True)
                    found.append({"store": store, "part": name, **line.facts()})
    report.write(options.json, "stores", {"lines": found})


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench stores", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three rounds instead of nine")
    parser.add_argument("--only", metavar="PART", help=f"part of one of: {', '.join(_PARTS)}")
    parser.add_argument("--store", action="append", choices=("sqlite", "postgres"))
    parser.add_argument("--json", metavar="FILE", type=Path)
    return parser.parse_args(arguments)


# --- histories


def histories(store: str, rounds: int) -> list[Line]:
    async def measure(url: str) -> list[Line]:
        lines = []
        async with open_store(url) as opened, _floor(url, opened) as floor:
            for size, depths, aim in (
                (SHORT, (10, 100, 1000, 5000), HISTORY_AIM[store]),
                (LONG, (10, 100, 1000), 1.3),
            ):
                turns, id, made = Turns(size), None, 0
                for depth in depths:
                    id = await turns.chain(opened, depth - made, behind=id)
                    made = depth
                    row = await floor.keep(await _bytes_of(opened, id))
                    calls = {"own": _history(opened, id), "floor": lambda row=row: floor.read(row)}
                    own, least = (await _rounds(calls, rounds)).values()
                    name = f"history, depth {depth}, turns of {size} bytes"
                    lines.append(Line(name, _ratio(own, least, aim), note=_micros(own)))
        return lines

    with database(store) as (url, _):
        return uvloop.run(measure(url))


def larger(store: str, rounds: int) -> list[Line]:
    """The same chain while ten times as much of others stands in the tables."""
    took: list[list[float]] = []
    with contextlib.ExitStack() as databases:
        urls = [databases.enter_context(database(store))[0] for _ in range(2)]

        async def make(url: str) -> str:
            async with open_store(url) as opened:
                return await Turns(SHORT).chain(opened, 100)

        async def measure() -> None:
            async with open_store(urls[0]) as few, open_store(urls[1]) as many:
                calls = {"few": _history(few, ids[0]), "many": _history(many, ids[1])}
                took.extend((await _rounds(calls, rounds)).values())

        ids = [uvloop.run(make(url)) for url in urls]
        for url, chains in zip(urls, (500, 5000), strict=True):
            fill(url, Crowd(chains))
        uvloop.run(measure())
    few, many = took
    return [Line("history, depth 100, 100,000 rows beside 10,000", _ratio(many, few, 1.2))]


def starts(store: str, rounds: int) -> list[Line]:
    async def measure(url: str) -> list[Line]:
        async with open_store(url) as opened:
            turns = Turns(SHORT)
            shallow = await turns.chain(opened, 1)
            deep = await turns.chain(opened, 1000)
            # Each round behind the last: a fork would be a branch more.
            ends = {"shallow": [shallow], "deep": [deep]}
            took: dict[str, list[float]] = {name: [] for name in ends}
            for _ in range(rounds):
                for name, ids in ends.items():

                    async def append(ids: list[str] = ids) -> None:
                        ids.append(await turns.append(opened, ids[-1]))

                    took[name].append(await _least_of(append))
                # Shallow stays so: it begins again.
                ends["shallow"] = [await turns.chain(opened, 1)]
        ratio = _ratio(took["deep"], took["shallow"], 1.3)
        return [Line("start and finish, depth 1000 beside depth 1", ratio)]

    with database(store) as (url, _):
        return uvloop.run(measure(url))


# --- many sessions at once


@dataclass(slots=True)
class Crowded:
    """What 64 sessions saw. Seconds."""

    seconds: float
    took: list[float]
    errors: list[str]

    @property
    def rate(self) -> float:
        return len(self.took) / self.seconds


def sessions(store: str, rounds: int) -> list[Line]:
    """Rebuild, start and finish; beside the same through SQLModel."""

    async def measure(url: str) -> list[Line]:
        seen: dict[str, list[Crowded]] = {"own": [], "orm": []}
        turns = Turns(SHORT)
        async with open_store(url) as opened:
            orm = Sessions(url)
            for _ in range(max(3, rounds // 2)):
                for name, asked, count in (("own", opened, 40), ("orm", orm, 8)):
                    parents = [await turns.chain(opened, 10) for _ in range(SESSIONS)]
                    seen[name].append(await _crowd(asked, turns, parents, count))
            await orm.aclose()
        own, plain = seen["own"], seen["orm"]
        faster = [a.rate / b.rate for a, b in zip(own, plain, strict=True)]
        tails = [percentile(each.took, 0.99) / statistics.median(each.took) for each in own]
        rates = [statistics.median(each.rate for each in many) for many in (own, plain)]
        note = f"{rates[0]:.0f} turns/s, {rates[1]:.0f} through SQLModel"
        errors = [error for each in own for error in each.errors]
        others = [error for each in plain for error in each.errors]
        return [
            Line(
                "64 sessions, turns/s beside SQLModel's",
                Ratio.of(faster, ORM_AIM[store]),
                least=True,
                note=note,
            ),
            Line("64 sessions, p99 beside p50", Ratio.of(tails, 5)),
            Line(
                "64 sessions, errors",
                Ratio.of([float(len(errors))], 0),
                note="; ".join(sorted(set(errors))) + f" (SQLModel: {len(others)})",
            ),
        ]

    with database(store) as (url, _):
        return uvloop.run(measure(url))


def synchronous(store: str, rounds: int) -> list[Line]:
    """FULL, which a power cut does not harm, beside NORMAL."""
    if store != "sqlite":
        return []

    async def measure(urls: Sequence[str]) -> list[Line]:
        seen: list[list[float]] = [[], []]
        turns = Turns(SHORT)
        async with open_store(urls[0]) as normal, open_store(urls[1]) as full:
            for _ in range(rounds):
                for rates, opened in zip(seen, (normal, full), strict=True):
                    parents = [await turns.chain(opened, 1) for _ in range(SESSIONS)]
                    rates.append((await _crowd(opened, turns, parents, 20)).rate)
        ratio = Ratio.of([b / a for a, b in zip(*seen, strict=True)], 0.8)
        note = f"{statistics.median(seen[0]):.0f} turns/s with NORMAL"
        return [Line("64 sessions, turns/s with FULL", ratio, least=True, note=note)]

    with database(store) as (url, _), database(store) as (other, _):
        return uvloop.run(measure((url, other + "?synchronous=FULL")))


async def _crowd(
    asked: SessionStore | Sessions, turns: Turns, parents: Sequence[str], count: int
) -> Crowded:
    """Each session goes on from its own parent, `count` times."""
    took: list[float] = []
    errors: list[str] = []

    async def session(parent: str) -> None:
        for _ in range(count):
            began = time.perf_counter()
            new = turns.new(parent)
            try:
                await asked.history(parent, owner=OWNER)
                await asked.reserve(new, owner=OWNER)
                await asked.finish(new.id, turns.outcome(new), owner=OWNER, lease=new.lease)
            except (StoreError, SQLAlchemyError) as error:
                errors.append(f"{type(error).__name__}: {error}"[:200])
                continue
            took.append(time.perf_counter() - began)
            parent = new.id

    started = time.perf_counter()
    await asyncio.gather(*map(session, parents))
    return Crowded(time.perf_counter() - started, took, errors)


# --- the floor


@dataclass(slots=True)
class Floor:
    """A table of whole values: `write` and `fetch` are the driver's."""

    write: Callable[[int, bytes], Awaitable[Any]]
    fetch: Callable[[int], Awaitable[bytes]]
    rows: list[int] = field(default_factory=list)

    async def keep(self, value: bytes) -> int:
        self.rows.append(len(self.rows))
        await self.write(self.rows[-1], value)
        return self.rows[-1]

    async def read(self, row: int) -> Any:
        return orjson.loads(await self.fetch(row))


@contextlib.asynccontextmanager
async def _floor(url: str, opened: SessionStore) -> AsyncIterator[Floor]:
    """In Postgres on the connection that `opened` uses: another one's process may lie on another
    core, which makes a round trip longer by half."""
    create = "CREATE TABLE floor (id BIGINT PRIMARY KEY, value %s NOT NULL)"
    if url.startswith("sqlite:"):
        import aiosqlite

        path = Path(urlsplit(url).path.removeprefix("/")).with_name("floor.db")
        async with aiosqlite.connect(path, isolation_level=None) as db:
            await db.execute(create % "BLOB")

            async def fetch(id: int) -> bytes:
                rows = await db.execute_fetchall("SELECT value FROM floor WHERE id = ?", (id,))
                return next(iter(rows))[0]

            yield Floor(lambda *row: db.execute("INSERT INTO floor VALUES (?, ?)", row), fetch)
    else:
        from stores import PostgresStore  # its driver is an extra

        assert isinstance(opened, PostgresStore)

        async def lent(connection: Any, _: bool) -> Any:
            return connection

        pg = await opened._database.run(lent)
        await pg.execute(create % "BYTEA COMPRESSION lz4")
        yield Floor(
            lambda *row: pg.execute("INSERT INTO floor VALUES ($1, $2)", *row),
            lambda id: pg.fetchval("SELECT value FROM floor WHERE id = $1", id),
        )


async def _bytes_of(store: SessionStore, id: str) -> bytes:
    history = await store.history(id, owner=OWNER)
    assert history is not None
    return orjson.dumps([[turn.input, turn.output, None] for turn in history.turns])


# --- time


async def _rounds(calls: dict[str, Call], rounds: int) -> dict[str, list[float]]:
    """Seconds of one call each, several calls at a time, taking turns."""
    took: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        await call()
    for _ in range(rounds):
        for name, call in calls.items():
            took[name].append(await _least_of(call))
    return took


async def _least_of(call: Call) -> float:
    """Of at least five, and of as many as fit in a twentieth of a second: what else the machine
    does only ever adds."""
    seen: list[float] = []
    end = time.perf_counter() + 0.05
    while len(seen) < 5 or time.perf_counter() < end:
        began = time.perf_counter()
        await call()
        seen.append(time.perf_counter() - began)
    return min(seen)


def _history(store: SessionStore, id: str) -> Call:
    return lambda: store.history(id, owner=OWNER)


def _ratio(own: list[float], other: list[float], aim: float) -> Ratio:
    return Ratio.of([a / b for a, b in zip(own, other, strict=True)], aim)


def _micros(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1e6:.0f} us"


_PARTS: dict[str, Callable[[str, int], list[Line]]] = {
    "histories": histories,
    "a larger table": larger,
    "start and finish": starts,
    "sessions": sessions,
    "synchronous": synchronous,
}
