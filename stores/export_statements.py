"""The statements that hand over conversations and usage, shared by SQLite and Postgres, and their
rows. Turns are in `account_statements`.

Each page begins behind a key that never changes, so an export can stop and go on anywhere.
"""

from typing import Any

from stores.account_statements import USAGE_COLUMNS
from stores.accounts import ExportedConversation, ExportedUsage
from stores.codec import decode, from_micros

# A user's conversations are those whose line, up to its first turn, has a turn of theirs.
CONVERSATIONS = """
SELECT c.id, c.owner, c.created_at, c.body, c.hidden, head.branch, head.depth
FROM rmw_conversation c JOIN rmw_response head ON head.id = c.id
WHERE c.id > $1 AND (CAST($2 AS TEXT) IS NULL OR c.owner = $2)
    AND (CAST($3 AS TEXT) IS NULL OR EXISTS (
        WITH RECURSIVE line(branch, upto, parent, fork) AS (
            SELECT b.id, head.depth, b.parent, b.fork FROM rmw_branch b WHERE b.id = head.branch
            UNION ALL
            SELECT b.id, line.fork, b.parent, b.fork
            FROM line JOIN rmw_branch b ON b.id = line.parent
        )
        SELECT 1 FROM line JOIN rmw_turn t ON t.branch = line.branch AND t.depth <= line.upto
        WHERE t.end_user = $3))
ORDER BY c.id LIMIT $4
"""

USAGE = f"""
SELECT {USAGE_COLUMNS} FROM rmw_usage
WHERE response > $1 AND (CAST($2 AS TEXT) IS NULL OR owner = $2)
    AND (CAST($3 AS TEXT) IS NULL OR end_user = $3)
ORDER BY response LIMIT $4
"""


def conversation(row: Any) -> ExportedConversation:
    """Of a row of CONVERSATIONS."""
    id, owner, created_at, body, hidden, branch, depth = row
    return ExportedConversation(
        cursor=id,
        owner=owner,
        id=id,
        created_at=from_micros(created_at),
        body=decode(body),
        hidden=() if hidden is None else tuple(sorted(decode(hidden))),
        last_turn=f"{branch}:{depth}",
    )


def usage(row: Any) -> ExportedUsage:
    """Of a row of USAGE."""
    values = dict(zip(USAGE_COLUMNS.replace(" ", "").split(","), row, strict=True))
    tags, known = values.pop("tags"), values.pop("cost_known")
    cost, created_at = values.pop("cost_nano"), values.pop("created_at")
    return ExportedUsage(
        cursor=values["response"],
        **{**values, "estimated": bool(values["estimated"])},
        created_at=from_micros(created_at),
        tags=() if tags is None else tuple(decode(tags)),
        cost_nano=cost if known else None,
    )
