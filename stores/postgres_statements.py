"""The statements of a turn's life in Postgres: what each does, what it locks, in which order.

Only SQL, with a word on why. Nobody waits in a circle, because locks are taken in one order:
conversations, then branches, those forked deepest first (a child before its parent), each before
its handles, by id and the hidden ones last, and those before its turns; `rmw_meta` last. Adding a
turn holds its branch and its parent's handle FOR KEY SHARE, which holds up nobody but who erases;
that one holds its branches FOR UPDATE, so that what its next statement sees of them stays true.
"""

from stores.account_statements import charging, counting

# --- a turn's life

HANDLE = """
rmw_response (id, owner, branch, depth, status, worker, lease_until, attempt, cancel_requested,
              created_at, body, request, conversation, chain, api_key, tags)
"""

RUNNING = "status IN ('queued', 'in_progress')"

# Where an id is known, the owner is compared as an expression: without statistics, in a young
# database, the planner would as soon take the index of owners and look through all that one has.
OWNED = "id = $1 AND owner || '' = $2 AND conversation IS DISTINCT FROM id"

RESERVE_FIRST = f"""
WITH root AS (INSERT INTO rmw_branch (id, owner) VALUES ($3, $2)),
     turn AS (INSERT INTO rmw_turn (branch, depth, input, end_user) VALUES ($3, 0, $4, $5))
INSERT INTO {HANDLE} VALUES ($1, $2, $3, 0, $6, $7, $8, $9, 0, $10, $11, $12, $13, $14, $15, $16)
RETURNING 1
"""

# The branch is locked before the handle is read: who waited here for a delete finds it gone. $17 is
# the parent, or the hidden handle of the conversation $13: to nobody else that one is a parent.
RESERVE_NEXT = f"""
WITH line AS MATERIALIZED (
        SELECT id FROM rmw_branch
        WHERE id = (SELECT branch FROM rmw_response WHERE id = $17 AND owner || '' = $2)
        FOR KEY SHARE),
     parent AS MATERIALIZED (
        SELECT r.branch, r.depth FROM line JOIN rmw_response r ON r.branch = line.id
        WHERE r.id = $17 AND r.owner || '' = $2
            AND (r.conversation IS DISTINCT FROM r.id OR r.id = $13)
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
SELECT $1, $2, place.branch, parent.depth + 1, $6, $7, $8, $9, 0, $10, $11, $12, $13, $14, $15, $16
FROM (SELECT branch FROM straight UNION ALL SELECT branch FROM sibling) place, parent
RETURNING 1
"""

# The same, and the conversation's lock with it.
RESERVE_IN_CONVERSATION = RESERVE_NEXT.replace(
    f"INSERT INTO {HANDLE}",
    f""",
     taken AS (UPDATE rmw_conversation SET running = $1 WHERE id = $13)
INSERT INTO {HANDLE}""",
)

RESERVED = """
SELECT 1 FROM rmw_response WHERE id = $1 AND owner || '' = $2 AND worker = $3 AND body = $4
"""

HELD = f"id = $1 AND owner || '' = $2 AND worker = $3 AND attempt = $4 AND {RUNNING}"

CHECKPOINT = f"""
WITH held AS MATERIALIZED (
        SELECT r.id, r.branch, r.depth, told.body, told.output, told.cuts
        FROM unnest($1::text[], $2::text[], $3::text[], $4::int[],
                    $5::bytea[], $6::bytea[], $7::bytea[])
            AS told (id, owner, worker, attempt, body, output, cuts)
        JOIN rmw_response r USING (id, owner, worker, attempt)
        WHERE r.{RUNNING} ORDER BY r.id FOR NO KEY UPDATE OF r),
     kept AS (
        UPDATE rmw_response r SET status = 'in_progress', body = held.body
        FROM held WHERE r.id = held.id)
UPDATE rmw_turn t SET output = held.output, cuts = held.cuts
FROM held WHERE t.branch = held.branch AND t.depth = held.depth
"""

REQUEST_CANCEL = f"""
UPDATE rmw_response SET cancel_requested = 1
WHERE id = $1 AND owner || '' = $2 AND {RUNNING} RETURNING 1
"""

FINISH = f"""
WITH ended AS (
   UPDATE rmw_response SET status = $5, body = $6, deployment = $7, cost_nano = $8,
                           worker = NULL, lease_until = NULL, request = NULL
   WHERE {HELD} RETURNING branch, depth, conversation),
     moved AS (
   UPDATE rmw_response head SET branch = ended.branch, depth = ended.depth, deployment = $7
   FROM ended JOIN rmw_conversation c ON c.id = ended.conversation AND c.running = $1
   WHERE head.id = c.id)
UPDATE rmw_turn t SET output = $9, scope = $10, native = $11, cuts = $12
FROM ended WHERE t.branch = ended.branch AND t.depth = ended.depth RETURNING 1
"""

# $13 to $30 are a usage row, $31 to $33 what its key is charged.
FINISH_AND_COUNT = FINISH.replace(
    "UPDATE rmw_turn t",
    f""",
     counted AS ({counting(13, "ended")}),
     charged AS ({charging("$18", "$31", "$32", "$33")} AND EXISTS (SELECT FROM ended))
UPDATE rmw_turn t""",
)

FINISHED = """
SELECT 1 FROM rmw_response
WHERE id = $1 AND owner || '' = $2 AND attempt = $3 AND status = $4 AND body = $5 AND worker IS NULL
"""

RENEW = """
WITH mine AS MATERIALIZED (
        SELECT id FROM rmw_response WHERE worker = $1 ORDER BY id FOR NO KEY UPDATE),
     renewed AS (
        UPDATE rmw_response r SET lease_until = $2 FROM mine
        WHERE r.id = mine.id AND r.worker = $1 RETURNING r.id, r.cancel_requested)
SELECT id FROM renewed WHERE cancel_requested <> 0
"""

RENEW_ONLY = RENEW.replace(
    "SELECT id FROM rmw_response WHERE worker = $1 ORDER BY id FOR NO KEY UPDATE",
    """
        SELECT r.id FROM unnest($3::text[]) AS told (id) JOIN rmw_response r USING (id)
        WHERE r.worker = $1 ORDER BY r.id FOR NO KEY UPDATE OF r""",
)

STORED = """
id, owner, status, worker, lease_until, attempt, cancel_requested, created_at, body, request,
conversation, chain, api_key, tags, deployment, cost_nano
"""

TAKE_EXPIRED = f"""
WITH expired AS MATERIALIZED (
        SELECT id FROM rmw_response WHERE worker IS NOT NULL AND lease_until < $2
        ORDER BY lease_until, id LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED),
     taken AS (
        UPDATE rmw_response r SET worker = $1, lease_until = $3, attempt = attempt + 1
        FROM expired WHERE r.id = expired.id RETURNING r.*)
SELECT {STORED}, t.output, t.cuts, t.end_user
FROM taken JOIN rmw_turn t USING (branch, depth) ORDER BY created_at, id
"""

HAND_BACK = f"""
UPDATE rmw_response SET worker = $5, lease_until = $6, attempt = attempt - 1
WHERE {HELD} RETURNING 1
"""

RELEASE = f"DELETE FROM rmw_response WHERE {HELD} RETURNING 1"

# --- reading

GET = f"""
SELECT {STORED}, t.output, t.cuts, t.end_user
FROM rmw_response JOIN rmw_turn t USING (branch, depth) WHERE {OWNED}
"""

STANDING = f"""
SELECT (SELECT status FROM rmw_response WHERE {OWNED}),
    (SELECT value FROM rmw_meta WHERE key = 'epoch') AS epoch
"""

INPUT = f"SELECT t.input FROM rmw_response JOIN rmw_turn t USING (branch, depth) WHERE {OWNED}"

# LATERAL with OFFSET 0 looks branches and turns up one by one: as plain joins the planner reads
# everybody's. Joining the turns on the server would save rows but copies every byte three times,
# which is slower from 100 KB on. Only the response's own row has a status.
HISTORY = """
WITH RECURSIVE line (branch, upto, parent, fork, status, deployment, chain) AS (
    SELECT r.branch, r.depth, b.parent, b.fork, r.status, r.deployment, r.chain
    FROM rmw_response r JOIN rmw_branch b ON b.id = r.branch WHERE r.id = $1 AND r.owner || '' = $2
  UNION ALL
    SELECT line.parent, line.fork, b.parent, b.fork, NULL, NULL, NULL
    FROM line CROSS JOIN LATERAL (
        SELECT parent, fork FROM rmw_branch WHERE id = line.parent OFFSET 0) b)
SELECT t.depth, t.input, t.output, t.scope, t.native,
    CASE WHEN t.depth = line.upto THEN line.status END AS status, deployment, chain
FROM line CROSS JOIN LATERAL (
    SELECT depth, input, output, scope, native FROM rmw_turn
    WHERE rmw_turn.branch = line.branch AND depth <= line.upto ORDER BY depth OFFSET 0) t
"""

# --- conversations

CREATE_CONVERSATION = """
WITH root AS (INSERT INTO rmw_branch (id, owner) VALUES ($3, $2)),
     turn AS (INSERT INTO rmw_turn (branch, depth, input) VALUES ($3, 0, '[]')),
     head AS (
        INSERT INTO rmw_response (id, owner, branch, depth, status, attempt, cancel_requested,
                                  created_at, body, conversation)
        VALUES ($1, $2, $3, 0, 'completed', 1, 0, $4, '{}', $1))
INSERT INTO rmw_conversation (id, owner, created_at, body) VALUES ($1, $2, $4, $5)
"""

CREATED = "SELECT 1 FROM rmw_conversation WHERE id = $1 AND owner || '' = $2 AND body = $3"

CONVERSATION = """
SELECT body, created_at, hidden FROM rmw_conversation WHERE id = $1 AND owner || '' = $2
"""

LOCK_CONVERSATION = """
SELECT hidden, running FROM rmw_conversation WHERE id = $1 AND owner || '' = $2 FOR UPDATE
"""

UPDATE_CONVERSATION = """
UPDATE rmw_conversation SET body = $3 WHERE id = $1 AND owner || '' = $2 RETURNING 1
"""

# Not part of taking the lock: a statement that waited for it would ask what ran when it began.
RUNS = f"SELECT 1 FROM rmw_response WHERE id = $1 AND conversation = $2 AND {RUNNING}"

HIDE = "UPDATE rmw_conversation SET hidden = $2 WHERE id = $1"

APPEND = """
WITH line AS MATERIALIZED (
        SELECT id FROM rmw_branch WHERE id = (SELECT branch FROM rmw_response WHERE id = $1)
        FOR KEY SHARE),
     head AS MATERIALIZED (
        SELECT r.branch, r.depth FROM line JOIN rmw_response r ON r.branch = line.id
        WHERE r.id = $1 FOR NO KEY UPDATE OF r),
     straight AS (
        INSERT INTO rmw_turn (branch, depth, input) SELECT branch, depth + 1, $4 FROM head
        ON CONFLICT DO NOTHING RETURNING branch),
     fork AS (
        INSERT INTO rmw_branch (id, owner, parent, fork)
        SELECT $3, $2, branch, depth FROM head WHERE NOT EXISTS (SELECT FROM straight)
        RETURNING id),
     sibling AS (
        INSERT INTO rmw_turn (branch, depth, input)
        SELECT fork.id, depth + 1, $4 FROM fork, head RETURNING branch)
UPDATE rmw_response r SET branch = place.branch, depth = head.depth + 1
FROM (SELECT branch FROM straight UNION ALL SELECT branch FROM sibling) place, head
WHERE r.id = $1 RETURNING 1
"""

APPENDED = """
SELECT 1 FROM rmw_response r JOIN rmw_turn t ON t.branch = r.branch
WHERE r.id = $1 AND r.owner || '' = $2 AND t.input = $3
"""

# Its last turn can move under our eyes, but only to where its running response, $2, stands.
LOCK_BRANCHES_OF = """
SELECT id FROM rmw_branch
WHERE id IN (SELECT branch FROM rmw_response WHERE id IN ($1, $2))
ORDER BY fork DESC NULLS LAST, id FOR UPDATE
"""

DELETE_CONVERSATION = """
WITH head AS (DELETE FROM rmw_response WHERE id = $1)
DELETE FROM rmw_conversation WHERE id = $1
"""

# --- erasing

DELETE = f"DELETE FROM rmw_response WHERE {OWNED} RETURNING 1"

LOCK_BRANCH_OF = f"""
SELECT id FROM rmw_branch WHERE id = (SELECT branch FROM rmw_response WHERE {OWNED}) FOR UPDATE
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

LOCK_OWNERS_CONVERSATIONS = """
SELECT id FROM rmw_conversation WHERE owner = $1 ORDER BY id FOR UPDATE
"""

# But those of a conversation that is not among $2, the locked ones: it was made since, and stays.
LOCK_OWNERS_BRANCHES = """
SELECT id FROM rmw_branch b
WHERE owner = $1 AND (
    SELECT id FROM rmw_response
    WHERE branch = b.id AND conversation = id AND id <> ALL ($2::text[])) IS NULL
ORDER BY fork DESC NULLS LAST, id FOR UPDATE
"""

LOCK_FORKS = """
SELECT id FROM rmw_branch WHERE parent = ANY ($1::bigint[])
ORDER BY fork DESC, id FOR UPDATE
"""

# The turns above the deepest living handle and the deepest fork go; a branch with neither goes too.
# The array stands in a SELECT, where the planner does not see how long it is: else it would plan
# anew each time, for twice as long as what follows takes.
TRIM = """
WITH floor AS MATERIALIZED (
        SELECT b.id, greatest(
            (SELECT max(depth) FROM rmw_response WHERE branch = b.id),
            (SELECT max(fork) FROM rmw_branch child WHERE child.parent = b.id), -1) AS depth
        FROM rmw_branch b WHERE b.id = ANY ((SELECT $1::bigint[])::bigint[])),
     trimmed AS (
        DELETE FROM rmw_turn t USING floor WHERE t.branch = floor.id AND t.depth > floor.depth)
DELETE FROM rmw_branch b USING floor WHERE b.id = floor.id AND floor.depth = -1 RETURNING b.parent
"""

PLACES_OF_ID = """
SELECT branch, depth FROM rmw_response
WHERE id = $2 AND owner || '' = $1 AND conversation IS DISTINCT FROM id
"""

PLACES_OF_USER = """
SELECT t.branch, t.depth FROM rmw_turn t JOIN rmw_branch b ON b.id = t.branch
WHERE b.owner = $1 AND t.end_user = $2
"""

DELETE_AT = """
DELETE FROM rmw_response WHERE id IN (
    SELECT r.id FROM rmw_response r
    JOIN unnest($1::bigint[], $2::int[]) AS place (branch, depth) USING (branch, depth)
    WHERE r.conversation IS DISTINCT FROM r.id ORDER BY r.id FOR UPDATE OF r)
"""

BLANK = """
UPDATE rmw_turn t
SET input = '[]', output = NULL, scope = NULL, native = NULL, end_user = NULL, cuts = NULL
FROM unnest($1::bigint[], $2::int[]) AS place (branch, depth)
WHERE t.branch = place.branch AND t.depth = place.depth
"""

DELETE_IN = """
DELETE FROM rmw_response WHERE id IN (
    SELECT id FROM rmw_response WHERE branch = ANY ($1::bigint[])
    ORDER BY (conversation = id) IS TRUE, id FOR UPDATE)
"""

ERASE_TURNS_IN = """
DELETE FROM rmw_turn WHERE branch = ANY ($1::bigint[])
RETURNING input <> '[]' OR output IS NOT NULL AS held
"""

ERASE_BRANCHES = "DELETE FROM rmw_branch WHERE id = ANY ($1::bigint[])"

# All that lost their handle. As a join the planner would read everybody's handles.
ERASE_CONVERSATIONS = """
DELETE FROM rmw_conversation c
WHERE owner = $1 AND (SELECT id FROM rmw_response WHERE id = c.id) IS NULL
"""

BUMP_EPOCH = """
INSERT INTO rmw_meta (key, value) VALUES ('epoch', $1)
ON CONFLICT (key) DO UPDATE SET value = excluded.value
"""

# --- keys

MAKE_SECRET = "INSERT INTO rmw_meta (key, value) VALUES ($1, $2) ON CONFLICT DO NOTHING"

SECRET = "SELECT value FROM rmw_meta WHERE key = $1"
