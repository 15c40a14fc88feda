"""What a server still does for a client whose connection was cut: it is done once, and told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from stores import StoreBusy
from stores.accounts import UsageQuery
from stores.postgres import MIGRATING, PostgresStore
from stores.testing.conversations import post, turn_in
from stores.testing.turns import LEASE, NOW, OWNER, history_of, new, outcome, said, say
from stores.testing.usage import used

GATE = 7
SLOW_COMMITS = f"""
CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_advisory_xact_lock_shared({GATE}); RETURN NULL; END $$;
"""
SLOW_COMMITS_OF = """
CREATE CONSTRAINT TRIGGER wait AFTER INSERT OR UPDATE OR DELETE ON rmw_{table}
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()
"""
COMMITTING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
MIGRATIONS = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"

Unheard = Callable[[Awaitable[Any]], Awaitable[Any]]


@pytest.fixture
async def store(postgres_dsn: str) -> AsyncIterator[PostgresStore]:
    async with PostgresStore(postgres_dsn) as store:
        yield store


@pytest.fixture
async def unheard(store: PostgresStore, postgres_dsn: str) -> AsyncIterator[Unheard]:
    """What a call answers whose connection is cut while it is committed."""
    other = await asyncpg.connect(postgres_dsn)
    await other.execute(SLOW_COMMITS)
    for table in ("response", "turn", "conversation", "usage"):
        await other.execute(SLOW_COMMITS_OF.format(table=table))

    async def reached(waiting: str, count: int) -> None:
        async with asyncio.timeout(5):
            while await other.fetchval(waiting) < count:
                await asyncio.sleep(0.005)

    async def cut(call: Awaitable[Any]) -> Any:
        await other.execute("SELECT pg_advisory_lock($1)", GATE)
        calling = asyncio.ensure_future(call)
        await reached(COMMITTING, 1)
        pool = store._database._pool(asyncio.get_running_loop())
        for holder in pool.connections._holders:
            if holder._con is not None:
                holder._con._transport.abort()  # the server looks at it once it has committed
        await reached(WAITING, 2)
        await other.execute("SELECT pg_advisory_unlock($1)", GATE)
        return await calling

    yield cut
    await other.close()


async def test_a_turn_is_reserved_and_finished(store: PostgresStore, unheard: Unheard) -> None:
    assert await unheard(store.reserve(new("a"), owner=OWNER)) is True
    assert await unheard(store.finish("a", outcome("a"), owner=OWNER, lease=LEASE)) is True
    assert await unheard(store.reserve(new("b", "a"), owner=OWNER)) is True
    assert await unheard(store.release("b", owner=OWNER, lease=LEASE)) is True
    assert await history_of(store, "a") == said(["a"])
    assert await store.get("b", owner=OWNER) is None


async def test_a_deletion_is_told(store: PostgresStore, unheard: Unheard) -> None:
    await say(store, "a")
    await say(store, "b", "a")
    assert await unheard(store.delete("a", owner=OWNER)) is True
    assert await unheard(store.delete("b", owner=OWNER)) is True


async def test_a_conversation_goes_on(store: PostgresStore, unheard: Unheard) -> None:
    await unheard(store.create_conversation("line", {}, owner=OWNER, created_at=NOW))
    assert await unheard(post(store, "line", "i")) is True
    assert await unheard(store.reserve(turn_in("line", "a"), owner=OWNER)) is True
    await store.finish("a", outcome("a"), owner=OWNER, lease=LEASE)
    assert await history_of(store, "line") == ["<i?>", *said(["a"])]
    assert await unheard(store.delete_conversation("line", owner=OWNER)) is True


async def test_what_was_used_is_counted_once(store: PostgresStore, unheard: Unheard) -> None:
    one = used("a", input_tokens=10, cost_nano=5)
    rows = [one, replace(one, response="b")]
    await unheard(store.add_usage(rows))
    (total,) = await store.usage(UsageQuery())
    assert (total.requests, total.input_tokens, total.cost_nano) == (2, 20, 10)


async def test_a_server_that_has_become_read_only_is_left_for_the_next(
    store: PostgresStore, postgres_server: str, postgres_dsn: str
) -> None:
    other = await asyncpg.connect(postgres_server)
    name = urlsplit(postgres_dsn).path[1:]
    await other.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    await other.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
    )
    with pytest.raises(StoreBusy, match="read-only"):
        await say(store, "a")
    await other.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    await other.close()

    await say(store, "a")

    assert await history_of(store, "a") == said(["a"])


@pytest.mark.parametrize("since", [None, "0001"], ids=["new", "old"])
async def test_a_migration_that_was_cut_off_is_begun_again(
    postgres_dsn: str, since: str | None
) -> None:
    if since is not None:
        await PostgresStore(postgres_dsn)._migrate(target=since)
    other = await asyncpg.connect(postgres_dsn)
    await other.execute("SELECT pg_advisory_lock($1)", MIGRATING)
    store = PostgresStore(postgres_dsn)
    opening = asyncio.create_task(store.open())
    async with asyncio.timeout(20):
        while not (waiting := await other.fetch(MIGRATIONS)):
            await asyncio.sleep(0.005)
    await other.execute("SELECT pg_terminate_backend($1)", waiting[0]["pid"])
    await other.execute("SELECT pg_advisory_unlock($1)", MIGRATING)
    await other.close()

    await opening

    assert await history_of(store, await say(store, "a")) == said(["a"])
    await store.aclose()
