"""PostgresStore on a real server: the conformance suite, and what only a server can do to it."""

import asyncio
import random
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from postgres_server import execute, new_database

from stores import migrate
from stores.base import SessionStore, StoreError
from stores.postgres import PostgresStore
from stores.testing import Budget, SessionStoreConformance
from stores.testing.conversations import begin, talk
from stores.testing.turns import LEASE, NOW, OWNER, history_of, new, outcome, said, say, say_chain

KEPT = """
SELECT convert_from(
    input || coalesce(output, '') || coalesce(native, '') || coalesce(cuts, ''), 'UTF8') AS content
FROM rmw_turn
"""
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"
CONNECTED = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1"


@pytest.fixture(scope="session")
def migrated(postgres_server: str) -> Iterator[str]:
    """The name of a database with the schema and nothing in it, to copy."""
    with new_database(postgres_server) as url:
        asyncio.run(_open(url))
        yield _name(url)


@pytest.fixture
def dsn(postgres_server: str, migrated: str) -> Iterator[str]:
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
        return await _kept(self.dsn)

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


# --- processes


def test_four_processes_open_an_empty_database_at_once(postgres_dsn: str) -> None:
    _in_processes([partial(_write_chain, postgres_dsn, f"p{n}_", None) for n in range(4)])

    histories = asyncio.run(_histories(postgres_dsn, [f"p{n}_19" for n in range(4)]))

    assert histories == [said(f"p{n}_{place}" for place in range(20)) for n in range(4)]


def test_two_processes_branch_one_parent_at_once(dsn: str) -> None:
    asyncio.run(_write_chain(dsn, "root", None, length=1))

    _in_processes([partial(_write_chain, dsn, f"p{n}_", "root0") for n in range(2)])

    histories = asyncio.run(_histories(dsn, [f"p{n}_19" for n in range(2)]))
    assert histories == [
        said(["root0", *(f"p{n}_{place}" for place in range(20))]) for n in range(2)
    ]


async def test_one_store_in_two_event_loops_at_the_same_time(
    store: PostgresStore, dsn: str
) -> None:
    await say(store, "root")

    async def elsewhere() -> None:
        async with store:
            await say_chain(store, "there", 20, "root")

    there = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(elsewhere())))
    await say_chain(store, "here", 20, "root")
    await there

    for name in ("here", "there"):
        ids = ["root", *(f"{name}{number}" for number in range(20))]
        assert await history_of(store, ids[-1]) == said(ids)


def test_an_event_loop_that_ends_takes_its_connections_along(
    postgres_server: str, dsn: str
) -> None:
    async def use_and_leave() -> None:
        store = PostgresStore(dsn)
        await store.open()
        await asyncio.gather(*(say(store, f"n{n}") for n in range(8)))

    asyncio.run(use_and_leave())

    for _ in range(100):  # a backend takes a moment to end
        if execute(postgres_server, CONNECTED, _name(dsn))[0]["count"] == 0:
            break
    else:
        pytest.fail("connections are left over")


# --- under load


async def test_deleting_and_continuing_at_once_leaves_neither_orphans_nor_gaps(
    store: PostgresStore, dsn: str
) -> None:
    chance = random.Random(17)
    paths: dict[str, list[str]] = {}
    for number in range(12):
        ids = await say_chain(store, f"c{number}_", 4)
        paths |= {id: ids[: place + 1] for place, id in enumerate(ids)}
    async with PostgresStore(dsn) as other:
        for round in range(30):
            living = list(paths)
            deleted = chance.sample(living, 8)
            parents = {f"r{round}_{n}": chance.choice([*deleted, *living]) for n in range(24)}
            calls = [
                *(store.delete(id, owner=OWNER) for id in deleted),
                *(
                    chance.choice([store, other]).reserve(new(id, parent), owner=OWNER)
                    for id, parent in parents.items()
                ),
            ]
            answers = await asyncio.gather(*calls)

            assert answers[:8] == [True] * 8
            for (id, parent), reserved in zip(parents.items(), answers[8:], strict=True):
                assert reserved or parent in deleted
                if reserved:
                    assert await store.finish(id, outcome(id), owner=OWNER, lease=LEASE)
                    paths[id] = [*paths[parent], id]
            for id in deleted:
                del paths[id]
            for id in chance.sample(list(paths), min(len(paths), 20)):
                assert await history_of(store, id) == said(paths[id])

    kept = b"".join(await _kept(dsn))
    needed = {id for path in paths.values() for id in path}
    assert len(await _kept(dsn)) == len(needed)
    assert all(f"<{id}!>".encode() in kept for id in needed)


async def test_purging_deleting_and_continuing_at_once_never_fails(
    store: PostgresStore, dsn: str
) -> None:
    for round in range(8):
        ids = await say_chain(store, f"c{round}_", 6)
        forks = [await say(store, f"f{round}_{n}", id, end_user="ann") for n, id in enumerate(ids)]
        tips = [await say(store, f"t{round}_{n}", id) for n, id in enumerate(forks)]

        await asyncio.gather(
            store.purge(OWNER, user="ann"),
            *(store.delete(id, owner=OWNER) for id in ids[::2]),
            *(store.purge(OWNER, id=id) for id in tips[::2]),
            *(store.reserve(new(f"n{round}_{n}", id), owner=OWNER) for n, id in enumerate(tips)),
            store.renew("worker-1", NOW),
        )

        assert await history_of(store, tips[1]) == said([*ids[:2], tips[1]])

    await store.purge(OWNER)
    assert await _kept(dsn) == []


# --- connections


async def test_cut_connections_are_replaced(
    store: PostgresStore, postgres_server: str, dsn: str
) -> None:
    await asyncio.gather(*(say(store, f"n{n}") for n in range(10)))

    await asyncio.to_thread(execute, postgres_server, CUT, _name(dsn))

    assert await history_of(store, await say(store, "a", "n0")) == said(["n0", "a"])


async def test_connections_cut_during_use_lose_nothing(
    store: PostgresStore, postgres_server: str, dsn: str
) -> None:
    cutter = await asyncpg.connect(postgres_server)
    writing = asyncio.gather(*(say_chain(store, f"c{n}_", 150) for n in range(4)))
    cuts = 0
    while not writing.done():
        cuts += len(await cutter.fetch(CUT, _name(dsn)))
        await asyncio.sleep(0.05)
    await cutter.close()

    for ids in await writing:
        assert await history_of(store, ids[-1]) == said(ids)
    assert cuts > 0


async def test_a_cancelled_caller_does_not_cancel_what_is_under_way(
    store: PostgresStore, dsn: str
) -> None:
    other = await asyncpg.connect(dsn)
    async with other.transaction():
        await other.execute("LOCK TABLE rmw_response")
        caller = asyncio.create_task(store.reserve(new("a"), owner=OWNER))
        while not await other.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
    await other.close()

    await store.aclose()  # waits for it

    await store.open()
    assert await history_of(store, "a") == ["<a?>"]


async def test_a_store_that_is_not_open_says_so(dsn: str) -> None:
    with pytest.raises(StoreError, match=r"await its open\(\) first"):
        await PostgresStore(dsn).get("a", owner=OWNER)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:s3cret@127.0.0.1:1/name",
        "postgresql://user:s3cret@127.0.0.1:not-a-port/name",
        "postgresql://user:p@s3cret/s3cret@127.0.0.1/name",
        "postgresql://user:s3cret@127.0.0.1:1/name?sslmode=s3cret",
        "mysql://user:s3cret@127.0.0.1/name",
    ],
)
async def test_a_password_is_never_shown(url: str) -> None:
    store = PostgresStore(url)

    with pytest.raises(StoreError) as caught:
        await store.open()

    assert "s3cret" not in repr(store)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ("connection_limit=5", r'"connection_limit" \(42704\); options of the URL that'),
        (
            "sslmode=sometimes",
            "an option of the Postgres URL has a value that asyncpg does not take",
        ),
    ],
)
async def test_an_option_that_nobody_knows_is_told_to_stand_in_the_url(
    dsn: str, options: str, refusal: str
) -> None:
    with pytest.raises(StoreError, match=refusal):
        await PostgresStore(f"{dsn}{'&' if '?' in dsn else '?'}{options}").open()


async def test_two_branches_of_one_number_are_kept_apart(dsn: str) -> None:
    drawn = iter([7, 7, 8])
    async with PostgresStore(dsn, branch_id=lambda: next(drawn)) as store:
        for id in "ab":
            await say(store, id)

        assert await history_of(store, "a") == said(["a"])
        assert await history_of(store, "b") == said(["b"])


# --- the schema


@pytest.mark.parametrize("revision", migrate.REVISIONS[:-1])
async def test_a_database_of_an_earlier_revision_is_upgraded(
    postgres_dsn: str, revision: str
) -> None:
    await PostgresStore(postgres_dsn)._migrate(target=revision)
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute("INSERT INTO rmw_meta VALUES ('secret:seal', 'kept')")
    if revision >= "0005":
        await connection.execute(
            "INSERT INTO rmw_key (id, digest, owner, created_at, spent_nano, minute,"
            " minute_requests, minute_tokens) VALUES ('k', '1', 'ann', 0, 7, 0, 0, 0)"
        )

    async with PostgresStore(postgres_dsn) as store:
        assert await store.secret("seal") == b"kept"
        assert await connection.fetchval("SELECT version_num FROM rmw_version") == migrate.HEAD
        assert await history_of(store, await say(store, "a")) == said(["a"])
        await talk(store, await begin(store), "b")
        assert await history_of(store, "conv") == said(["b"])
        for key in await store.keys():
            assert (key.id, key.spent_nano, key.blocked) == ("k", 7, False)
            changed = await store.change_key("k", {"blocked": True}, at=NOW)
            assert changed == replace(key, blocked=True)
    await connection.close()


async def test_a_database_of_a_newer_version_is_left_alone(dsn: str) -> None:
    await asyncio.to_thread(execute, dsn, "UPDATE rmw_version SET version_num = '9999'")

    for _ in range(2):
        with pytest.raises(StoreError, match="9999"):
            await PostgresStore(dsn).open()


def test_large_columns_are_compressed_with_lz4_where_the_server_can(dsn: str) -> None:
    can = execute(
        dsn,
        "SELECT 'lz4' = ANY (enumvals) AS can FROM pg_settings"
        " WHERE name = 'default_toast_compression'",
    )
    columns = execute(
        dsn,
        "SELECT attname FROM pg_attribute WHERE attrelid = 'rmw_turn'::regclass"
        " AND attcompression = 'l' ORDER BY attname",
    )

    expected = ["input", "native", "output"] if can[0]["can"] else []
    assert [column["attname"] for column in columns] == expected


def _pooled(store: PostgresStore) -> list[Any]:
    """The connections that are open; asyncpg shows them nowhere."""
    [opening] = store._database._pools.values()
    holders = opening.result().connections._holders
    return [holder._con for holder in holders if holder._con is not None]


async def _kept(dsn: str) -> list[bytes]:
    connection = await asyncpg.connect(dsn)
    try:
        return [row["content"].encode() for row in await connection.fetch(KEPT)]
    finally:
        await connection.close()


def _in_processes(work: list[Callable[[], Awaitable[object]]]) -> None:
    with ProcessPoolExecutor(len(work), mp_context=get_context("spawn")) as processes:
        for done in [processes.submit(_run, each) for each in work]:
            done.result()


def _run(work: Callable[[], Any]) -> None:
    asyncio.run(work())


async def _open(dsn: str) -> None:
    async with PostgresStore(dsn):
        pass


async def _write_chain(dsn: str, name: str, parent: str | None, *, length: int = 20) -> None:
    async with PostgresStore(dsn) as store:
        await say_chain(store, name, length, parent)


async def _histories(dsn: str, ids: list[str]) -> list[list[str] | None]:
    async with PostgresStore(dsn) as store:
        return [await history_of(store, id) for id in ids]


def _name(url: str) -> str:
    return urlsplit(url).path[1:]
