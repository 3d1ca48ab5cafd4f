"""The statements of the trial. Each is one round trip, and a transaction by itself."""

CLAIM = """
WITH given AS (
    SELECT * FROM unnest(
        $3::text[], $4::uuid[], $5::bytea[], $6::bytea[], $7::text[], $8::bytea[], $9::smallint[], $10::integer[]
    ) WITH ORDINALITY AS row (key, id, fingerprint, input, shown, body, bucket, weight, place)
), claimed AS (
    INSERT INTO claims (tenant, key, generation_id, fingerprint)
    SELECT $1::text, key, id, fingerprint FROM given ORDER BY key
    ON CONFLICT DO NOTHING RETURNING generation_id
), new AS (
    SELECT given.*, row_number() OVER turn AS turn, (sum(weight) OVER turn)::integer AS up_to
    FROM given JOIN claimed ON claimed.generation_id = given.id WINDOW turn AS (ORDER BY place)
), counted AS (
    SELECT count(*)::integer AS number, array_agg(up_to) AS totals FROM new
), admission AS (
    UPDATE accounts SET (admitted, running, waiting) = (
        SELECT fitting, running + fitting, waiting + number - (SELECT count(*) FROM unnest(totals) t WHERE t <= fitting)
        FROM (
            SELECT coalesce(max(total), 0) AS fitting FROM unnest(totals) total
            WHERE total <= max_running - running AND waiting = 0 AND paused_until <= now()
        ) room
    )
    FROM counted WHERE account = $2::text RETURNING admitted, number
), log AS (
    UPDATE tenants SET position = position + number FROM admission WHERE tenant = $1::text
    RETURNING position - number AS before, admitted
), stored AS (
    INSERT INTO generations (id, tenant, account, bucket, input, weight, state, shown, sender, attempt, send_by)
    SELECT id, $1::text, $2::text, bucket, input, weight, 1, shown,
        CASE WHEN up_to <= admitted THEN $11::uuid END,
        CASE WHEN up_to <= admitted THEN 1 END,
        CASE WHEN up_to <= admitted THEN now() + interval '10 seconds' END
    FROM new, log
), kept AS (
    INSERT INTO requests (generation_id, body) SELECT id, body FROM new
), logged AS (
    INSERT INTO changes (tenant, position, generation_id, revision, shown)
    SELECT $1::text, before + turn, id, 1, shown FROM new, log
)
SELECT given.id, new.id IS NOT NULL AS is_new, coalesce(up_to <= admitted, false) AS is_admitted,
    before + turn AS position
FROM given LEFT JOIN new ON new.id = given.id LEFT JOIN log ON true
"""
"""Claim keys of one tenant: the key, admission, the marker, the request and the first change, in one commit."""

SAVE = """
WITH given AS (
    SELECT * FROM unnest($3::uuid[], $4::bigint[], $5::bigint[], $6::smallint[], $7::boolean[], $8::text[])
        WITH ORDINALITY AS row (id, version, fence, state, done, shown, place)
), saved AS (
    UPDATE generations SET
        version = generations.version + 1, revision = generations.revision + 1, state = given.state,
        done = given.done, shown = given.shown, sender = NULL
    FROM given WHERE generations.id = given.id AND generations.version = given.version AND (
        given.fence IS NULL OR EXISTS (
            SELECT 1 FROM leases WHERE bucket = generations.bucket AND replica = $2::uuid AND leases.fence = given.fence
        )
    )
    RETURNING generations.id, generations.revision, generations.shown, generations.account, generations.weight,
        generations.done, place
), ended AS (
    SELECT account, sum(weight) AS weight FROM saved WHERE done GROUP BY account
), released AS (
    UPDATE accounts SET running = running - ended.weight FROM ended WHERE accounts.account = ended.account
    RETURNING accounts.account
), log AS (
    UPDATE tenants SET position = position + (SELECT count(*) FROM saved)
    WHERE tenant = $1::text AND (SELECT count(*) FROM released) >= 0
    RETURNING position - (SELECT count(*) FROM saved) AS before
), logged AS (
    INSERT INTO changes (tenant, position, generation_id, revision, shown)
    SELECT $1::text, before + row_number() OVER (ORDER BY place), id, revision, shown FROM saved, log
)
SELECT id FROM saved
"""
"""Save new versions of one tenant's generations, as far as version and fence (none for a webhook) still match."""

JOIN = "INSERT INTO replicas (replica, beat) VALUES ($1::uuid, now())"
"""Begin as a new incarnation of a replica."""

BEAT = """
WITH alive AS (
    UPDATE replicas SET beat = now() WHERE replica = $1::uuid AND beat > now() - $2::interval RETURNING replica
)
SELECT
    (SELECT count(*) FROM alive) AS alive,
    (SELECT count(*) FROM replicas WHERE beat > now() - $2::interval) AS replicas,
    (SELECT count(*) FROM leases WHERE replica = $1::uuid) AS held,
    (SELECT count(*) FROM leases WHERE NOT EXISTS (
        SELECT 1 FROM replicas WHERE replicas.replica = leases.replica AND beat > now() - $2::interval
    )) AS free
"""
"""Beat, unless the incarnation is dead. Returns what it needs to know to take or give back leases."""

TAKE = """
UPDATE leases SET replica = $1::uuid, fence = fence + 1 WHERE bucket IN (
    SELECT bucket FROM leases WHERE NOT EXISTS (
        SELECT 1 FROM replicas WHERE replicas.replica = leases.replica AND beat > now() - $2::interval
    ) ORDER BY bucket LIMIT $3 FOR UPDATE SKIP LOCKED
) RETURNING bucket, fence
"""
"""Take leases that are free or whose replica is dead, up to a share."""

GIVE = """
UPDATE leases SET replica = NULL WHERE bucket IN (SELECT bucket FROM leases WHERE replica = $1::uuid LIMIT $2)
RETURNING bucket
"""
"""Give back what is over a replica's share."""

LIVE = (
    "SELECT id, version, state, shown, polls, send_by FROM generations WHERE bucket = ANY($1::smallint[]) AND NOT done"
)
"""Read what a replica follows after it took leases."""

DUE = """
UPDATE generations SET due = now() + $2::interval, polls = polls + 1 WHERE id IN (
    SELECT id FROM generations WHERE due <= now() AND NOT done ORDER BY due LIMIT $1 FOR UPDATE SKIP LOCKED
) RETURNING id
"""
"""The other way to follow: due times in the table, taken in batches."""
