"""The statements of a turn's life in Postgres: what each does, what it locks, in which order.

Only SQL, with a word on why. Nobody waits in a circle, because locks are taken in one order:
branches, those forked deepest first (a child before its parent), each before its handles, by id,
and those before its turns; `rmw_meta` last. Adding a turn holds its branch and its parent's handle
FOR KEY SHARE, which holds up nobody but who erases; that one holds its branches FOR UPDATE, so that
what its next statement sees of them stays true.
"""

# --- a turn's life

HANDLE = """
rmw_response (id, owner, branch, depth, status, worker, lease_until, attempt, cancel_requested,
              created_at, body, request)
"""

RESERVE_FIRST = f"""
WITH root AS (INSERT INTO rmw_branch (id, owner) VALUES ($3, $2)),
     turn AS (INSERT INTO rmw_turn (branch, depth, input, end_user) VALUES ($3, 0, $4, $5))
INSERT INTO {HANDLE} VALUES ($1, $2, $3, 0, $6, $7, $8, $9, 0, $10, $11, $12) RETURNING 1
"""

# The branch is locked before the handle is read: who waited here for a delete finds it gone.
RESERVE_NEXT = f"""
WITH line AS MATERIALIZED (
        SELECT id FROM rmw_branch
        WHERE id = (SELECT branch FROM rmw_response WHERE id = $13 AND owner = $2)
        FOR KEY SHARE),
     parent AS MATERIALIZED (
        SELECT r.branch, r.depth FROM line JOIN rmw_response r ON r.branch = line.id
        WHERE r.id = $13 AND r.owner = $2
        FOR KEY SHARE OF r),
     straight AS (
        INSERT INTO rmw_turn (branch, depth, input, end_user)
        SELECT branch, depth + 1, $4, $5 FROM parent
        ON CONFLICT DO NOTHING RETURNING branch),
     fork AS (
        INSERT INTO rmw_branch (id, owner, parent, fork)
        SELECT $3, $2, branch, depth FROM parent WHERE NOT EXISTS (SELECT FROM straight)
        RETURNING id),
     sibling AS (
        INSERT INTO rmw_turn (branch, depth, input, end_user)
        SELECT fork.id, depth + 1, $4, $5 FROM fork, parent RETURNING branch)
INSERT INTO {HANDLE}
SELECT $1, $2, place.branch, parent.depth + 1, $6, $7, $8, $9, 0, $10, $11, $12
FROM (SELECT branch FROM straight UNION ALL SELECT branch FROM sibling) place, parent
RETURNING 1
"""

RESERVED = "SELECT 1 FROM rmw_response WHERE id = $1 AND owner = $2 AND worker = $3 AND body = $4"

HELD = """
id = $1 AND owner = $2 AND worker = $3 AND attempt = $4 AND status IN ('queued', 'in_progress')
"""

FINISH = f"""
WITH ended AS (
   UPDATE rmw_response SET status = $5, body = $6, worker = NULL, lease_until = NULL, request = NULL
   WHERE {HELD} RETURNING branch, depth)
UPDATE rmw_turn t SET output = $7, scope = $8, native = $9
FROM ended WHERE t.branch = ended.branch AND t.depth = ended.depth RETURNING 1
"""

FINISHED = """
SELECT 1 FROM rmw_response
WHERE id = $1 AND owner = $2 AND attempt = $3 AND status = $4 AND body = $5 AND worker IS NULL
"""

RENEW = """
WITH mine AS MATERIALIZED (
        SELECT id FROM rmw_response WHERE worker = $1 ORDER BY id FOR NO KEY UPDATE),
     renewed AS (
        UPDATE rmw_response r SET lease_until = $2 FROM mine
        WHERE r.id = mine.id AND r.worker = $1 RETURNING r.id, r.cancel_requested)
SELECT id FROM renewed WHERE cancel_requested <> 0
"""

STORED = """
id, owner, status, worker, lease_until, attempt, cancel_requested, created_at, body, request
"""

TAKE_EXPIRED = f"""
WITH expired AS MATERIALIZED (
        SELECT id FROM rmw_response WHERE worker IS NOT NULL AND lease_until < $2
        ORDER BY lease_until, id LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED),
     taken AS (
        UPDATE rmw_response r SET worker = $1, lease_until = $3, attempt = attempt + 1
        FROM expired WHERE r.id = expired.id RETURNING r.*)
SELECT {STORED}, t.output FROM taken JOIN rmw_turn t USING (branch, depth) ORDER BY created_at, id
"""

RELEASE = f"DELETE FROM rmw_response WHERE {HELD} RETURNING 1"

# --- reading

GET = f"""
SELECT {STORED}, t.output FROM rmw_response JOIN rmw_turn t USING (branch, depth)
WHERE id = $1 AND owner = $2
"""

INPUT = """
SELECT t.input FROM rmw_response r JOIN rmw_turn t USING (branch, depth)
WHERE r.id = $1 AND r.owner = $2
"""

# LATERAL with OFFSET 0 looks branches and turns up one by one: as plain joins the planner reads
# everybody's. Joining the turns on the server would save rows but copies every byte three times,
# which is slower from 100 KB on. Only the response's own row has a status.
HISTORY = """
WITH RECURSIVE line (branch, upto, parent, fork, status) AS (
    SELECT r.branch, r.depth, b.parent, b.fork, r.status
    FROM rmw_response r JOIN rmw_branch b ON b.id = r.branch WHERE r.id = $1 AND r.owner = $2
  UNION ALL
    SELECT line.parent, line.fork, b.parent, b.fork, NULL
    FROM line CROSS JOIN LATERAL (
        SELECT parent, fork FROM rmw_branch WHERE id = line.parent OFFSET 0) b)
SELECT t.depth, t.input, t.output, t.scope, t.native,
    CASE WHEN t.depth = line.upto THEN line.status END AS status
FROM line CROSS JOIN LATERAL (
    SELECT depth, input, output, scope, native FROM rmw_turn
    WHERE rmw_turn.branch = line.branch AND depth <= line.upto ORDER BY depth OFFSET 0) t
"""

# --- erasing

DELETE = "DELETE FROM rmw_response WHERE id = $1 AND owner = $2 RETURNING 1"

LOCK_BRANCH_OF = """
SELECT id FROM rmw_branch
WHERE id = (SELECT branch FROM rmw_response WHERE id = $1 AND owner = $2) FOR UPDATE
"""

LOCK_BRANCHES = """
SELECT id FROM rmw_branch WHERE id = ANY ($1::bigint[])
ORDER BY fork DESC NULLS LAST, id FOR UPDATE
"""

LOCK_LINES = """
WITH RECURSIVE line AS (
    SELECT id, parent FROM rmw_branch WHERE id = ANY ($1::bigint[])
  UNION
    SELECT b.id, b.parent FROM line JOIN rmw_branch b ON b.id = line.parent)
SELECT id FROM rmw_branch WHERE id IN (SELECT id FROM line)
ORDER BY fork DESC NULLS LAST, id FOR UPDATE
"""

LOCK_OWNERS_BRANCHES = """
SELECT id FROM rmw_branch WHERE owner = $1 ORDER BY fork DESC NULLS LAST, id FOR UPDATE
"""

# The turns above the deepest living handle and the deepest fork go; a branch with neither goes too.
TRIM = """
WITH floor AS MATERIALIZED (
        SELECT b.id, greatest(
            (SELECT max(depth) FROM rmw_response WHERE branch = b.id),
            (SELECT max(fork) FROM rmw_branch child WHERE child.parent = b.id), -1) AS depth
        FROM rmw_branch b WHERE b.id = ANY ($1::bigint[])),
     trimmed AS (
        DELETE FROM rmw_turn t USING floor WHERE t.branch = floor.id AND t.depth > floor.depth)
DELETE FROM rmw_branch b USING floor WHERE b.id = floor.id AND floor.depth = -1 RETURNING b.parent
"""

PLACES_OF_ID = "SELECT branch, depth FROM rmw_response WHERE owner = $1 AND id = $2"

PLACES_OF_USER = """
SELECT t.branch, t.depth FROM rmw_turn t JOIN rmw_branch b ON b.id = t.branch
WHERE b.owner = $1 AND t.end_user = $2
"""

DELETE_AT = """
DELETE FROM rmw_response WHERE id IN (
    SELECT r.id FROM rmw_response r
    JOIN unnest($1::bigint[], $2::int[]) AS place (branch, depth) USING (branch, depth)
    ORDER BY r.id FOR UPDATE OF r)
"""

BLANK = """
UPDATE rmw_turn t
SET input = '[]', output = NULL, scope = NULL, native = NULL, end_user = NULL
FROM unnest($1::bigint[], $2::int[]) AS place (branch, depth)
WHERE t.branch = place.branch AND t.depth = place.depth
"""

DELETE_IN = """
DELETE FROM rmw_response WHERE id IN (
    SELECT id FROM rmw_response WHERE branch = ANY ($1::bigint[]) ORDER BY id FOR UPDATE)
"""

ERASE_TURNS_IN = "DELETE FROM rmw_turn WHERE branch = ANY ($1::bigint[]) RETURNING 1"

ERASE_BRANCHES = "DELETE FROM rmw_branch WHERE id = ANY ($1::bigint[])"

BUMP_EPOCH = """
INSERT INTO rmw_meta (key, value) VALUES ('epoch', $1)
ON CONFLICT (key) DO UPDATE SET value = excluded.value
"""

# --- keys

MAKE_SECRET = "INSERT INTO rmw_meta (key, value) VALUES ($1, $2) ON CONFLICT DO NOTHING"

SECRET = "SELECT value FROM rmw_meta WHERE key = $1"
