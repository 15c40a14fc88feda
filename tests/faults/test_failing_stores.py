"""Stores that are locked, cut off, restarted or full: told as 503, nothing half-written, and over
as soon as the fault is."""

import asyncio
import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import postgres_server
import pytest
from faulty import (
    SLOW,
    ask,
    check_refusal,
    one_end,
    outlast_a_lock,
    serving,
    told,
    until_it_works,
)
from kills import stranded, text_of
from victims import answer_to, asking

from stores import PostgresStore, SQLiteStore

LONG = asking(10, pause_s=0.02, nonce=random.Random(1).randbytes(60_000).hex())
"""Too long for the room that is left in a table, and hardly to be compressed."""


# --- SQLite


async def test_a_turn_outlasts_a_locked_file_and_others_are_sent_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await outlast_a_lock(tmp_path / "locked.db", locked_s=1, busy_s=0.2)
    assert "another process holds the database" in caplog.text


async def test_a_turn_that_cannot_be_kept_is_never_completed(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "locked.db", busy_seconds=0.1)
    async with serving(store, lease_s=0.6) as http:
        begun = asyncio.Event()
        turn = asyncio.create_task(told(http, SLOW, begun))
        await begun.wait()
        other = sqlite3.connect(store.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        end = one_end(await turn)
        other.execute("ROLLBACK")
        other.close()
        assert (end["type"], end["response"]["error"]["code"]) == (
            "response.failed",
            "store_unavailable",
        )
        id = end["response"]["id"]
        async with asyncio.timeout(5):
            while (await http.get(f"/responses/{id}")).json()["status"] != "failed":
                await asyncio.sleep(0.05)
        await until_it_works(http)


@pytest.fixture
def small_disk() -> Iterator[Path]:
    with mounted(megabytes=2) as folder:
        yield folder


@contextlib.contextmanager
def mounted(*, megabytes: int) -> Iterator[Path]:
    """A file system of its own, so small that it can be filled."""
    folder = Path(tempfile.mkdtemp(prefix="rmw-full-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        folder.rmdir()
        pytest.skip("no permission to mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


def filled(folder: Path) -> Path:
    """The file that takes whatever room was left."""
    ballast = folder / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        for size in (1 << 16, 4096):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
    return ballast


async def test_a_full_disk_breaks_nothing_that_was_kept(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = small_disk / "full.db"
    async with serving(SQLiteStore(path), lease_s=1) as http:
        before = (await ask(http)).json()
        begun = asyncio.Event()
        turn = asyncio.create_task(told(http, SLOW, begun))
        await begun.wait()
        ballast = filled(small_disk)
        events = await turn
        body = {"model": "paced", "input": asking(1, nonce="x" * 100_000)}
        refused = await http.post("/responses", json=body)
        read = await http.get(f"/responses/{before['id']}")
        ballast.unlink()
        await until_it_works(http)
        assert (await ask(http, after=before["id"])).status_code == 200
        end = one_end(events)["response"]
        async with asyncio.timeout(10):
            while (await http.get(f"/responses/{end['id']}")).json()["status"] != end["status"]:
                await asyncio.sleep(0.1)
            while await stranded(f"sqlite:///{path}"):
                await asyncio.sleep(0.1)
    check_refusal(refused)
    assert "database or disk is full" in caplog.text
    assert read.json() == before
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing in it can be written; for root, whom no permission stops, by a mount."""
    if os.geteuid() != 0:
        files = list(folder.iterdir())
        for path, mode in [*((file, 0o444) for file in files), (folder, 0o555)]:
            path.chmod(mode)
        yield
        for path, mode in [(folder, 0o755), *((file, 0o644) for file in files)]:
            path.chmod(mode)
        return
    mount = ["mount", "--bind", "-o", "ro", str(folder), str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no permission to mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


async def test_a_database_that_is_read_only_at_the_start_is_opened_once_it_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    async with serving(SQLiteStore(folder / "kept.db")) as http:
        before = (await ask(http)).json()
    async with serving(SQLiteStore(folder / "kept.db"), opened=False) as http:
        with read_only(folder):
            refused = [await ask(http), await http.get(f"/responses/{before['id']}")]
            ready = await http.get("/health/ready")
        assert (await http.get(f"/responses/{before['id']}")).json() == before
        assert (await ask(http, after=before["id"])).status_code == 200
    for answer in refused:
        check_refusal(answer)
    assert ready.status_code == 503
    assert "kept.db.lock" in caplog.text


@contextlib.contextmanager
def immutable(*files: Path) -> Iterator[None]:
    """Not to be written even by who has them open."""
    names = [str(file) for file in files]
    chattr = shutil.which("chattr")
    if chattr is None or subprocess.run([chattr, "+i", *names], check=False).returncode != 0:
        pytest.skip("no permission to make a file immutable, or no file system that can")
    try:
        yield
    finally:
        subprocess.run([chattr, "-i", *names], check=True)


async def test_a_database_that_becomes_read_only_is_written_again_once_it_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "kept.db"
    async with serving(SQLiteStore(path), lease_s=1) as http:
        before = (await ask(http)).json()
        begun = asyncio.Event()
        turn = asyncio.create_task(told(http, SLOW, begun))
        await begun.wait()
        with immutable(path, Path(f"{path}-wal")):
            end = one_end(await turn)
            refused = await ask(http)
            read = await http.get(f"/responses/{before['id']}")
        await until_it_works(http)
        assert (await ask(http, after=before["id"])).status_code == 200
        async with asyncio.timeout(10):
            while await stranded(f"sqlite:///{path}"):
                await asyncio.sleep(0.1)
        kept = (await http.get(f"/responses/{end['response']['id']}")).json()
    check_refusal(refused)
    assert read.json() == before
    assert "the store failed: SQLite refused" in caplog.text
    assert end["type"] == "response.failed"
    assert (kept["status"], kept["error"]["code"]) == ("failed", "server_error")


# --- Postgres


class Cluster:
    """A Postgres server of its own, that can be stopped and started again."""

    def __init__(self) -> None:
        binaries = postgres_server.find_binaries()
        if binaries is None:
            pytest.skip(postgres_server.UNAVAILABLE)
        self.home = Path(tempfile.mkdtemp(prefix="rmw-restarted-"))
        self.process = postgres_server.start(binaries, self.home)
        self.url = f"postgresql://postgres@/postgres?host={self.home}"

    def restart(self, *, away_s: float) -> None:
        postgres_server.stop(self.process)
        time.sleep(away_s)
        user: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = {"user": self.home.stat().st_uid, "extra_groups": []}
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.process.args, cwd=self.home, stdout=log, stderr=log, **user
            )
        status = self.home / "data" / "postmaster.pid"
        for _ in range(500):
            if status.exists() and "ready" in status.read_text():
                return
            time.sleep(0.02)
        pytest.fail((self.home / "log").read_text())

    def close(self) -> None:
        postgres_server.stop(self.process)
        shutil.rmtree(self.home)


async def under_load(http: httpx.AsyncClient, fault: Any, *, clients: int = 8) -> list[Any]:
    """The ends of turns that were under way before, during and after `fault`."""
    over = asyncio.Event()
    ends: list[Any] = []

    async def talk() -> None:
        while not over.is_set():
            body = {"model": "paced", "input": SLOW}
            answer = await http.post("/responses", json=body)
            if answer.status_code == 200:
                ends.append(answer.json())
            else:
                check_refusal(answer)

    talks = [asyncio.create_task(talk()) for _ in range(clients)]
    await asyncio.sleep(0.4)
    await fault()
    await asyncio.sleep(0.4)
    over.set()
    await asyncio.gather(*talks)
    return ends


async def check_kept(http: httpx.AsyncClient, ends: list[Any]) -> None:
    assert any(end["status"] == "completed" for end in ends)
    for end in ends:
        kept = (await http.get(f"/responses/{end['id']}")).json()
        if end["status"] == "completed":
            assert kept == end
            assert text_of(kept) == answer_to([SLOW])
        else:
            assert kept["status"] == "failed"


async def test_a_restarted_postgres_loses_nothing_that_was_kept() -> None:
    cluster = await asyncio.to_thread(Cluster)
    try:
        async with serving(PostgresStore(cluster.url)) as http:

            async def fault() -> None:
                await asyncio.to_thread(cluster.restart, away_s=1.5)

            ends = await under_load(http, fault)
            await until_it_works(http)
            await check_kept(http, ends)
            assert await stranded(cluster.url) == []
    finally:
        await asyncio.to_thread(cluster.close)


async def test_cut_connections_are_not_noticed(postgres_dsn: str) -> None:
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    async with serving(PostgresStore(postgres_dsn)) as http:

        async def fault() -> None:
            for _ in range(10):
                await asyncio.to_thread(postgres_server.execute, postgres_dsn, cut)
                await asyncio.sleep(0.05)

        ends = await under_load(http, fault)
        await check_kept(http, ends)
        assert {end["status"] for end in ends} == {"completed"}
        assert await stranded(postgres_dsn) == []


async def test_a_postgres_whose_disk_is_full_keeps_what_it_has_and_takes_more_once_there_is_room(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with mounted(megabytes=24) as disk:
        cluster = await asyncio.to_thread(Cluster)
        try:
            shutil.chown(disk, cluster.home.stat().st_uid)
            run = partial(asyncio.to_thread, postgres_server.execute, cluster.url)
            await run(f"CREATE TABLESPACE small LOCATION '{disk}'")
            await run("CREATE DATABASE small TABLESPACE small")
            url = cluster.url.replace("/postgres?", "/small?")
            async with serving(PostgresStore(url), lease_s=2) as http:
                before = (await ask(http)).json()
                begun = asyncio.Event()
                turn = asyncio.create_task(told(http, LONG, begun))
                await begun.wait()
                ballast = await asyncio.to_thread(filled, disk)
                end = one_end(await turn)
                body = {"model": "paced", "input": asking(1, nonce=random.randbytes(60_000).hex())}
                refused = await http.post("/responses", json=body)
                read = await http.get(f"/responses/{before['id']}")
                ballast.unlink()
                await until_it_works(http)
                assert (await ask(http, after=before["id"])).status_code == 200
                async with asyncio.timeout(10):
                    while await stranded(url):
                        await asyncio.sleep(0.1)
                kept = (await http.get(f"/responses/{end['response']['id']}")).json()
        finally:
            await asyncio.to_thread(cluster.close)
    check_refusal(refused)
    assert read.json() == before
    assert "(53100)" in caplog.text
    assert (end["type"], kept["status"]) == ("response.failed", "failed")
