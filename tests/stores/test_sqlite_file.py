"""What only a SQLite file can get wrong: locks, crashes, opening, bytes left behind, size."""

import asyncio
import fcntl
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from stores import SQLiteStore, StoreBusy, StoredTurn, StoreError
from stores.accounts import UsageQuery
from stores.base import NativeState, Outcome
from stores.testing.turns import LEASE, OWNER, history_of, new, outcome, said, say, say_chain

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


def modes(path: Path) -> set[int]:
    """Of the file and those beside it, while it is open."""
    files = [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", ".lock"))]
    return {file.stat().st_mode & 0o777 for file in files}


async def test_a_new_file_is_for_its_user_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        async with SQLiteStore(tmp_path / "sessions.db") as store:
            await say(store, "a")
            assert modes(store.path) == {0o600}
    finally:
        os.umask(before)


async def test_a_file_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    before = os.umask(0o007)
    try:
        (tmp_path / "sessions.db").touch(0o660)
        async with SQLiteStore(tmp_path / "sessions.db") as store:
            await say(store, "a")
            assert modes(store.path) == {0o660}
    finally:
        os.umask(before)


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


@pytest.mark.parametrize(
    ("path", "refusal"),
    [
        ("folder", "is a folder; name a file in it"),
        ("/", "/ is a folder; name a file in it"),
        ("nowhere/sessions.db", "folder of .*/nowhere/sessions.db does not exist"),
        ("file/sessions.db", "cannot open .*: Not a directory"),
    ],
)
async def test_a_file_that_cannot_be_made_is_named_and_leaves_nothing(
    tmp_path: Path, path: str, refusal: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()

    with pytest.raises(StoreError, match=refusal):
        await SQLiteStore(tmp_path / path).open()

    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write every file")
async def test_a_file_that_cannot_be_written_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    async with SQLiteStore(tmp_path / "sessions.db") as store:
        await say(store, "a")
    os.chmod(store.path, 0o444)

    with pytest.raises(StoreError, match=r"cannot write .*sessions\.db"):
        await store.open()


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


# --- forks

FORK = """
import asyncio, os, sqlite3, subprocess, sys, time
from stores import SQLiteStore
from stores.testing.turns import say

path = sys.argv[1]
other = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT * FROM rmw_turn')"

async def begin(store):
    await store.open()
    await say(store, "a")
    return store

async def go_on(store):
    async with store:
        await say(store, "b", "a")
        subprocess.run([sys.executable, "-c", other, path], check=True)
        print(await say(store, "c", "b"), flush=True)

store = asyncio.run(begin(SQLiteStore(path)))
parent = os.getpid()
if os.fork() != 0:
    os._exit(0)
while os.getppid() == parent:
    time.sleep(0.01)
asyncio.run(go_on(store))
"""


async def test_a_forked_child_loses_nothing_when_its_parent_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "forked.db"
    run = [sys.executable, "-c", FORK, str(path)]
    said_by_child = await asyncio.to_thread(
        subprocess.run, run, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, timeout=30
    )
    assert said_by_child.stdout == "c\n"
    async with SQLiteStore(path) as store:
        assert await history_of(store, "c") == said(["a", "b", "c"])


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


async def test_a_purge_holds_up_nobody_while_somebody_reads(store: SQLiteStore) -> None:
    secret = "a secret that was said"
    asked = [{"id": "m", "type": "message", "content": secret}]
    await store.reserve(new("a", input=asked), owner=OWNER)
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT * FROM rmw_turn").fetchall()

    purging = asyncio.create_task(store.purge(OWNER, id="a"))
    began = time.monotonic()
    for number in range(10):
        await say(store, f"n{number}")
        await asyncio.sleep(0.03)
    took_s = time.monotonic() - began
    other.close()

    assert not purging.done()
    assert took_s < 2
    assert await purging == 1
    for file in store.path.parent.iterdir():
        assert secret.encode() not in file.read_bytes()


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


async def test_adding_up_usage_does_not_wait_for_histories(tmp_path: Path) -> None:
    held = threading.Event()
    async with SQLiteStore(tmp_path / "r.db") as store:
        busy = asyncio.create_task(store._opened.reader.run(lambda db: held.wait(5)))
        async with asyncio.timeout(3):
            assert await store.usage(UsageQuery()) == []
        assert not busy.done()
        held.set()
        await busy
