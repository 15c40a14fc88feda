"""What each store method does to a SQLite database: the statements, and the rules of branches.

Plain functions of a connection, run inside a transaction that somebody else commits. No threads,
no event loop, no JSON.
"""

import secrets
import sqlite3
from collections.abc import Iterable
from typing import Any

from stores import account_statements as accounts
from stores.base import ConversationLocked, StoreError
from stores.branch_ids import new_branch_id

Place = tuple[int, int]
"""(branch, depth)"""

Counted = tuple[tuple[Any, ...], tuple[str | None, int, int, int]]
"""What a response used, and what its key is charged."""

Leased = tuple[str | None, str | None, str | None, int]
"""(id, owner, worker, attempt)"""

Handle = tuple[str | int | bytes | None, ...]
"""A response's columns from `status` on, in the order of `insert`."""

# One row per branch, the youngest first. Two things here are measured, not taste. The correlated
# subquery forces the walk from branches to turns: in a plain join the planner may scan all turns.
# And the turns are joined inside SQLite: every row that Python fetches gives up the GIL and must
# win it back from a busy event loop, which made 1,000 rows take a second.
HISTORY = """
WITH RECURSIVE line(branch, upto, parent, fork, status, deployment, chain, depth) AS (
    SELECT r.branch, r.depth, b.parent, b.fork, r.status, r.deployment, r.chain, r.depth
    FROM rmw_response r CROSS JOIN rmw_branch b ON b.id = r.branch
    WHERE r.id = ? AND r.owner = ?
    UNION ALL
    SELECT line.parent, line.fork, b.parent, b.fork, NULL, NULL, NULL, line.depth
    FROM line CROSS JOIN rmw_branch b ON b.id = line.parent
)
SELECT status, deployment, chain, upto, (
    SELECT CAST(group_concat(turn, ',') AS BLOB) FROM (
        SELECT CASE
            WHEN native IS NOT NULL
                THEN input || ',' || output || ',[' || json_quote(scope) || ',' || native || ']'
            WHEN output IS NOT NULL THEN input || ',' || output || ',null'
            ELSE input || ',[],null' END AS turn
        FROM rmw_turn t
        WHERE t.branch = line.branch AND t.depth <= line.upto AND line.depth < ? ORDER BY t.depth
    )
) FROM line
"""
SHORT, ANY = 64, 1 << 62
"""HISTORY's last value: of a chain as deep as that, no turns are read."""

RESPONSE = """
SELECT r.id, r.owner, r.status, r.body, t.output, r.created_at, r.worker, r.lease_until,
    r.attempt, r.cancel_requested, r.request, t.cuts, r.conversation, r.chain, r.api_key, r.tags,
    r.deployment, r.cost_nano, t.end_user
FROM rmw_response r CROSS JOIN rmw_turn t ON t.branch = r.branch AND t.depth = r.depth
WHERE r.id = ?
"""
OWNED_RESPONSE = RESPONSE + " AND r.owner = ? AND r.conversation IS NOT r.id"

INPUT = """
SELECT t.input
FROM rmw_response r CROSS JOIN rmw_turn t ON t.branch = r.branch AND t.depth = r.depth
WHERE r.id = ? AND r.owner = ? AND r.conversation IS NOT r.id
"""

HANDLE = (
    "id, owner, branch, depth, cancel_requested, status, worker, lease_until, attempt, created_at,"
    " body, request, conversation, chain, api_key, tags"
)

META = "SELECT value FROM rmw_meta WHERE key = ?"

RUNNING = "status IN ('queued', 'in_progress')"
IS_OWNED = "id = {} AND owner = {} AND conversation IS NOT id"
OWNED = IS_OWNED.format("?", "?")
IS_LEASED = f"id = {{}} AND owner = {{}} AND worker = {{}} AND attempt = {{}} AND {RUNNING}"
LEASED = IS_LEASED.format("?", "?", "?", "?")

OWNERS_BRANCHES = """
WITH RECURSIVE mine(id) AS (
    SELECT branch FROM rmw_response WHERE owner = ?
    UNION
    SELECT b.parent FROM mine CROSS JOIN rmw_branch b ON b.id = mine.id WHERE b.parent IS NOT NULL
)
SELECT id FROM mine
"""


# --- a turn's life


def reserve(
    db: sqlite3.Connection,
    *,
    id: str,
    owner: str,
    conversation: str,
    turn: tuple[bytes, str | None],
    handle: Handle,
) -> bool:
    """In a conversation. `turn` is (input, end_user)."""
    last = lock(db, conversation, owner)
    db.execute(
        "UPDATE rmw_conversation SET running = ? WHERE id = ? AND owner = ?",
        (id, conversation, owner),
    )
    if last is None:
        return False
    insert(db, id, owner, behind(db, owner, last, turn), handle)
    return True


def insert(db: sqlite3.Connection, id: str, owner: str, place: Place, handle: Handle) -> None:
    try:
        db.execute(
            f"INSERT INTO rmw_response ({HANDLE}) VALUES (?, ?, ?, ?, 0{', ?' * 11})",
            (id, owner, *place, *handle),
        )
    except sqlite3.IntegrityError as error:
        raise StoreError(f"the id {id!r} exists; take a new one") from error


def lock(db: sqlite3.Connection, conversation: str | None, owner: str | None) -> Place | None:
    """The conversation's last turn; None if it is missing. Raises ConversationLocked.

    Nobody frees the lock: who took it last has it for as long as that response runs.
    """
    running = db.execute(
        "SELECT id FROM rmw_response WHERE conversation = ?1 AND id ="
        f" (SELECT running FROM rmw_conversation WHERE id = ?1 AND owner = ?2) AND {RUNNING}",
        (conversation, owner),
    ).fetchone()
    if running is not None:
        raise ConversationLocked(f"{running[0]!r} runs in the conversation {conversation!r}")
    last: Place | None = db.execute(
        "SELECT branch, depth FROM rmw_response WHERE id = ?1 AND owner = ?2 AND conversation = id",
        (conversation, owner),
    ).fetchone()
    return last


def root(db: sqlite3.Connection, owner: str, turn: tuple[bytes, str | None]) -> Place:
    place = (_new_branch(db, owner), 0)
    _insert_turn(db, place, turn)
    return place


def behind(
    db: sqlite3.Connection, owner: str, last: Place, turn: tuple[bytes, str | None]
) -> Place:
    """The next depth of the branch; that of a new branch if another turn stands there."""
    branch, depth = last
    place = (branch, depth + 1)
    if not _insert_turn(db, place, turn):
        place = (_new_branch(db, owner, branch, depth), depth + 1)
        _insert_turn(db, place, turn)
    return place


def _new_branch(
    db: sqlite3.Connection, owner: str, parent: int | None = None, fork: int | None = None
) -> int:
    """Tries again where the id is taken: two lines of one id would read each other's turns."""
    while True:
        id = new_branch_id()
        inserted = db.execute(
            "INSERT INTO rmw_branch (id, owner, parent, fork) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (id, owner, parent, fork),
        )
        if inserted.rowcount:
            return id


def _insert_turn(db: sqlite3.Connection, place: Place, turn: tuple[bytes, str | None]) -> bool:
    inserted = db.execute(
        "INSERT INTO rmw_turn (branch, depth, input, end_user) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (*place, *turn),
    )
    return inserted.rowcount == 1


def numbered(sql: str) -> str:
    """A shared statement with SQLite's mark before its numbers."""
    return sql.replace("$", "?")


def count(db: sqlite3.Connection, usage: Counted) -> None:
    row, charge = usage
    db.execute(numbered(accounts.COUNT), row)
    if charge[0] is not None:
        db.execute(numbered(accounts.CHARGE), charge)


def checkpoint(
    db: sqlite3.Connection, running: list[tuple[Leased, bytes, tuple[bytes, bytes | None]]]
) -> None:
    """Each is (leased, body, (output, cuts))."""
    for leased, body, turn in running:
        for place in db.execute(
            f"UPDATE rmw_response SET status = 'in_progress', body = ? WHERE {LEASED}"
            " RETURNING branch, depth",
            (body, *leased),
        ).fetchall():
            db.execute(
                "UPDATE rmw_turn SET output = ?, cuts = ? WHERE branch = ? AND depth = ?",
                (*turn, *place),
            )


def request_cancel(db: sqlite3.Connection, id: str | None, owner: str | None) -> bool:
    asked = db.execute(
        f"UPDATE rmw_response SET cancel_requested = 1 WHERE id = ? AND owner = ? AND {RUNNING}",
        (id, owner),
    )
    return asked.rowcount == 1


def release(db: sqlite3.Connection, leased: Leased) -> bool:
    return _remove_handles(db, LEASED, leased)


def take_expired(
    db: sqlite3.Connection, worker: str, *, now: int, until: int, limit: int
) -> list[tuple[Any, ...]]:
    """Rows of RESPONSE, the longest expired first."""
    expired = db.execute(
        "SELECT id FROM rmw_response INDEXED BY ix_rmw_response_worker"
        " WHERE worker IS NOT NULL AND lease_until < ? ORDER BY lease_until LIMIT ?",
        (now, limit),
    ).fetchall()
    db.executemany(
        "UPDATE rmw_response SET worker = ?, lease_until = ?, attempt = attempt + 1 WHERE id = ?",
        [(worker, until, id) for (id,) in expired],
    )
    return [db.execute(RESPONSE, each).fetchone() for each in expired]


# --- erasing


def delete(db: sqlite3.Connection, id: str | None, owner: str | None) -> bool:
    return _remove_handles(db, OWNED, (id, owner))


def _remove_handles(db: sqlite3.Connection, where: str, values: Iterable[Any]) -> bool:
    removed = db.execute(
        f"DELETE FROM rmw_response WHERE {where} RETURNING branch", tuple(values)
    ).fetchall()
    for (branch,) in removed:
        trim(db, branch)
    return bool(removed)


def trim(db: sqlite3.Connection, branch: int | None) -> None:
    """Erases the turns above what is still needed; an emptied branch goes, then its parent's turn.

    Needed is the deepest handle of the branch, or the deepest fork of a branch that grows from it.
    """
    while branch is not None:
        (floor,) = db.execute(
            "SELECT max(ifnull((SELECT max(depth) FROM rmw_response WHERE branch = ?1), -1),"
            " ifnull((SELECT max(fork) FROM rmw_branch WHERE parent = ?1), -1))",
            (branch,),
        ).fetchone()
        db.execute("DELETE FROM rmw_turn WHERE branch = ? AND depth > ?", (branch, floor))
        if floor >= 0:
            return
        emptied = db.execute(
            "DELETE FROM rmw_branch WHERE id = ? RETURNING parent", (branch,)
        ).fetchall()
        branch = emptied[0][0] if emptied else None


def purge_response(db: sqlite3.Connection, id: str | None, owner: str | None) -> int:
    places = db.execute(
        f"SELECT branch, depth FROM rmw_response WHERE {OWNED}", (id, owner)
    ).fetchall()
    db.execute(numbered(accounts.FORGET_RESPONSES_USER), (owner, id))
    return _blank(db, places)


def purge_user(db: sqlite3.Connection, user: str | None, owner: str | None) -> int:
    places = db.execute(
        "SELECT t.branch, t.depth FROM rmw_turn t CROSS JOIN rmw_branch b ON b.id = t.branch"
        " WHERE t.end_user = ? AND b.owner = ?",
        (user, owner),
    ).fetchall()
    db.execute(numbered(accounts.FORGET_USER), (owner, user))
    return _blank(db, places)


def _blank(db: sqlite3.Connection, places: list[Place]) -> int:
    """x'5B5D' is an empty list."""
    for place in places:
        db.execute(
            "UPDATE rmw_turn SET input = x'5B5D', output = NULL, scope = NULL, native = NULL,"
            " end_user = NULL, cuts = NULL WHERE branch = ? AND depth = ?",
            place,
        )
        db.execute(
            "DELETE FROM rmw_response WHERE branch = ? AND depth = ? AND conversation IS NOT id",
            place,
        )
    for branch in {branch for branch, _ in places}:
        trim(db, branch)
    count_purge(db)
    return len(places)


def purge_owner(db: sqlite3.Connection, owner: str | None) -> int:
    """All of an owner's branches are reached from the handles: no branch outlives its last one.

    A turn that holds nothing, like a conversation's first, is not counted.
    """
    turns = 0
    for branch in db.execute(OWNERS_BRANCHES, (owner,)).fetchall():
        (held,) = db.execute(
            "SELECT count(*) FROM rmw_turn"
            " WHERE branch = ? AND (input <> x'5B5D' OR output IS NOT NULL)",
            branch,
        ).fetchone()
        turns += held
        db.execute("DELETE FROM rmw_turn WHERE branch = ?", branch)
        db.execute("DELETE FROM rmw_response WHERE branch = ?", branch)
        db.execute("DELETE FROM rmw_branch WHERE id = ?", branch)
    db.execute("DELETE FROM rmw_conversation WHERE owner = ?", (owner,))
    db.execute(numbered(accounts.FORGET_OWNERS_USERS), (owner,))
    count_purge(db)
    return turns


def count_purge(db: sqlite3.Connection) -> None:
    """The epoch: whoever keeps rebuilt histories, in any process, drops those of an older one."""
    db.execute(
        "INSERT INTO rmw_meta (key, value) VALUES ('epoch', CAST(1 AS BLOB)) ON CONFLICT (key)"
        " DO UPDATE SET value = CAST(CAST(value AS INTEGER) + 1 AS BLOB)"
    )


# --- what is made once


def make_secret(db: sqlite3.Connection, key: str) -> bytes:
    db.execute(
        "INSERT INTO rmw_meta (key, value) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (key, secrets.token_bytes(32)),
    )
    value: bytes = db.execute(META, (key,)).fetchone()[0]
    return value
