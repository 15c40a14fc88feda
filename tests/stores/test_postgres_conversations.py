"""What only a server does to conversations: connections cut, work that waits for other work."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from stores.postgres import PostgresStore
from stores.testing.conversations import begin, post, talk
from stores.testing.turns import OWNER, history_of, said, say_chain

CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"
FORK = """
INSERT INTO rmw_response
    (id, owner, branch, depth, status, attempt, cancel_requested, created_at, body)
VALUES ('fork', $1, 5, 1, 'completed', 1, 0, 0, '{}')
"""


@pytest.fixture
async def store(postgres_dsn: str) -> AsyncIterator[PostgresStore]:
    async with PostgresStore(postgres_dsn) as store:
        yield store


async def test_connections_cut_during_a_conversation_neither_lose_nor_repeat(
    store: PostgresStore, postgres_server: str, postgres_dsn: str
) -> None:
    cutting = True

    async def converse(conversation: str) -> list[str]:
        expected = []
        await begin(store, conversation)
        while cutting:
            id = f"{conversation}_{len(expected)}"
            await talk(store, conversation, id)
            assert await post(store, conversation, f"posted {id}")
            expected += [*said([id]), f"<posted {id}?>"]
        return expected

    names = [f"conv{n}" for n in range(3)]
    cutter = await asyncpg.connect(postgres_server)
    talking = asyncio.gather(*(converse(name) for name in names))
    for _ in range(6):
        await cutter.fetch(CUT, urlsplit(postgres_dsn).path[1:])
        await asyncio.sleep(0.15)  # time for a transaction, on a busy machine too
    cutting = False
    await cutter.close()

    for name, expected in zip(names, await talking, strict=True):
        assert await history_of(store, name) == expected
        assert await store.delete_conversation(name, owner=OWNER)


async def test_a_fork_under_way_while_its_owner_is_purged_is_erased_with_the_rest(
    store: PostgresStore, postgres_dsn: str
) -> None:
    await say_chain(store, "n", 2)
    other = await asyncpg.connect(postgres_dsn)
    async with other.transaction():
        [(branch,)] = await other.fetch("SELECT id FROM rmw_branch FOR KEY SHARE")
        await other.execute("INSERT INTO rmw_branch VALUES (5, $1, $2, 0)", OWNER, branch)
        await other.execute("INSERT INTO rmw_turn (branch, depth, input) VALUES (5, 1, '[]')")
        await other.execute(FORK, OWNER)
        purging = asyncio.create_task(store.purge(OWNER))
        while not await other.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)

    assert await purging == 2
    assert await store.history("fork", owner=OWNER) is None
    assert await other.fetchval("SELECT count(*) FROM rmw_turn") == 0
    await other.close()
