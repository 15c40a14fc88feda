"""Migrations: old files come up whole, newer ones are refused, many processes may open at once."""

import asyncio
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from stores import History, SQLiteStore, StoredTurn, StoreError
from stores.accounts import StoredKey
from stores.base import NativeState
from stores.codec import to_micros
from stores.migrate import HEAD, REVISIONS, SCRIPTS, VERSION_TABLE, upgrade
from stores.tables import Table
from stores.testing.conversations import begin, talk
from stores.testing.turns import NOW, OWNER, heard, said

OPEN = """
import asyncio, sys
from stores import SQLiteStore

async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    async with SQLiteStore(sys.argv[1]) as store:
        print((await store.secret("seal")).hex())

asyncio.run(main())
"""
A_KEY = StoredKey(id="k", owner="ann", created_at=NOW, spent_nano=7, rpm=5)


def migrate(path: Path, target: str) -> None:
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.begin() as connection:
        upgrade(connection, target=target)


def version(path: Path) -> list[str]:
    db = sqlite3.connect(path)
    versions = [row[0] for row in db.execute(f"SELECT version_num FROM {VERSION_TABLE}")]
    db.close()
    return versions


def test_the_revisions_known_are_the_revisions_there() -> None:
    scripts = ScriptDirectory(str(SCRIPTS), version_locations=[str(SCRIPTS)])

    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == REVISIONS
    assert scripts.get_heads() == [HEAD]


def test_the_migrations_build_the_tables(tmp_path: Path) -> None:
    migrate(tmp_path / "new.db", HEAD)

    engine = create_engine(f"sqlite:///{tmp_path}/new.db", poolclass=NullPool)
    with engine.connect() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Table.metadata) == []


def test_every_table_is_named_ours(tmp_path: Path) -> None:
    migrate(tmp_path / "new.db", HEAD)

    db = sqlite3.connect(tmp_path / "new.db")
    names = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    db.close()
    assert len(names) >= 6
    assert all(name.startswith("rmw_") for name in names)


@pytest.mark.parametrize("revision", REVISIONS[:-1])
async def test_a_file_of_an_earlier_revision_comes_up_with_all_it_held(
    tmp_path: Path, revision: str
) -> None:
    path = tmp_path / "old.db"
    migrate(path, "0001")
    _write_as_the_first_revision_did(path)
    migrate(path, revision)
    held = revision >= "0005"
    if held:
        _write_a_key(path)
    assert version(path) == [revision]

    async with SQLiteStore(path) as store:
        history = await store.history("resp_2", owner="ann")
        running = await store.get("resp_2", owner="ann")
        secret = await store.secret("seal")
        stranger = await store.history("resp_2", owner="bob")
        await talk(store, await begin(store), "a")
        talked = await store.history("conv", owner=OWNER)
        before = await store.key_by_id("k")
        after = await store.change_key("k", {"blocked": True}, at=NOW)

    assert version(path) == [HEAD]
    native = NativeState("scope \u00fc", {"n": 1})
    first = StoredTurn([{"text": "one"}], [{"text": "two\x00"}], native)
    assert history == History("in_progress", [first, StoredTurn([{"text": "three"}], [])])
    assert running is not None
    assert running.body == {"id": "resp_2"}
    assert (running.cuts, running.conversation) == (None, None)
    assert running.lease is not None
    assert (running.lease.worker, running.lease.attempt) == ("w", 3)
    assert secret == b"s" * 32
    assert stranger is None
    assert heard(talked) == said("a")
    assert before == (A_KEY if held else None)
    assert after == (replace(A_KEY, blocked=True) if held else None)


def _write_a_key(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute(
        "INSERT INTO rmw_key VALUES ('k', x'01', 'ann', ?, NULL, NULL, NULL, NULL, NULL, 7, 5,"
        " NULL, 0, 0, 0, NULL, NULL)",
        (to_micros(NOW),),
    )
    db.commit()
    db.close()


def _write_as_the_first_revision_did(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("INSERT INTO rmw_branch VALUES (7, 'ann', NULL, NULL)")
    db.executemany(
        "INSERT INTO rmw_turn (branch, depth, input, output, scope, native) VALUES (7,?,?,?,?,?)",
        [
            (0, b'[{"text":"one"}]', b'[{"text":"two\\u0000"}]', "scope \u00fc", b'{"n":1}'),
            (1, b'[{"text":"three"}]', None, None, None),
        ],
    )
    db.executemany(
        "INSERT INTO rmw_response VALUES (?, 'ann', 7, ?, ?, ?, ?, ?, 0, 1000000, ?, NULL)",
        [
            ("resp_1", 0, "completed", None, None, 1, b'{"id":"resp_1"}'),
            ("resp_2", 1, "in_progress", "w", 2_000_000, 3, b'{"id":"resp_2"}'),
        ],
    )
    db.execute("INSERT INTO rmw_meta VALUES ('secret:seal', ?)", (b"s" * 32,))
    db.commit()
    db.close()


async def test_a_migration_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    migrate(path, "0001")
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE ix_rmw_usage_time (somebody_elses INTEGER)")
    db.close()

    with pytest.raises(StoreError, match="ix_rmw_usage_time"):
        await SQLiteStore(path).open()

    assert version(path) == ["0001"]
    db = sqlite3.connect(path)
    assert not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'rmw_usage'").fetchall()
    db.close()


async def test_a_file_that_a_newer_version_wrote_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "newer.db"
    migrate(path, HEAD)
    db = sqlite3.connect(path)
    db.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    db.commit()
    db.close()

    with pytest.raises(StoreError, match=r"'9999'.*Upgrade responses-mw"):
        await SQLiteStore(path).open()

    assert version(path) == ["9999"]


async def test_many_stores_in_one_process_make_one_file(tmp_path: Path) -> None:
    stores = [SQLiteStore(tmp_path / "sessions.db") for _ in range(4)]

    await asyncio.gather(*(store.open() for store in stores))

    secrets = await asyncio.gather(*(store.secret("seal") for store in stores))
    assert len(set(secrets)) == 1
    for store in stores:
        await store.aclose()


@pytest.mark.parametrize("start", [None, *REVISIONS[:-1]])
def test_four_processes_open_at_once(tmp_path: Path, start: str | None) -> None:
    path = tmp_path / "sessions.db"
    if start is not None:
        migrate(path, start)
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", OPEN, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

    answers = [process.communicate("go\n", timeout=60) for process in processes]

    assert [process.returncode for process in processes] == [0] * 4, answers
    assert len({secret for secret, _ in answers}) == 1
    assert version(path) == [HEAD]


def test_opening_a_current_file_imports_neither_alembic_nor_sqlalchemy(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    migrate(path, HEAD)
    check = "import sys; assert not {'alembic', 'sqlalchemy', 'sqlmodel'} & set(sys.modules)"

    opened = subprocess.run(
        [sys.executable, "-W", "error", "-c", OPEN + check, str(path)],
        input="go\n",
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
        check=False,
    )

    assert opened.returncode == 0, opened.stderr
