"""The planner's traps: no statement may cost more because others have stored more."""

from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from stores import account_statements as accounts
from stores import postgres_statements as sql
from stores.postgres import PostgresStore
from stores.postgres_accounts import EXPIRED
from stores.testing.conversations import begin, talk
from stores.testing.turns import NOW, OWNER, say

STATEMENTS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "history": (sql.HISTORY, ("r77-9", "o7")),
    "get": (sql.GET, ("r77-9", "o7")),
    "input": (sql.INPUT, ("r77-9", "o7")),
    "reserve": (
        sql.RESERVE_NEXT,
        ("new", "o7", 1, b"[]", None, "queued", "w", 1, 1, 1, b"{}", *[None] * 5, "r77-9"),
    ),
    "reserve in a conversation": (
        sql.RESERVE_IN_CONVERSATION,
        (
            *("new", "o7", 1, b"[]", None, "queued", "w", 1, 1, 1, b"{}", None),
            *("r77-9", *[None] * 3, "r77-9"),
        ),
    ),
    "checkpoint": (
        sql.CHECKPOINT,
        (["r77-9", "r5-1"], ["o7", "o5"], ["w"] * 2, [1] * 2, *([b"[]"] * 2 for _ in range(3))),
    ),
    "cancel": (sql.REQUEST_CANCEL, ("r77-9", "o7")),
    "finish": (
        sql.FINISH,
        ("r77-9", "o7", "w", 1, "failed", b"{}", *[None] * 2, b"[]", *[None] * 3),
    ),
    "finish and count": (
        sql.FINISH_AND_COUNT,
        (
            *("r77-9", "o7", "w", 1, "failed", b"{}", *[None] * 2, b"[]", *[None] * 3),
            *("r77-9", "o7", 1, "failed", *[None] * 2, "m", *[None] * 3, *[0] * 6, True, False),
            *(0, 0, 0),
        ),
    ),
    "count": (
        accounts.COUNT,
        ("r77-9", "o7", 1, "failed", *[None] * 2, "m", *[None] * 3, *[0] * 6, True, False),
    ),
    "admit": (accounts.ADMIT, ("k77", 1, 1)),
    "change key": (accounts.CHANGE_KEY, ("k77", *accounts.change_values({"rpm": 1}, NOW))),
    "charge": (accounts.CHARGE, ("k77", 1, 1, 1)),
    "key": (accounts.KEY, (b"77",)),
    "forget user": (accounts.FORGET_USER, ("o7", "nobody")),
    "forget the user of": (accounts.FORGET_RESPONSES_USER, ("o7", "r77-9")),
    "owners of a user": (accounts.OWNERS_OF_USER, ("nobody",)),
    "expired": (EXPIRED, (1, None, ["o8"], 100)),
    "release": (sql.RELEASE, ("r77-9", "o7", "w", 1)),
    "hand back": (sql.HAND_BACK, ("r77-9", "o7", "w", 2, "", 1)),
    "renew": (sql.RENEW, ("w", 1)),
    "renew only": (sql.RENEW_ONLY, ("w", 1, ["r77-9"])),
    "take_expired": (sql.TAKE_EXPIRED, ("w", 1, 2, 100)),
    "lock": (sql.LOCK_BRANCH_OF, ("r77-9", "o7")),
    "trim": (sql.TRIM, ([77, 78],)),
    "purge id": (sql.PLACES_OF_ID, ("o7", "r77-9")),
    "purge user": (sql.PLACES_OF_USER, ("o7", "nobody")),
    "blank": (sql.BLANK, ([77, 78], [1, 2])),
    "delete at": (sql.DELETE_AT, ([77, 78], [1, 2])),
    "conversation": (sql.CONVERSATION, ("r77-9", "o7")),
    "lock conversation": (sql.LOCK_CONVERSATION, ("r77-9", "o7")),
    "lock branches of": (sql.LOCK_BRANCHES_OF, ("r77-9", "r5-1")),
    "delete conversation": (sql.DELETE_CONVERSATION, ("r77-9",)),
    "lock forks": (sql.LOCK_FORKS, ([77, 78],)),
    "runs": (sql.RUNS, ("r77-9", "r5-1")),
    "append": (sql.APPEND, ("r77-9", "o7", 1, b"[]")),
    "appended": (sql.APPENDED, ("r77-9", "o7", b"[]")),
    "erase conversations": (sql.ERASE_CONVERSATIONS, ("o7",)),
}

PLANNED = """
SELECT statement, custom_plans, generic_plans + custom_plans AS runs FROM pg_prepared_statements
"""

BY_OWNER = {"erase conversations", "expired"}
"""What is asked for all of an owner's, rather than for one id."""


@pytest.mark.parametrize("plans", ["force_custom_plan", "force_generic_plan"])
async def test_no_statement_reads_everybodys_rows(postgres_dsn: str, plans: str) -> None:
    async with PostgresStore(postgres_dsn):
        pass
    connection = await asyncpg.connect(postgres_dsn)
    try:
        await connection.execute(
            """
            INSERT INTO rmw_branch SELECT n, 'o' || n % 70, NULLIF(n % 10, n % 20), 5
            FROM generate_series(1, 3000) n;
            INSERT INTO rmw_turn SELECT n, d, '[]', '[]' FROM generate_series(1, 3000) n,
            generate_series(0, 9) d;
            INSERT INTO rmw_response SELECT 'r' || n || '-' || d, 'o' || n % 70, n, d, 'completed',
            NULL, NULL, 1, 0, n, '{}' FROM generate_series(1, 3000) n, generate_series(0, 9) d;
            INSERT INTO rmw_conversation SELECT 'r' || n || '-9', 'o' || n % 70, n, '{}', NULL,
            'r' || n || '-8' FROM generate_series(1, 3000) n;
            INSERT INTO rmw_usage SELECT 'r' || n || '-1', 'o' || n % 70, n, 'completed', 'u' || n,
            NULL, 'm', NULL, NULL, 0, 0, 0, 0, 0, 0, true FROM generate_series(1, 3000) n;
            INSERT INTO rmw_key SELECT 'k' || n, n::text::bytea, 'o' || n % 70, n, NULL, NULL, NULL,
            NULL, NULL, 0, NULL, NULL, 0, 0, 0 FROM generate_series(1, 3000) n;
            ANALYZE;
            """
        )
        await connection.execute(f"SET plan_cache_mode = {plans}")
        for name, (statement, arguments) in STATEMENTS.items():
            prepared = await connection.prepare(statement)
            plan = await prepared.explain(*arguments)
            scans = [node for node in _nodes(plan) if node["Node Type"] == "Seq Scan"]
            assert [node["Relation Name"] for node in scans] == [], (name, plan)
    finally:
        await connection.close()


@pytest.mark.parametrize("plans", ["force_custom_plan", "force_generic_plan"])
async def test_who_has_stored_much_is_not_looked_through_for_one_id(
    postgres_dsn: str, plans: str
) -> None:
    """Before anything was analysed, as in the first minute of a database."""
    async with PostgresStore(postgres_dsn):
        pass
    connection = await asyncpg.connect(postgres_dsn)
    try:
        await connection.execute(f"SET plan_cache_mode = {plans}")
        looked = set()
        for name, (statement, arguments) in STATEMENTS.items():
            prepared = await connection.prepare(statement)
            used = {node.get("Index Name") for node in _nodes(await prepared.explain(*arguments))}
            if used & {"ix_rmw_response_owner", "ix_rmw_conversation_owner"}:
                looked.add(name)
        assert looked == BY_OWNER
    finally:
        await connection.close()


async def test_what_is_asked_again_and_again_is_not_planned_anew(postgres_dsn: str) -> None:
    """Planning takes longer than running what a turn needs. Postgres plans a statement five times,
    and then again each time unless it thinks nothing of what the values tell it."""
    times = 20
    async with PostgresStore(postgres_dsn) as store:
        for number in range(times):
            first, second, third, behind = (f"{name}{number}" for name in "abcd")
            await talk(store, await begin(store, f"conv{number}"), first, second)
            await say(store, behind, await say(store, third))
            await store.history(behind, owner=OWNER)
            await store.delete(behind, owner=OWNER)
            await store.delete_conversation(f"conv{number}", owner=OWNER)
        rows = await store._fetch(PLANNED)

    planned = {row["statement"]: row["custom_plans"] for row in rows if row["runs"] >= times}
    assert {sql.RESERVE_IN_CONVERSATION, sql.RUNS, sql.TRIM} <= planned.keys()
    assert [statement for statement, plans in planned.items() if plans > times / 2] == []


def _nodes(plan: Any) -> Iterator[dict[str, Any]]:
    if isinstance(plan, list):
        for part in plan:
            yield from _nodes(part)
    elif isinstance(plan, dict):
        if "Node Type" in plan:
            yield plan
        for part in plan.values():
            yield from _nodes(part)
