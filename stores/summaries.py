"""Compactions in stored answers: what an application put in the place of the turns before them.

They are the one kind of item that a store looks into, and only to empty them: what they sum up is
to be erased with the turns it was taken from.
"""

from typing import Any

from stores.codec import decode, encode

MARK = b'"compaction"'

# Turns that go on from the turn $2 of the branch $1, in it and in those that grow from it there.
BELOW = """
WITH RECURSIVE below(branch, above) AS (
    SELECT CAST($1 AS BIGINT), CAST($2 AS INTEGER)
    UNION
    SELECT b.id, b.fork FROM below JOIN rmw_branch b ON b.parent = below.branch
    AND b.fork >= below.above
)
SELECT t.branch, t.depth, t.output
FROM below CROSS JOIN rmw_turn t
WHERE t.branch = below.branch AND t.depth > below.above AND t.output IS NOT NULL
"""

WRITE = "UPDATE rmw_turn SET output = $3 WHERE branch = $1 AND depth = $2"


def emptied(output: bytes | None) -> bytes | None:
    """The answer with its compactions empty; None where there is nothing to empty. Each stays in
    its place, for the stream of the answer to be told again."""
    if output is None or MARK not in output:
        return None
    items: list[dict[str, Any]] = decode(output)
    left = [
        {**item, "encrypted_content": ""} if item.get("type") == "compaction" else item
        for item in items
    ]
    return None if left == items else encode(left, "output")
