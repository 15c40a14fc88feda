"""PostgresStore on a real server: the conformance suite, and what only a server can do to it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from postgres_server import new_database, postgres_dsn, postgres_server  # noqa: F401 -- fixtures

from stores.base import SessionStore
from stores.postgres import PostgresStore
from stores.testing import Budget, SessionStoreConformance

KEPT = "SELECT convert_from(t.input || coalesce(t.output, ''), 'UTF8') AS content FROM rmw_turn t"


@pytest.fixture(scope="session")
def migrated(postgres_server: str) -> Iterator[str]:  # noqa: F811
    """The name of a database with the schema and nothing in it, to copy."""

    async def migrate(url: str) -> None:
        async with PostgresStore(url):
            pass

    with new_database(postgres_server) as url:
        thread = threading.Thread(target=lambda: asyncio.run(migrate(url)))
        thread.start()
        thread.join()
        yield urlsplit(url).path[1:]


@pytest.fixture
def dsn(postgres_server: str, migrated: str) -> Iterator[str]:  # noqa: F811
    with new_database(postgres_server, template=migrated) as url:
        yield url


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[PostgresStore]:
    async with PostgresStore(dsn) as store:
        yield store


class TestPostgresStore(SessionStoreConformance):
    @pytest.fixture
    def store(self, store: PostgresStore, dsn: str) -> PostgresStore:
        self.dsn = dsn
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
