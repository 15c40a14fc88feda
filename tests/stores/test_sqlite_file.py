"""What only a SQLite file can get wrong: locks, crashes, plans, bytes left behind, disk."""

import asyncio
import fcntl
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from stores import SQLiteStore, StoreBusy, StoredTurn, StoreError
from stores import sqlite_operations as operations
from stores.base import NativeState, Outcome
from stores.testing.turns import LEASE, NOW, OWNER, history_of, new, outcome, said, say, say_chain

REPOSITORY = Path(__file__).parents[2]

TALK = """
import asyncio, sys
from stores import SQLiteStore
from stores.testing.turns import say

async def main(path, name, length):
    store = SQLiteStore(path)
    await store.open()

    async def talk(chain):
        parent = None
        for number in range(length):
            parent = await say(store, f"{name}-{chain}-{number}", parent)
            print(parent, flush=True)

    await asyncio.gather(*(talk(chain) for chain in range(8)))

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


def talking(path: Path, name: str, length: int) -> subprocess.Popen[str]:
    """A process that holds eight conversations, prints what is kept, and forgets to close."""
    return subprocess.Popen(
        [sys.executable, "-c", TALK, str(path), name, str(length)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SQLiteStore]:
    async with SQLiteStore(tmp_path / "sessions.db", busy_seconds=0.3) as store:
        yield store


# --- processes


async def test_two_processes_write_one_file_and_both_are_whole(store: SQLiteStore) -> None:
    with talking(store.path, "there", 10) as process:
        await asyncio.gather(*(say_chain(store, f"here-{chain}-", 10) for chain in range(8)))
        await asyncio.to_thread(process.communicate, timeout=60)

    assert process.returncode == 0
    for name in ("here", "there"):
        for chain in range(8):
            ids = [f"{name}-{chain}-{number}" for number in range(10)]
            assert await history_of(store, ids[-1]) == said(ids)


async def test_a_killed_process_loses_nothing_it_had_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    with talking(path, "n", 100_000) as process:
        assert process.stdout is not None
        kept = [process.stdout.readline().strip() for _ in range(200)]
        os.kill(process.pid, signal.SIGKILL)
        kept += [line.strip() for line in process.stdout if line.endswith("\n")]
    assert process.returncode == -signal.SIGKILL

    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()
    async with SQLiteStore(path) as store:
        for id in kept:
            name, chain, number = id.split("-")
            ids = [f"{name}-{chain}-{place}" for place in range(int(number) + 1)]
            assert await history_of(store, id) == said(ids)
        await say(store, "next", kept[-1])


def test_a_program_that_forgets_to_close_its_store_ends(tmp_path: Path) -> None:
    process = talking(tmp_path / "sessions.db", "n", 1)

    written, _ = process.communicate(timeout=30)

    assert process.returncode == 0
    assert len(written.splitlines()) == 8


async def test_a_lock_held_for_a_moment_is_waited_for(store: SQLiteStore) -> None:
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    saying = asyncio.create_task(say(store, "a"))
    await asyncio.sleep(0.05)
    assert not saying.done()
    other.execute("COMMIT")
    other.close()

    await saying
    assert await history_of(store, "a") == said(["a"])


async def test_a_lock_held_too_long_is_busy_and_reading_goes_on(store: SQLiteStore) -> None:
    await say(store, "a")
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    refused = asyncio.gather(
        *(store.reserve(new(f"n{number}", "a"), owner=OWNER) for number in range(5)),
        return_exceptions=True,
    )
    assert await history_of(store, "a") == said(["a"])
    assert [type(error) for error in await refused] == [StoreBusy] * 5
    other.execute("ROLLBACK")
    other.close()

    await say(store, "n0", "a")
    assert await history_of(store, "n0") == said(["a", "n0"])


# --- opening


@pytest.mark.parametrize("path", ["", ":memory:"])
def test_a_store_without_a_file_is_refused_with_a_pointer(path: str) -> None:
    with pytest.raises(ValueError, match="memory://"):
        SQLiteStore(path)


async def test_a_store_that_is_not_open_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not open"):
        await SQLiteStore(tmp_path / "sessions.db").get("a", owner=OWNER)


async def test_opening_waits_for_whoever_opens_the_same_file(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "sessions.db")
    with (tmp_path / "sessions.db.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        opening = asyncio.create_task(store.open())
        await asyncio.sleep(0.1)

        assert not opening.done()
        assert not store.path.exists()

    await opening
    await say(store, "a")
    await store.aclose()


async def test_a_cancelled_opening_leaves_a_store_that_opens(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "sessions.db")
    for steps in range(10):
        opening = asyncio.create_task(store.open())
        for _ in range(steps):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)

    async with store:
        await say(store, "a")


async def test_a_missing_folder_and_a_foreign_file_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"missing/sessions\.db"):
        await SQLiteStore(tmp_path / "missing" / "sessions.db").open()

    (tmp_path / "notes.txt").write_text("no database " * 1000)
    with pytest.raises(StoreError, match="not a database"):
        await SQLiteStore(tmp_path / "notes.txt").open()


async def test_the_path_is_that_of_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    store = SQLiteStore("sessions.db")
    monkeypatch.chdir(tmp_path / "elsewhere")

    async with store:
        await say(store, "a")

    assert (tmp_path / "sessions.db").exists()


@pytest.mark.parametrize(("synchronous", "level"), [("NORMAL", 1), ("FULL", 2)])
async def test_synchronous_is_as_asked(tmp_path: Path, synchronous: str, level: int) -> None:
    async with SQLiteStore(tmp_path / "s.db", synchronous=synchronous) as store:  # type: ignore[arg-type]
        assert await store._write(lambda db: db.execute("PRAGMA synchronous").fetchone()) == (
            level,
        )
        await say(store, "a")


# --- one writer for many


async def test_callers_that_wait_together_are_committed_together(store: SQLiteStore) -> None:
    statements: list[str] = []
    await store._write(lambda db: db.set_trace_callback(statements.append))

    await asyncio.gather(*(say(store, f"n{number}") for number in range(64)))

    assert statements.count("SAVEPOINT job") >= 128
    assert statements.count("COMMIT") < 64


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


async def test_a_branch_id_that_is_taken_is_not_shared(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter([5, 5, 5, 6])
    monkeypatch.setattr("stores.sqlite_operations.secrets.randbits", lambda _: next(drawn))

    await say(store, "a")
    await say(store, "theirs", owner="somebody else")

    assert await history_of(store, "a") == said(["a"])
    assert await store._read("SELECT id FROM rmw_branch ORDER BY id") == [(5,), (6,)]


# --- plans


async def test_no_statement_scans_a_table(store: SQLiteStore) -> None:
    statements: list[str] = []
    await store._write(lambda db: db.set_trace_callback(statements.append))
    await store._opened.reader.run(lambda db: db.set_trace_callback(statements.append))

    await _do_everything(store)

    verbs = ("SELECT", "WITH", "UPDATE", "DELETE", "INSERT")
    plans = {
        statement: await store._read(f"EXPLAIN QUERY PLAN {statement}")
        for statement in statements
        if statement.strip().startswith(verbs)
    }
    assert len(plans) > 30
    tables = ("rmw_", "r", "t", "b")
    for statement, plan in plans.items():
        scanned = [step[3].split()[1] for step in plan if step[3].startswith("SCAN ")]
        allowed = "INDEXED BY ix_rmw_response_worker" in statement
        assert allowed or not [name for name in scanned if name.startswith(tables)], statement


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
    [late] = await store.take_expired("w2", now=LEASE.until, until=LEASE.until)
    assert late.lease is not None
    await store.release("late", owner=OWNER, lease=late.lease)
    await store.delete("a0", owner=OWNER)
    await store.purge(OWNER, id="a1")
    await store.purge(OWNER, user="ann")
    await store.purge(OWNER)


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

    await store._opened.reader.run(lambda db: db.set_progress_handler(count, 1))
    await store.history(id, owner=OWNER)
    await store._opened.reader.run(lambda db: db.set_progress_handler(None, 0))
    return steps


async def test_a_history_is_one_row_for_each_branch(store: SQLiteStore) -> None:
    ids = await say_chain(store, "n", 30)
    fork = (await say_chain(store, "f", 30, ids[10]))[-1]

    assert len(await store._read(operations.HISTORY, ids[-1], OWNER)) == 1
    assert len(await store._read(operations.HISTORY, fork, OWNER)) == 2


# --- bytes


async def test_purged_content_is_in_none_of_the_files(store: SQLiteStore) -> None:
    await say(store, "a")
    native = NativeState("scope", ["<native>"] * 2000)
    ann = "ann@example.org"
    request = replace(new("secret", "a", end_user=ann), request={"input": "<request>"})
    await store.reserve(request, owner=OWNER)
    end = Outcome("completed", {"instructions": "<body>"}, outcome("secret").output, native)
    await store.finish("secret", end, owner=OWNER, lease=LEASE)
    await say(store, "b", "secret")
    words = [b"<secret", b"<native", b"<body", ann.encode()]
    assert all(word in _files(store.path) for word in words)

    assert await store.purge(OWNER, user=ann) == 1

    assert [word for word in [*words, b"<request"] if word in _files(store.path)] == []
    history = await store.history("b", owner=OWNER)
    assert history is not None
    assert history.turns[1] == StoredTurn([], [])


async def test_deleted_content_is_in_none_of_the_files_once_closed(store: SQLiteStore) -> None:
    await say(store, "a")
    await say(store, "b", "a")

    await store.delete("b", owner=OWNER)
    await store.aclose()

    assert b"<a!>" in _files(store.path)
    assert b"<b" not in _files(store.path)


def _files(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))


async def test_a_turn_takes_at_most_2_2_times_its_json(store: SQLiteStore) -> None:
    turns = 2000
    question = [{"id": "msg_" + "0" * 32 + "_i0", "role": "user", "content": "word " * 24}]
    part = {"type": "output_text", "text": "word " * 28, "annotations": [], "logprobs": []}
    answer = [{"id": "msg_" + "0" * 32 + "_0", "role": "assistant", "content": [part]}]
    size = len(json.dumps(question)) + len(json.dumps(answer))
    assert 430 < size < 540

    async def talk(chain: int) -> None:
        parent = None
        for number in range(20):
            id = f"resp_{hash((chain, number)) % 2**64:032x}"
            await store.reserve(new(id, parent, input=question), owner=OWNER)
            await store.finish(id, outcome(id, output=answer), owner=OWNER, lease=LEASE)
            parent = id

    await asyncio.gather(*(talk(chain) for chain in range(turns // 20)))
    await store.aclose()

    assert store.path.stat().st_size / turns <= 2.2 * size
