"""Fills a database with copies of what is in it, faster than anybody could ask for answers.

Every table's first rows are the patterns; only ids, owners, places and times differ in the copies.
Nobody may use the database meanwhile.
"""

import asyncio
import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from stores.branch_ids import RANDOM_BITS

Row = dict[str, Any]

DAY = 86_400_000_000
_PATTERNS = {
    "rmw_branch": "rmw_branch",
    "rmw_turn": "rmw_turn WHERE output IS NOT NULL",
    "rmw_response": "rmw_response WHERE conversation IS NULL AND status = 'completed'",
    "rmw_usage": "rmw_usage",
    "rmw_conversation": "rmw_conversation",
    "head": "rmw_response WHERE conversation = id",
}


@dataclass(frozen=True, slots=True)
class Crowd:
    """`chains` of `length` responses each, over `days` up to the pattern's own time.

    Every second chain is the pattern's owner's, the others belong to a thousand others. Where there
    is a pattern of a conversation, every tenth chain is one.
    """

    chains: int
    length: int = 20
    days: int = 30

    @property
    def responses(self) -> int:
        return self.chains * self.length

    def ids(self, count: int) -> list[str]:
        """Of the pattern's owner, each of another chain, somewhere in it."""
        step = max(1, self.chains // count // 2) * 2
        chains = range(0, self.chains, step)
        return [_id(chain % self.length * self.chains + chain) for chain in chains]


def fill(url: str, crowd: Crowd) -> None:
    """Called where no event loop runs."""
    if url.startswith("sqlite:"):
        _fill_sqlite(urlsplit(url).path.removeprefix("/"), crowd)
    else:
        asyncio.run(_fill_postgres(url, crowd))


def _fill_sqlite(path: str, crowd: Crowd) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    db.row_factory = sqlite3.Row
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000"):
        db.execute(f"PRAGMA {pragma}").fetchall()
    patterns = {
        name: dict(row)
        for name, source in _PATTERNS.items()
        if (row := db.execute(f"SELECT * FROM {source} LIMIT 1").fetchone()) is not None
    }
    db.execute("BEGIN")
    for table, columns, rows in _tables(patterns, crowd):
        marks = ", ".join("?" * len(columns))
        db.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows())
    db.execute("COMMIT")
    db.execute("PRAGMA journal_mode = WAL").fetchall()
    db.close()


async def _fill_postgres(url: str, crowd: Crowd) -> None:
    import asyncpg

    db = await asyncpg.connect(url, command_timeout=600)
    patterns = {
        name: dict(row)
        for name, source in _PATTERNS.items()
        if (row := await db.fetchrow(f"SELECT * FROM {source} LIMIT 1")) is not None
    }
    for table, columns, rows in _tables(patterns, crowd):
        await db.copy_records_to_table(table, records=rows(), columns=columns)
    await db.execute("VACUUM ANALYZE")
    await db.close()


_Table = tuple[str, list[str], Callable[[], Iterator[tuple[Any, ...]]]]


def _tables(patterns: dict[str, Row], crowd: Crowd) -> Iterator[_Table]:
    """Name, columns and rows. A conversation's head is a row among the responses."""
    for name, pattern in patterns.items():
        table = "rmw_response" if name == "head" else name
        yield table, list(pattern), lambda name=name: _copies(name, patterns, crowd)


def _copies(name: str, patterns: dict[str, Row], crowd: Crowd) -> Iterator[tuple[Any, ...]]:
    pattern = patterns[name]
    for changed in _changes(name, patterns, crowd):
        yield tuple({**pattern, **changed}.values())


def _changes(name: str, patterns: dict[str, Row], crowd: Crowd) -> Iterator[Row]:
    """What is different in each copy; oldest first, as they would have come."""
    pattern = patterns["rmw_response"]
    step = crowd.days * DAY // crowd.responses
    in_chains = name in ("rmw_turn", "rmw_response", "rmw_usage")
    for depth in range(crowd.length) if in_chains else (crowd.length - 1,):
        for chain in range(crowd.chains):
            number = depth * crowd.chains + chain
            begun = pattern["created_at"] - (crowd.responses - chain) * step
            place = {
                "branch": _branch(chain, begun),
                "owner": pattern["owner"] if chain % 2 == 0 else f"owner-{chain % 2000}",
                "depth": depth,
                "created_at": begun + depth * crowd.chains * step,
            }
            talk = _id(chain, "conv") if "head" in patterns else None
            row = _change(name, place, _id(number), talk if chain % 10 == 0 else None)
            if row is not None:
                yield row


def _change(name: str, place: Row, id: str, talk: str | None) -> Row | None:
    owned = {name: place[name] for name in ("owner", "created_at")}
    match name:
        case "rmw_turn":
            return {"branch": place["branch"], "depth": place["depth"]}
        case "rmw_response":
            return {**place, "id": id, "conversation": talk}
        case "rmw_usage":
            return {**owned, "response": id}
        case "rmw_branch":
            return {"id": place["branch"], "owner": place["owner"], "parent": None, "fork": None}
        case "rmw_conversation" if talk is not None:
            return {**owned, "id": talk, "running": None}
        case "head" if talk is not None:
            return {**place, "id": talk, "conversation": talk}
        case _:
            return None


def _id(number: int, prefix: str = "resp") -> str:
    """As they are made: what comes later is larger, and the rest looks random."""
    return f"{prefix}_{number:06x}{_digest(prefix, number).hex()[6:]}"


def _branch(chain: int, begun: int) -> int:
    """As a store draws it: milliseconds, then what looks random."""
    random = int.from_bytes(_digest("branch", chain)[:8], "big") >> (64 - RANDOM_BITS)
    return (begun // 1000 << RANDOM_BITS) + random


def _digest(kind: str, number: int) -> bytes:
    """The same in every table."""
    return hashlib.blake2b(b"%b %d" % (kind.encode(), number), digest_size=16).digest()
