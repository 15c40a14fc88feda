"""The statements about usage, keys and retention that SQLite and Postgres share, and their rows.

Values are numbered `$1`; SQLite calls that `?1`. A minute is counted from the epoch; where clocks
differ, the latest minute that anybody counted in is the one that goes on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from itertools import chain, count
from typing import TYPE_CHECKING, Any

from stores.accounts import (
    ExportedTurn,
    KeyChanges,
    Refusal,
    StoredKey,
    Usage,
    UsageQuery,
    UsageTotal,
)
from stores.base import StoreError
from stores.codec import decode, encode, from_micros, text, to_micros

if TYPE_CHECKING:
    from stores.usage_query import Dialect

MINUTE = 60_000_000

USAGE_COLUMNS = (
    "response, owner, created_at, status, end_user, api_key, model, deployment, chain, tags,"
    " input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost_nano,"
    " cost_known, estimated"
)
_SUMMED = (
    "input_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_nano",
)
_ADDED = ", ".join(f"{column} = rmw_usage.{column} + excluded.{column}" for column in _SUMMED)
AGAIN = f"""
ON CONFLICT (response) DO UPDATE SET status = excluded.status, {_ADDED},
    cost_known = rmw_usage.cost_known AND excluded.cost_known
"""


def counting(first: int, source: str = "") -> str:
    """Inserts a usage row of 18 values from `$first` on, for each row of `source` if there is
    one."""
    values = ", ".join(f"${number}" for number in range(first, first + 18))
    rows = f"SELECT {values} FROM {source} WHERE true" if source else f"VALUES ({values})"
    return f"INSERT INTO rmw_usage ({USAGE_COLUMNS}) {rows} {AGAIN}"


COUNT = counting(1)
COUNT_ONCE = COUNT.replace(AGAIN, "ON CONFLICT (response) DO NOTHING RETURNING 1")


def charging(id: str, cost: str, tokens: str, minute: str) -> str:
    return f"""
UPDATE rmw_key SET spent_nano = spent_nano + {cost},
    minute_tokens = CASE WHEN minute >= {minute} THEN minute_tokens ELSE 0 END + {tokens},
    minute_requests = CASE WHEN minute >= {minute} THEN minute_requests ELSE 0 END,
    minute = CASE WHEN minute >= {minute} THEN minute ELSE {minute} END
WHERE id = {id}
"""


CHARGE = charging("$1", "$2", "$3", "$4")

_KEY_COLUMNS = (
    "id, owner, created_at, name, models, max_budget_nano, budget_s, budget_ends, spent_nano, rpm,"
    " tpm, expires_at, revoked_at, blocked"
)

ADD_KEY = f"""
INSERT INTO rmw_key ({_KEY_COLUMNS}, digest, minute, minute_requests, minute_tokens)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 0, 0, 0)
"""

KEY = f"SELECT {_KEY_COLUMNS} FROM rmw_key WHERE digest = $1"

KEY_BY_ID = f"SELECT {_KEY_COLUMNS} FROM rmw_key WHERE id = $1"

KEYS = f"SELECT {_KEY_COLUMNS} FROM rmw_key ORDER BY created_at, id"

OWNERS_KEYS = f"SELECT {_KEY_COLUMNS} FROM rmw_key WHERE owner = $1 ORDER BY created_at, id"

REVOKE = "UPDATE rmw_key SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL RETURNING id"

_CHANGED = (
    "budget_s",
    "name",
    "models",
    "max_budget_nano",
    "rpm",
    "tpm",
    "expires_at",
    "blocked",
)
_SET = ",\n    ".join(
    f"{column} = CASE WHEN ${flag} THEN ${flag + 1} ELSE {column} END"
    for flag, column in zip(count(3, 2), _CHANGED, strict=False)
)
_ANOTHER_TIME = "$3 AND ($4 IS NULL OR budget_s IS NULL OR budget_s <> $4)"

# Each column has a flag, whether it becomes another, and a value.
CHANGE_KEY = f"""
UPDATE rmw_key SET
    {_SET},
    spent_nano = CASE WHEN {_ANOTHER_TIME} AND budget_ends <= $2 THEN 0 ELSE spent_nano END,
    budget_ends = CASE WHEN {_ANOTHER_TIME} THEN $2 + $4 * 1000000 ELSE budget_ends END
WHERE id = $1 AND revoked_at IS NULL RETURNING {_KEY_COLUMNS}
"""

# All the conditions stand in the update itself: two who ask at once are let in one after the other.
ADMIT = """
UPDATE rmw_key SET
    spent_nano = CASE WHEN budget_ends <= $2 THEN 0 ELSE spent_nano END,
    budget_ends = CASE WHEN budget_ends <= $2 THEN $2 + budget_s * 1000000 ELSE budget_ends END,
    minute_requests = CASE WHEN minute >= $3 THEN minute_requests + 1 ELSE 1 END,
    minute_tokens = CASE WHEN minute >= $3 THEN minute_tokens ELSE 0 END,
    minute = CASE WHEN minute >= $3 THEN minute ELSE $3 END
WHERE id = $1 AND revoked_at IS NULL AND blocked IS NOT TRUE
    AND (expires_at IS NULL OR expires_at > $2)
    AND (max_budget_nano IS NULL OR spent_nano < max_budget_nano OR budget_ends <= $2)
    AND (rpm IS NULL OR minute < $3 OR minute_requests < rpm)
    AND (tpm IS NULL OR minute < $3 OR minute_tokens < tpm)
RETURNING id
"""

STANDING = f"""
SELECT {_KEY_COLUMNS}, minute, minute_requests, minute_tokens FROM rmw_key WHERE id = $1
"""

FORGET_USER = "UPDATE rmw_usage SET end_user = NULL WHERE owner = $1 AND end_user = $2"
FORGET_RESPONSES_USER = "UPDATE rmw_usage SET end_user = NULL WHERE owner = $1 AND response = $2"
FORGET_OWNERS_USERS = (
    "UPDATE rmw_usage SET end_user = NULL WHERE owner = $1 AND end_user IS NOT NULL"
)

OWNERS_OF_USER = """
SELECT b.owner FROM rmw_turn t JOIN rmw_branch b ON b.id = t.branch WHERE t.end_user = $1
UNION SELECT owner FROM rmw_usage WHERE end_user = $1 ORDER BY 1
"""
OWNER_OF_ID = "SELECT owner FROM rmw_response WHERE id = $1"
OWNERS = """
SELECT DISTINCT owner FROM rmw_branch UNION SELECT DISTINCT owner FROM rmw_usage ORDER BY 1
"""

# $6 is an empty list: turns that were purged, and what conversations begin with, hold nothing.
EXPORT = """
SELECT t.branch, t.depth, b.owner, r.id, r.status, r.created_at, t.end_user, r.body, t.input,
    t.output
FROM rmw_turn t JOIN rmw_branch b ON b.id = t.branch
    LEFT JOIN rmw_response r ON r.branch = t.branch AND r.depth = t.depth
        AND (r.conversation IS NULL OR r.conversation <> r.id)
WHERE (t.branch, t.depth) > ($1, $2)
    AND (CAST($3 AS TEXT) IS NULL OR b.owner = $3) AND (CAST($4 AS TEXT) IS NULL OR t.end_user = $4)
    AND (t.input <> $6 OR t.output IS NOT NULL)
ORDER BY t.branch, t.depth LIMIT $5
"""


def usage_values(usage: Usage, end_user: str | None) -> tuple[Any, ...]:
    """In the order of `counting`."""
    return (
        usage.response,
        usage.owner,
        to_micros(usage.created_at),
        usage.status,
        end_user,
        usage.api_key,
        text(usage.model, "the model"),
        usage.deployment,
        usage.chain,
        encode(list(usage.tags), "tags").decode() if usage.tags else None,
        usage.input_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
        usage.cost_nano or 0,
        usage.cost_nano is not None,
        usage.estimated,
    )


def charge_values(usage: Usage) -> tuple[str | None, int, int, int]:
    """In the order of CHARGE."""
    tokens = usage.input_tokens + usage.output_tokens
    return usage.api_key, usage.charge_nano, tokens, minute_of(usage.ended_at)


def minute_of(moment: datetime) -> int:
    return to_micros(moment) // MINUTE


def key_values(key: StoredKey, digest: bytes) -> tuple[Any, ...]:
    """In the order of ADD_KEY."""
    return (
        text(key.id, "the id"),
        text(key.owner, "the owner"),
        to_micros(key.created_at),
        None if key.name is None else text(key.name, "the name"),
        None if key.models is None else encode(list(key.models), "models"),
        key.max_budget_nano,
        key.budget_s,
        _micros(key.budget_ends),
        key.spent_nano,
        key.rpm,
        key.tpm,
        _micros(key.expires_at),
        _micros(key.revoked_at),
        key.blocked,
        digest,
    )


def change_values(changes: KeyChanges, at: datetime) -> tuple[Any, ...]:
    """In the order of CHANGE_KEY, behind the id."""
    columns: dict[str, Any] = {**changes}
    name, models = changes.get("name"), changes.get("models")
    if name is not None:
        columns["name"] = text(name, "the name")
    if models is not None:
        columns["models"] = encode(list(models), "models")
    columns["expires_at"] = _micros(changes.get("expires_at"))
    pairs = ((column in changes, columns.get(column)) for column in _CHANGED)
    return (to_micros(at), *chain.from_iterable(pairs))


def key_of(row: Any) -> StoredKey:
    """Of a row of KEY."""
    id, owner, created_at, name, models, budget, budget_s, ends, spent, rpm, tpm, *others = row
    expires_at, revoked_at, blocked = others
    return StoredKey(
        id=id,
        owner=owner,
        created_at=from_micros(created_at),
        name=name,
        models=None if models is None else tuple(decode(models)),
        max_budget_nano=budget,
        budget_s=budget_s,
        budget_ends=_moment(ends),
        spent_nano=spent,
        rpm=rpm,
        tpm=tpm,
        expires_at=_moment(expires_at),
        revoked_at=_moment(revoked_at),
        blocked=bool(blocked),
    )


def refusal(row: Any, now: datetime) -> Refusal:
    """Why a key of this row of STANDING (None: there is none) was not admitted."""
    if row is None:
        return Refusal("gone")
    *columns, minute, requests, tokens = row
    return refused(key_of(columns), now, minute=minute, requests=requests, tokens=tokens)


def refused(key: StoredKey, now: datetime, *, minute: int, requests: int, tokens: int) -> Refusal:
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
        return Refusal("gone")
    if key.blocked:
        return Refusal("blocked")
    if key.max_budget_nano is not None and key.spent_nano >= key.max_budget_nano:
        return Refusal("budget", key.budget_ends)
    next_minute = from_micros((max(minute, minute_of(now)) + 1) * MINUTE)
    if key.tpm is not None and tokens >= key.tpm and (key.rpm is None or requests < key.rpm):
        return Refusal("tpm", next_minute)
    return Refusal("rpm", next_minute)


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else to_micros(moment)


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


def exported(row: Any) -> ExportedTurn:
    """Of a row of EXPORT."""
    branch, depth, owner, id, status, created_at, end_user, body, input, output = row
    return ExportedTurn(
        cursor=f"{branch}:{depth}",
        owner=owner,
        id=id,
        status=status,
        created_at=_moment(created_at),
        end_user=end_user,
        body=None if body is None else decode(body),
        input=decode(input),
        output=[] if output is None else decode(output),
    )


def place_of(cursor: str | None) -> tuple[int, int]:
    """Where to go on. Raises StoreError for what is no cursor."""
    if cursor is None:
        return -1, -1
    branch, _, depth = cursor.partition(":")
    if not (branch.isdecimal() and depth.isdecimal() and len(branch) < 20 and len(depth) < 10):
        raise StoreError(f"{cursor[:50]!r} is no cursor of an export: take the last line's")
    return int(branch), int(depth)


async def aggregate(
    query: UsageQuery,
    dialect: "Dialect",
    fetch: Callable[..., Awaitable[Sequence[Any]]],
) -> list[UsageTotal]:
    """`fetch(statement, *values)` asks the database."""

    def built() -> tuple[str, tuple[Any, ...]]:
        from stores import usage_query  # with SQLAlchemy: half a second, in a thread

        return usage_query.statement(query, dialect)

    statement, values = await asyncio.to_thread(built)
    from stores.usage_query import total

    return [total(query, row) for row in await fetch(statement, *values)]
