"""Turns of the SQLite store that are written on the event loop, and those that are not."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from stores import SQLiteStore
from stores.testing.turns import LEASE, OWNER, history_of, new, outcome, said, say, say_chain


class Counting(SQLiteStore):
    """Knows what its writer's thread was asked."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.handed: list[str] = []

    async def open(self) -> None:
        await super().open()
        await self._opened.writer.run(lambda db: db.set_trace_callback(self._note))

    def _note(self, statement: str) -> None:
        if statement.startswith("INSERT INTO turn_"):
            self.handed.append(statement.split(" VALUES", maxsplit=1)[0])

    @property
    def writes(self) -> int:
        """A statement that sets off a trigger is told again for each of the trigger's."""
        return sum(a != b for a, b in zip(self.handed, ["", *self.handed], strict=False))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Counting]:
    async with Counting(tmp_path / "sessions.db") as store:
        yield store


async def test_turns_need_no_thread(store: Counting) -> None:
    ids = await say_chain(store, "n", 10)
    assert store.handed == []
    assert await history_of(store, ids[-1]) == said(ids)


async def test_a_turn_that_is_refused_is_refused_alone(store: Counting) -> None:
    await say(store, "a")
    made = await asyncio.gather(
        store.reserve(new("b", "a"), owner=OWNER),
        store.reserve(new("c", "missing"), owner=OWNER),
        store.reserve(new("d"), owner=OWNER),
    )
    assert made == [True, False, True]
    ended = await asyncio.gather(
        store.finish("b", outcome("b"), owner=OWNER, lease=LEASE),
        store.finish("c", outcome("c"), owner=OWNER, lease=LEASE),
        store.finish("d", outcome("d"), owner=OWNER, lease=LEASE),
    )
    assert ended == [True, False, True]
    assert await history_of(store, "b") == said(["a", "b"])
    assert await history_of(store, "d") == said(["d"])


async def test_a_locked_file_is_waited_for_off_the_loop(store: Counting) -> None:
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    reserving = asyncio.create_task(store.reserve(new("a"), owner=OWNER))
    ticks = 0
    while ticks < 10:  # the loop goes on
        await asyncio.sleep(0.01)
        ticks += 1
    assert not reserving.done()
    other.execute("COMMIT")
    other.close()
    assert await reserving
    assert store.writes == 1
    await store.finish("a", outcome("a"), owner=OWNER, lease=LEASE)
    assert await history_of(store, "a") == said(["a"])


async def test_a_slow_disk_is_left_to_the_thread(
    store: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stores.sqlite_at_once._LONG_S", -1.0)
    await say(store, "a")
    await say(store, "b")
    assert store.writes == 3  # the first began at once
    assert await history_of(store, "b") == said(["b"])


async def test_long_turns_are_left_to_the_thread(store: Counting) -> None:
    item = {"type": "message", "id": "m", "content": "x" * 70_000}
    assert await store.reserve(replace(new("a"), input=[item]), owner=OWNER)
    assert store.writes == 1


async def test_the_log_does_not_grow_for_ever(store: Counting) -> None:
    for n in range(30):
        await asyncio.gather(*(say_chain(store, f"c{n}_{line}_", 4) for line in range(25)))
    assert store.handed
    assert os.stat(f"{store.path}-wal").st_size < 24 << 20


async def test_full_durability_is_the_threads(tmp_path: Path) -> None:
    async with SQLiteStore(tmp_path / "full.db", synchronous="FULL") as store:
        assert store._opened.at_once is None
        assert store._opened.writer.at_once is None
        await say(store, "a")
