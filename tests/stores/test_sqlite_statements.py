"""The threads and statements behind the SQLite store: groups of writes, and plans of reads."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from stores import SQLiteStore, StoreError
from stores import sqlite_operations as operations
from stores.connection_thread import Operation
from stores.testing.conversations import begin, post, talk, turn_in
from stores.testing.running import told
from stores.testing.turns import (
    LEASE,
    NOW,
    OWNER,
    history_of,
    new,
    outcome,
    said,
    say,
    say_chain,
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SQLiteStore]:
    async with SQLiteStore(tmp_path / "sessions.db") as store:
        yield store


def writing_at_once(store: SQLiteStore) -> sqlite3.Connection:
    at_once = store._opened.at_once
    assert at_once is not None
    return at_once.connection


# --- one writer for many


async def test_callers_that_wait_together_are_committed_together(store: SQLiteStore) -> None:
    store._opened.writer.at_once = None
    statements: list[str] = []
    await store._write(lambda db: db.set_trace_callback(statements.append))

    await asyncio.gather(*(say(store, f"n{number}") for number in range(64)))

    writes = [key for key, _ in groupby(statements) if key.startswith("INSERT INTO turn_")]
    assert 8 <= len(writes) < 32
    assert statements.count("SAVEPOINT job") == 0


async def test_what_is_asked_in_one_pass_of_the_loop_is_one_statement(store: SQLiteStore) -> None:
    statements: list[str] = []
    writing_at_once(store).set_trace_callback(statements.append)
    ids = [f"n{number}" for number in range(16)]

    await asyncio.gather(*(store.reserve(new(id), owner=OWNER) for id in ids))
    ended = await asyncio.gather(
        *(store.finish(id, outcome(id), owner=OWNER, lease=LEASE) for id in ids)
    )

    assert ended == [True] * 16
    told = [statement.split(" VALUES")[0] for statement, _ in groupby(statements)]
    assert told[-2:] == ["INSERT INTO turn_first", "INSERT INTO turn_end"]
    for id in ids:
        assert await history_of(store, id) == said([id])


async def test_turns_with_nothing_to_build_on_are_refused_and_no_other(store: SQLiteStore) -> None:
    await say_chain(store, "n", 2)
    parents = ["n1", "missing", "n0", None, "n1"]

    reserved = await asyncio.gather(
        *(store.reserve(new(f"c{n}", parent), owner=OWNER) for n, parent in enumerate(parents))
    )
    lost = replace(LEASE, attempt=2)
    ended = await asyncio.gather(
        *(
            store.finish(f"c{n}", outcome(f"c{n}"), owner=OWNER, lease=lost if n == 2 else LEASE)
            for n in range(5)
        )
    )

    assert reserved == [True, False, True, True, True]
    assert ended == [True, False, False, True, True]
    assert await history_of(store, "c0") == said(["n0", "n1", "c0"])
    assert await history_of(store, "c3") == said(["c3"])
    assert await history_of(store, "c4") == said(["n0", "n1", "c4"])
    assert (await store.probe("c2", owner=OWNER)).status == "in_progress"


async def test_a_turn_and_what_builds_on_it_can_be_asked_for_at_once(store: SQLiteStore) -> None:
    chain = (("a", None), ("b", "a"), ("c", "b"))
    done = await asyncio.gather(
        *(store.reserve(new(id, parent), owner=OWNER) for id, parent in chain),
        *(store.finish(id, outcome(id), owner=OWNER, lease=LEASE) for id in "abc"),
    )

    assert done == [True] * 6
    assert await history_of(store, "c") == said("abc")


async def test_a_delete_keeps_its_place_among_the_turns_around_it(store: SQLiteStore) -> None:
    await say(store, "a")

    done = await asyncio.gather(
        store.reserve(new("b", "a"), owner=OWNER),
        store.delete("a", owner=OWNER),
        store.reserve(new("c", "a"), owner=OWNER),
        store.finish("b", outcome("b"), owner=OWNER, lease=LEASE),
    )

    assert done == [True, True, False, True]
    assert await history_of(store, "b") == said("ab")


async def test_closing_answers_the_writes_under_way_truly(store: SQLiteStore) -> None:
    writing = asyncio.gather(
        *(store.reserve(new(f"n{number}"), owner=OWNER) for number in range(3))
    )
    await asyncio.sleep(0)
    store._opened.writer.stop()
    time.sleep(0.1)  # noqa: ASYNC251 -- the thread is to end before this loop hears of anything

    assert await writing == [True] * 3
    with pytest.raises(StoreError, match="closed"):
        await store.reserve(new("late"), owner=OWNER)


async def test_one_that_fails_harms_no_other_in_its_group(store: SQLiteStore) -> None:
    await say(store, "a")
    names = [f"n{number}" if number % 2 else "a" for number in range(64)]

    answers = await asyncio.gather(
        *(store.reserve(new(name), owner=OWNER) for name in names), return_exceptions=True
    )

    for name, answer in zip(names, answers, strict=True):
        assert isinstance(answer, StoreError) if name == "a" else answer is True
    rows = await store._read("SELECT count(*) FROM rmw_branch")
    assert rows == [(33,)]


async def test_a_full_disk_refuses_and_leaves_nothing_behind(store: SQLiteStore) -> None:
    await say(store, "a")
    await store._write(lambda db: db.execute("PRAGMA max_page_count = 40").fetchall())
    large = new("large", "a", input=[{"text": "x" * 1_000_000}])

    with pytest.raises(StoreError, match="full"):
        await store.reserve(large, owner=OWNER)

    await say(store, "b", "a")
    assert await store.get("large", owner=OWNER) is None
    assert await history_of(store, "b") == said(["a", "b"])


async def test_when_sqlite_gives_up_a_transaction_nobody_in_the_group_is_told_it_was_kept(
    store: SQLiteStore,
) -> None:
    def broken(db: sqlite3.Connection) -> None:
        db.execute("ROLLBACK")  # as SQLite does by itself when the disk fails
        raise sqlite3.OperationalError("disk I/O error")

    answers = await asyncio.gather(
        store.reserve(new("a"), owner=OWNER), store._write(broken), return_exceptions=True
    )

    # The first may have been committed alone, before the second came.
    kept = await store.get("a", owner=OWNER) is not None
    assert answers[0] is True if kept else isinstance(answers[0], StoreError)
    assert isinstance(answers[1], StoreError)
    assert "disk I/O error" in str(answers[1])
    await say(store, "b")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_mistake_in_an_operation_reaches_every_caller(store: SQLiteStore) -> None:
    def mistaken(_: sqlite3.Connection) -> None:
        raise ZeroDivisionError

    answers = await asyncio.gather(
        *(store._write(mistaken) for _ in range(3)), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [StoreError] * 3

    await store.aclose()
    await store.open()
    await say(store, "a")


async def test_memory_that_runs_out_ends_no_thread(store: SQLiteStore) -> None:
    def large(_: sqlite3.Connection) -> None:
        raise MemoryError  # as sqlite3 does where SQLite has none

    answers = await asyncio.gather(
        store.reserve(new("a"), owner=OWNER),
        store._write(large),
        store._opened.reader.run(large),
        return_exceptions=True,
    )

    assert answers[0] is True
    assert [str(answer) for answer in answers[1:]] == ["SQLite refused: out of memory"] * 2
    await say(store, "b")
    await store.delete("b", owner=OWNER)
    assert await store.get("a", owner=OWNER) is not None


async def test_what_is_damaged_ends_no_thread(store: SQLiteStore) -> None:
    await begin(store, "line")
    damage = "UPDATE rmw_conversation SET hidden = x'5BFF'"
    await store._write(lambda db: db.execute(damage).rowcount)

    with pytest.raises(StoreError, match="damaged"):
        await store.hide_item("line", "i", owner=OWNER)

    await talk(store, "line", "a")
    assert await history_of(store, "line") == said(["a"])


async def test_a_branch_id_that_is_taken_is_not_shared(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter([5, 5, 5, 6])
    monkeypatch.setattr("stores.sqlite_turns.new_branch_id", lambda: next(drawn))

    await say(store, "a")
    await say(store, "theirs", owner="somebody else")

    assert await history_of(store, "a") == said(["a"])
    assert await store._read("SELECT id FROM rmw_branch ORDER BY id") == [(5,), (6,)]


# --- plans


def plan_of(statement: str) -> Operation[list[tuple[Any, ...]]]:
    """On the writer: a turn is written through views that only its connection has."""
    return lambda db: db.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()


async def test_no_statement_scans_a_table(store: SQLiteStore) -> None:
    statements: list[str] = []
    await store._write(lambda db: db.set_trace_callback(statements.append))
    await store._opened.reader.run(lambda db: db.set_trace_callback(statements.append))
    store._opened.glance.connection.set_trace_callback(statements.append)

    await _do_everything(store)

    verbs = ("SELECT", "WITH", "UPDATE", "DELETE", "INSERT")
    plans = {
        statement: await store._write(plan_of(statement))
        for statement in statements
        if statement.strip().startswith(verbs)
    }
    assert len(plans) > 30
    aliases = ("r", "t", "b", "c")
    for statement, plan in plans.items():
        scanned = [step[3].split()[1] for step in plan if step[3].startswith("SCAN ")]
        allowed = "INDEXED BY ix_rmw_response_worker" in statement
        tables = [name for name in scanned if name.startswith("rmw_") or name in aliases]
        assert allowed or not tables, statement


async def _do_everything(store: SQLiteStore) -> None:
    for name in ("a", "u", "o"):
        ids = await say_chain(store, name, 3)
        await say(store, f"{name}fork", ids[0], end_user="ann")
    await store.input("a0", owner=OWNER)
    await store.get("a0", owner=OWNER)
    await history_of(store, "afork")
    await store.secret("seal")
    await store.reserve(new("late", "a2"), owner=OWNER)
    await store.renew("worker-1", NOW)
    await store.renew_only("worker-1", ["late"], NOW)
    [late] = await store.take_expired("w2", now=LEASE.until, until=LEASE.until)
    assert late.lease is not None
    await store.release("late", owner=OWNER, lease=late.lease)
    await _converse(store)
    await store.delete("a0", owner=OWNER)
    await store.purge(OWNER, id="a1")
    await store.purge(OWNER, user="ann")
    await store.purge(OWNER)


async def _converse(store: SQLiteStore) -> None:
    await begin(store)
    await talk(store, "conv", "c0")
    await say(store, "aside", "c0")
    await store.reserve(turn_in("conv", "c1"), owner=OWNER)
    await store.checkpoint([told("c1")])
    await store.request_cancel("c1", owner=OWNER)
    await store.finish("c1", outcome("c1"), owner=OWNER, lease=LEASE)
    await post(store, "conv", "posted")
    await store.hide_item("conv", "c0_0", owner=OWNER)
    await store.update_conversation("conv", {}, owner=OWNER)
    await store.conversation("conv", owner=OWNER)
    await store.delete_conversation("conv", owner=OWNER)


async def test_a_history_costs_the_same_in_a_table_ten_times_as_large(store: SQLiteStore) -> None:
    ids = await say_chain(store, "n", 20)
    fork = (await say_chain(store, "f", 5, ids[10]))[-1]
    before = await _steps(store, fork)

    await asyncio.gather(*(say_chain(store, f"other{number}_", 25) for number in range(10)))
    assert await _steps(store, fork) <= before * 1.05

    await say_chain(store, "longer", 250, ids[-1])
    assert await _steps(store, fork) <= before * 1.05
    assert 100 < before < 5000


async def _steps(store: SQLiteStore, id: str) -> int:
    """How many instructions SQLite's machine runs for a history: no clock, no noise."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    store._opened.glance.connection.set_progress_handler(count, 1)
    await store.history(id, owner=OWNER)
    return steps


async def test_long_histories_and_slow_ones_are_read_by_the_readers_thread(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await say_chain(store, "n", 70)
    read: list[str] = []
    await store._opened.reader.run(lambda db: db.set_trace_callback(read.append))

    assert await history_of(store, ids[operations.SHORT - 1]) == said(ids[: operations.SHORT])
    assert read == []
    assert await history_of(store, ids[operations.SHORT]) == said(ids[: operations.SHORT + 1])
    assert len(read) == 1

    monkeypatch.setattr("stores.sqlite_glance._MOMENT_S", -1.0)
    store._opened.glance.connection.set_progress_handler(store._opened.glance._is_over, 1)
    assert await history_of(store, ids[3]) == said(ids[:4])
    assert len(read) == 2


async def test_a_turn_costs_the_same_in_a_table_ten_times_as_large(store: SQLiteStore) -> None:
    """Triggers' statements are in no plan: instructions are counted instead."""
    ids = await say_chain(store, "n", 20)
    before = await _steps_of_a_turn(store, "one", ids[-1])

    await asyncio.gather(*(say_chain(store, f"other{number}_", 25) for number in range(10)))

    assert await _steps_of_a_turn(store, "two", "one") <= before * 1.05
    assert 100 < before < 1000


async def _steps_of_a_turn(store: SQLiteStore, id: str, parent: str) -> int:
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    writing_at_once(store).set_progress_handler(count, 1)
    await say(store, id, parent)
    writing_at_once(store).set_progress_handler(None, 0)
    return steps


async def test_a_history_is_one_row_for_each_branch(store: SQLiteStore) -> None:
    ids = await say_chain(store, "n", 30)
    fork = (await say_chain(store, "f", 30, ids[10]))[-1]

    assert len(await store._read(operations.HISTORY, ids[-1], OWNER, operations.ANY)) == 1
    assert len(await store._read(operations.HISTORY, fork, OWNER, operations.ANY)) == 2
