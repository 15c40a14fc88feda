"""The SQLite store: the conformance suite, and what only a file shared by many can get wrong."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import pytest

from stores import SessionStore, SQLiteStore
from stores.testing import Budget, SessionStoreConformance


class WatchedStore(SQLiteStore):
    """Every statement of its connections is listed in `statements`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.statements: list[str] = []

    async def open(self) -> None:
        await super().open()
        self._opened.glance.connection.set_trace_callback(self.statements.append)

    def _connect(self) -> sqlite3.Connection:
        db = super()._connect()
        db.set_trace_callback(self.statements.append)
        return db


class TestSQLiteStore(SessionStoreConformance):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[SQLiteStore]:
        async with WatchedStore(tmp_path / "sessions.db") as store:
            yield store

    def beside(self, store: SessionStore) -> SessionStore:
        assert isinstance(store, SQLiteStore)
        return SQLiteStore(store.path)

    async def kept(self, store: SessionStore) -> list[bytes]:
        assert isinstance(store, SQLiteStore)
        with sqlite3.connect(store.path) as db:
            rows = db.execute(
                "SELECT CAST(input || ifnull(output, '') || ifnull(native, '') || ifnull(cuts, '')"
                " AS BLOB) FROM rmw_turn"
            ).fetchall()
        db.close()
        return [content for (content,) in rows]

    @contextmanager
    def watch(self, store: SessionStore) -> Iterator[Budget]:
        assert isinstance(store, WatchedStore)
        store.statements.clear()
        seen = Budget()
        yield seen
        inside = False
        # A statement that sets off a trigger is told again for each of the trigger's.
        for statement, _ in groupby(store.statements):
            inside = inside or statement.startswith("BEGIN")
            seen.statements += 1
            if statement.startswith("BEGIN") or not inside:
                seen.transactions += 1
            inside = inside and statement not in ("COMMIT", "ROLLBACK")
