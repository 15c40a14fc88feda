"""PostgresStore on a real server: the conformance suite, and what only a server can do to it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import pytest
from postgres_server import postgres_dsn, postgres_server  # noqa: F401 -- fixtures

from stores.base import SessionStore
from stores.postgres import PostgresStore
from stores.testing import Budget, SessionStoreConformance

KEPT = "SELECT convert_from(t.input || coalesce(t.output, ''), 'UTF8') AS content FROM rmw_turn t"


@pytest.fixture
async def store(postgres_dsn: str) -> AsyncIterator[PostgresStore]:  # noqa: F811
    async with PostgresStore(postgres_dsn) as store:
        yield store


class TestPostgresStore(SessionStoreConformance):
    @pytest.fixture
    def store(self, store: PostgresStore, postgres_dsn: str) -> PostgresStore:  # noqa: F811
        self.dsn = postgres_dsn
        return store

    def beside(self, store: SessionStore) -> PostgresStore:
        return PostgresStore(self.dsn)

    async def kept(self, store: SessionStore) -> list[bytes]:
        connection = await asyncpg.connect(self.dsn)
        try:
            return [row["content"].encode() for row in await connection.fetch(KEPT)]
        finally:
            await connection.close()

    @contextmanager
    def watch(self, store: SessionStore) -> Iterator[Budget]:
        assert isinstance(store, PostgresStore)
        budget = Budget()
        within = False

        def count(query: Any) -> None:
            nonlocal within
            budget.statements += 1
            budget.transactions += not within
            within = query.query.startswith("BEGIN") or (within and query.query != "COMMIT;")

        connections = _pooled(store)
        for connection in connections:
            connection.add_query_logger(count)
        yield budget
        for connection in connections:
            connection.remove_query_logger(count)


def _pooled(store: PostgresStore) -> list[Any]:
    """The connections that are open; asyncpg shows them nowhere."""
    [opening] = store._database._pools.values()
    holders = opening.result().connections._holders
    return [holder._con for holder in holders if holder._con is not None]
