"""Connections kept at hand: none is lost, whatever becomes of who used it, and none goes stale.

Those that are cut are replaced for as long as the server takes others.
"""

import asyncio

import asyncpg
import pytest

from stores import PostgresStore, StoreBusy
from stores import postgres_pool as pool
from stores import postgres_spares as spares
from stores.testing.turns import OWNER, history_of, said, say

PID = "SELECT pg_backend_pid() AS pid"


async def test_a_read_that_is_cancelled_costs_no_connection(postgres_dsn: str) -> None:
    async with PostgresStore(postgres_dsn, connections=2) as store:
        await say(store, "a")
        other = await asyncpg.connect(postgres_dsn)
        async with other.transaction():
            await other.execute("LOCK TABLE rmw_response")
            readers = [asyncio.create_task(store.get("a", owner=OWNER)) for _ in range(2)]
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            while await other.fetchval(waiting) < len(readers):
                await asyncio.sleep(0.01)
            for reader in readers:
                reader.cancel()
            cancelled = await asyncio.gather(*readers, return_exceptions=True)
        await other.close()

        found = await asyncio.gather(*(history_of(store, "a") for _ in range(8)))

    assert [type(error) for error in cancelled] == [asyncio.CancelledError] * 2
    assert found == [said(["a"])] * 8


async def test_callers_wait_for_one_another_where_connections_are_few(postgres_dsn: str) -> None:
    async with PostgresStore(postgres_dsn, connections=2) as store:
        await asyncio.gather(*(say(store, f"n{number}") for number in range(30)))

        for _ in range(2):  # with none at hand, and with two
            found = await asyncio.gather(*(history_of(store, f"n{n}") for n in range(30)))
            assert found == [said([f"n{number}"]) for number in range(30)]
        pids = await asyncio.gather(*(store._database.read(PID) for _ in range(30)))

    assert len({row["pid"] for rows in pids for row in rows}) <= 2


async def test_connections_that_were_cut_while_nobody_used_them_are_replaced(
    postgres_dsn: str,
) -> None:
    async with PostgresStore(postgres_dsn) as store:
        await say(store, "a")
        sleep = "SELECT pg_sleep(0.05)"
        await asyncio.gather(*(store._database.read(sleep) for _ in range(10)))
        other = await asyncpg.connect(postgres_dsn)
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> $1"
        await other.fetch(f"{cut} AND datname = current_database()", other.get_server_pid())
        await other.close()
        await asyncio.sleep(0.1)  # until the pool has seen it

        assert await history_of(store, "a") == said(["a"])


async def test_a_connection_that_nobody_used_for_long_is_replaced(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with PostgresStore(postgres_dsn) as store:
        first, again = [(await store._database.read(PID))[0]["pid"] for _ in range(2)]

        monkeypatch.setattr(spares, "STALE_S", 0)
        later = (await store._database.read(PID))[0]["pid"]

    assert first == again != later


class Cut:
    """Work whose connection is cut the first `times` it is tried."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.tries = 0

    async def __call__(self, connection: pool.Connection, lost: bool) -> bool:
        self.tries += 1
        if self.tries <= self.times:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return bool(await connection.fetchval("SELECT true"))


async def test_connections_may_be_cut_more_often_than_other_things_are_tried(
    postgres_dsn: str,
) -> None:
    work = Cut(times=2 * pool.TRIES)
    async with PostgresStore(postgres_dsn) as store:
        assert await store._database.run(work)

    assert work.tries == work.times + 1


async def test_a_server_that_cuts_every_connection_is_given_up_with_what_it_did(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "CUT_S", 0.1)
    work = Cut(times=1000)
    async with PostgresStore(postgres_dsn) as store:
        with pytest.raises(StoreBusy) as busy:
            await store._database.run(work)

    assert isinstance(busy.value.__cause__, asyncpg.PostgresConnectionError)
    assert pool.TRIES < work.tries < 1000
