"""Turns as they begin and end in a SQLite database: one statement for all of those that wait.

Every step of a statement gives up the GIL and must win it back from a busy event loop, so a turn's
rows are made inside SQLite: what is known of a turn is inserted into a view as one row, and the
view's trigger takes it apart. A row that cannot be taken refuses its whole statement.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any

from stores import account_statements as accounts
from stores.base import StoreError
from stores.branch_ids import new_branch_id
from stores.sqlite_operations import HANDLE, IS_LEASED, IS_OWNED, Counted, Handle

ABSENT = "what this turn builds on is not there"

_PLACELESS = "cancel_requested, status" + HANDLE.partition("status")[2]
_PARENT = f"FROM rmw_response r WHERE {IS_OWNED.format('new.parent', 'new.owner')}"
# Branches come first: by then it is there, if the parent's next place was taken.
_BRANCH = """
ifnull((SELECT id FROM rmw_branch WHERE id = new.branch AND parent = r.branch AND fork = r.depth),
    r.branch)
"""
_USED = ", ".join(f"used_{column}" for column in accounts.USAGE_COLUMNS.split(", "))


def _new(columns: str) -> str:
    return ", ".join(f"new.{column}" for column in columns.split(", "))


@dataclass(frozen=True, slots=True, eq=False)
class View:
    name: str
    columns: str
    trigger: str

    @property
    def definition(self) -> str:
        nothing = ", ".join(f"NULL AS {column}" for column in self.columns.split(", "))
        return (
            f"CREATE TEMP VIEW {self.name} AS SELECT {nothing};"
            f"CREATE TEMP TRIGGER {self.name}_taken INSTEAD OF INSERT ON {self.name}"
            f" BEGIN {self.trigger} END;"
        )


FIRST = View(
    "turn_first",
    f"{HANDLE}, input, end_user",
    f"""
INSERT INTO rmw_branch (id, owner) VALUES (new.branch, new.owner);
INSERT INTO rmw_turn (branch, depth, input, end_user)
    VALUES (new.branch, new.depth, new.input, new.end_user);
INSERT INTO rmw_response ({HANDLE}) VALUES ({_new(HANDLE)});
""",
)

NEXT = View(
    "turn_next",
    f"{HANDLE}, input, end_user, parent",
    f"""
INSERT INTO rmw_branch (id, owner, parent, fork)
    SELECT new.branch, new.owner, r.branch, r.depth {_PARENT}
    AND EXISTS (SELECT 1 FROM rmw_turn t WHERE t.branch = r.branch AND t.depth = r.depth + 1);
INSERT INTO rmw_turn (branch, depth, input, end_user)
    SELECT {_BRANCH}, r.depth + 1, new.input, new.end_user {_PARENT};
INSERT INTO rmw_response (id, owner, branch, depth, {_PLACELESS})
    SELECT new.id, new.owner, {_BRANCH}, r.depth + 1, {_new(_PLACELESS)} {_PARENT};
SELECT RAISE (ABORT, '{ABSENT}') WHERE changes() = 0;
""",
)

END = View(
    "turn_end",
    "id, owner, worker, attempt, status, body, deployment, cost_nano, output, scope, native, cuts,"
    f" {_USED}, charged, cost, tokens, minute",
    f"""
UPDATE rmw_response SET status = new.status, body = new.body, deployment = new.deployment,
    cost_nano = new.cost_nano, worker = NULL, lease_until = NULL, request = NULL
    WHERE {IS_LEASED.format("new.id", "new.owner", "new.worker", "new.attempt")};
SELECT RAISE (ABORT, '{ABSENT}') WHERE changes() = 0;
UPDATE rmw_turn SET output = new.output, scope = new.scope, native = new.native, cuts = new.cuts
    WHERE (branch, depth) = (SELECT branch, depth FROM rmw_response WHERE id = new.id);
UPDATE rmw_response SET deployment = new.deployment,
    (branch, depth) = (SELECT branch, depth FROM rmw_response WHERE id = new.id)
    WHERE id = (SELECT c.id FROM rmw_response r
        CROSS JOIN rmw_conversation c ON c.id = r.conversation
        WHERE r.id = new.id AND c.running = r.id);
INSERT INTO rmw_usage ({accounts.USAGE_COLUMNS}) SELECT {_new(_USED)}
    WHERE new.used_response IS NOT NULL {accounts.AGAIN};
{accounts.charging("new.charged", "new.cost", "new.tokens", "new.minute")};
""",
)

NOTHING: Counted = (None,) * 18, (None, 0, 0, 0)
"""In END's place for what was used, where nothing is counted."""

VIEWS = (FIRST, NEXT, END)
"""In the order in which those that wait together are taken."""


@dataclass(frozen=True, slots=True)
class Row:
    """Called, it is written alone; false where what it builds on is not there."""

    view: View
    values: tuple[Any, ...]

    @property
    def size(self) -> int:
        """In bytes, of what may be long."""
        return sum(len(value) for value in self.values if isinstance(value, bytes))

    def __call__(self, db: sqlite3.Connection) -> bool:
        values = self.values
        while True:
            try:
                insert(db, self.view, [values])
            except sqlite3.IntegrityError as error:
                if str(error) == ABSENT:
                    return False
                if "rmw_branch.id" in str(error):
                    # Taken: two lines of one id would read each other's turns.
                    values = (*values[:2], new_branch_id(), *values[3:])
                    continue
                if "rmw_response.id" in str(error):
                    raise StoreError(f"the id {values[0]!r} exists; take a new one") from error
                raise
            return True


def begun(
    id: str, owner: str, parent: str | None, turn: tuple[bytes, str | None], handle: Handle
) -> Row:
    """`turn` is (input, end_user)."""
    values = (id, owner, new_branch_id(), 0, 0, *handle, *turn)
    return Row(FIRST, values) if parent is None else Row(NEXT, (*values, parent))


def insert(db: sqlite3.Connection, view: View, rows: Sequence[tuple[Any, ...]]) -> None:
    db.execute(_text(view, len(rows)), tuple(chain.from_iterable(rows)))


@cache
def _text(view: View, rows: int) -> str:
    row = f"({', '.join('?' for _ in view.columns.split(', '))})"
    return f"INSERT INTO {view.name} VALUES {', '.join([row] * rows)}"


def define(db: sqlite3.Connection) -> None:
    """For this connection; the file knows nothing of it."""
    # Another connection may have made the tables: naming one here has SQLite look again, which it
    # does not for a trigger.
    db.execute("SELECT 1 FROM rmw_response LIMIT 0")
    db.executescript("".join(view.definition for view in VIEWS))
