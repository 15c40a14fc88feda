"""What each store method does to a SQLite database: the statements, and the rules of branches.

Plain functions of a connection, run inside a transaction that somebody else commits. No threads,
no event loop, no JSON.
"""

import secrets
import sqlite3
from collections.abc import Iterable
from typing import Any

from stores.base import StoreError

Place = tuple[int, int]
"""(branch, depth)"""

# One row per branch, the youngest first. Two things here are measured, not taste. The correlated
# subquery forces the walk from branches to turns: in a plain join the planner may scan all turns.
# And the turns are joined inside SQLite: every row that Python fetches gives up the GIL and must
# win it back from a busy event loop, which made 1,000 rows take a second.
HISTORY = """
WITH RECURSIVE line(branch, upto, parent, fork, status) AS (
    SELECT r.branch, r.depth, b.parent, b.fork, r.status
    FROM rmw_response r CROSS JOIN rmw_branch b ON b.id = r.branch
    WHERE r.id = ? AND r.owner = ?
    UNION ALL
    SELECT line.parent, line.fork, b.parent, b.fork, NULL
    FROM line CROSS JOIN rmw_branch b ON b.id = line.parent
)
SELECT status, upto, (
    SELECT CAST(group_concat(turn, ',') AS BLOB) FROM (
        SELECT CASE
            WHEN native IS NOT NULL
                THEN input || ',' || output || ',[' || json_quote(scope) || ',' || native || ']'
            WHEN output IS NOT NULL THEN input || ',' || output || ',null'
            ELSE input || ',[],null' END AS turn
        FROM rmw_turn WHERE rmw_turn.branch = line.branch AND depth <= line.upto ORDER BY depth
    )
) FROM line
"""

RESPONSE = """
SELECT r.id, r.owner, r.status, r.body, t.output, r.created_at, r.worker, r.lease_until,
    r.attempt, r.cancel_requested, r.request
FROM rmw_response r CROSS JOIN rmw_turn t ON t.branch = r.branch AND t.depth = r.depth
WHERE r.id = ?
"""
OWNED_RESPONSE = RESPONSE + " AND r.owner = ?"

INPUT = """
SELECT t.input
FROM rmw_response r CROSS JOIN rmw_turn t ON t.branch = r.branch AND t.depth = r.depth
WHERE r.id = ? AND r.owner = ?
"""

META = "SELECT value FROM rmw_meta WHERE key = ?"

RUNNING = "status IN ('queued', 'in_progress')"
LEASED = f"id = ? AND owner = ? AND worker = ? AND attempt = ? AND {RUNNING}"

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
    parent: str | None,
    turn: tuple[bytes, str | None],
    handle: tuple[str, str, int, int, int, bytes, bytes | None],
) -> bool:
    """`turn` is (input, end_user), `handle` the columns from `status` on as they stand below."""
    place = _root(db, owner, turn) if parent is None else _behind(db, owner, parent, turn)
    if place is None:
        return False
    try:
        db.execute(
            "INSERT INTO rmw_response (id, owner, branch, depth, cancel_requested, status, worker,"
            " lease_until, attempt, created_at, body, request)"
            " VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?)",
            (id, owner, *place, *handle),
        )
    except sqlite3.IntegrityError as error:
        raise StoreError(f"the response {id!r} exists; take a new id") from error
    return True


def _root(db: sqlite3.Connection, owner: str, turn: tuple[bytes, str | None]) -> Place:
    place = (_new_branch(db, owner), 0)
    _insert_turn(db, place, turn)
    return place


def _behind(
    db: sqlite3.Connection, owner: str, parent: str, turn: tuple[bytes, str | None]
) -> Place | None:
    """The next depth of the parent's branch; a new branch if another turn stands there."""
    found = db.execute(
        "SELECT branch, depth FROM rmw_response WHERE id = ? AND owner = ?", (parent, owner)
    ).fetchone()
    if found is None:
        return None
    branch, depth = found
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
        id = secrets.randbits(63)
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


def finish(
    db: sqlite3.Connection,
    leased: tuple[str | None, str | None, str | None, int],
    *,
    status: str,
    body: bytes,
    turn: tuple[bytes, str | None, bytes | None],
) -> bool:
    """`leased` is (id, owner, worker, attempt), `turn` is (output, scope, native)."""
    ended = db.execute(
        "UPDATE rmw_response SET status = ?, body = ?, worker = NULL, lease_until = NULL,"
        f" request = NULL WHERE {LEASED} RETURNING branch, depth",
        (status, body, *leased),
    ).fetchall()
    for place in ended:
        db.execute(
            "UPDATE rmw_turn SET output = ?, scope = ?, native = ? WHERE branch = ? AND depth = ?",
            (*turn, *place),
        )
    return bool(ended)


def release(db: sqlite3.Connection, leased: tuple[str | None, str | None, str | None, int]) -> bool:
    return _remove_handles(db, LEASED, leased)


def renew(db: sqlite3.Connection, worker: str | None, until: int) -> list[str]:
    renewed = db.execute(
        "UPDATE rmw_response SET lease_until = ? WHERE worker = ? RETURNING id, cancel_requested",
        (until, worker),
    ).fetchall()
    return [id for id, cancel_requested in renewed if cancel_requested]


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
    return _remove_handles(db, "id = ? AND owner = ?", (id, owner))


def _remove_handles(db: sqlite3.Connection, where: str, values: Iterable[Any]) -> bool:
    removed = db.execute(
        f"DELETE FROM rmw_response WHERE {where} RETURNING branch", tuple(values)
    ).fetchall()
    for (branch,) in removed:
        _trim(db, branch)
    return bool(removed)


def _trim(db: sqlite3.Connection, branch: int | None) -> None:
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
        "SELECT branch, depth FROM rmw_response WHERE id = ? AND owner = ?", (id, owner)
    ).fetchall()
    return _blank(db, places)


def purge_user(db: sqlite3.Connection, user: str | None, owner: str | None) -> int:
    places = db.execute(
        "SELECT t.branch, t.depth FROM rmw_turn t CROSS JOIN rmw_branch b ON b.id = t.branch"
        " WHERE t.end_user = ? AND b.owner = ?",
        (user, owner),
    ).fetchall()
    return _blank(db, places)


def _blank(db: sqlite3.Connection, places: list[Place]) -> int:
    """x'5B5D' is an empty list."""
    for place in places:
        db.execute(
            "UPDATE rmw_turn SET input = x'5B5D', output = NULL, scope = NULL, native = NULL,"
            " end_user = NULL WHERE branch = ? AND depth = ?",
            place,
        )
        db.execute("DELETE FROM rmw_response WHERE branch = ? AND depth = ?", place)
    for branch in {branch for branch, _ in places}:
        _trim(db, branch)
    _count_purge(db)
    return len(places)


def purge_owner(db: sqlite3.Connection, owner: str | None) -> int:
    """All of an owner's branches are reached from the handles: no branch outlives its last one."""
    turns = 0
    for branch in db.execute(OWNERS_BRANCHES, (owner,)).fetchall():
        turns += db.execute("DELETE FROM rmw_turn WHERE branch = ?", branch).rowcount
        db.execute("DELETE FROM rmw_response WHERE branch = ?", branch)
        db.execute("DELETE FROM rmw_branch WHERE id = ?", branch)
    _count_purge(db)
    return turns


def _count_purge(db: sqlite3.Connection) -> None:
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
