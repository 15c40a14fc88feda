"""Sums of one owner's day read that owner's rows of that day, however many others there are."""

from datetime import UTC, datetime
from pathlib import Path

import aiosqlite
import asyncpg
import pytest

from stores import SQLiteStore
from stores.accounts import Group, UsageQuery
from stores.postgres import PostgresStore
from stores.testing.usage import used
from stores.usage_query import statement

DAY = datetime(2026, 10, 12, tzinfo=UTC)
GROUPINGS: list[tuple[Group, ...]] = [(), ("user", "model"), ("tag",), ("day", "status")]
BY_OWNER = "SEARCH rmw_usage USING INDEX ix_rmw_usage_owner (owner=? AND created_at>? AND created_"


def of_a_day(groups: tuple[Group, ...]) -> UsageQuery:
    return UsageQuery(group_by=groups, where={"owner": "ann", "day": "2026-10-12"})


@pytest.mark.parametrize("groups", GROUPINGS)
async def test_sqlite_searches_the_owners_day(tmp_path: Path, groups: tuple[Group, ...]) -> None:
    path = tmp_path / "usage.db"
    async with SQLiteStore(path) as store:
        await store.add_usage([used("r1", "ann", created_at=DAY), used("r2", "bob")])
        sums = await store.usage(of_a_day(groups))
    sql, values = statement(of_a_day(groups), "sqlite")
    async with aiosqlite.connect(path) as db:
        plan = [row[3] for row in await db.execute_fetchall(f"EXPLAIN QUERY PLAN {sql}", values)]

    assert plan[0].startswith(BY_OWNER), plan
    assert not [step for step in plan if step.startswith("SCAN rmw_usage")], plan
    assert [total.requests for total in sums] == [1]


@pytest.mark.parametrize("groups", GROUPINGS)
async def test_postgres_searches_the_owners_day(
    postgres_dsn: str, groups: tuple[Group, ...]
) -> None:
    async with PostgresStore(postgres_dsn):
        pass
    connection = await asyncpg.connect(postgres_dsn)
    try:
        await connection.execute(
            """
            INSERT INTO rmw_usage SELECT 'r' || n, 'o' || n % 70, n::bigint * 86400000000,
            'completed', 'u' || n, NULL, 'm', NULL, NULL, 0, 0, 0, 0, 0, 0, true
            FROM generate_series(1, 20000) n;
            ANALYZE rmw_usage;
            """
        )
        sql, values = statement(of_a_day(groups), "postgres")
        plan = [row[0] for row in await connection.fetch(f"EXPLAIN {sql}", *values)]
    finally:
        await connection.close()

    assert any("using ix_rmw_usage_" in line for line in plan), plan
    assert not any("Seq Scan on rmw_usage" in line for line in plan), plan
