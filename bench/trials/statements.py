"""The statements of the trial. Each is one round trip, and a transaction by itself."""

CLAIM = """
WITH given AS (
    SELECT * FROM unnest($3::text[], $4::uuid[], $5::bytea[], $6::bytea[], $7::text[], $8::bytea[], $9::smallint[])
        WITH ORDINALITY AS row (key, id, fingerprint, input, shown, body, bucket, place)
), claimed AS (
    INSERT INTO claims (tenant, key, generation_id, fingerprint)
    SELECT $1::text, key, id, fingerprint FROM given ORDER BY key
    ON CONFLICT DO NOTHING RETURNING generation_id
), counted AS (
    SELECT count(*)::integer AS number FROM claimed
), admission AS (
    UPDATE accounts SET
        admitted = least(greatest(max_running - running, 0), number),
        running = running + least(greatest(max_running - running, 0), number),
        waiting = waiting + number - least(greatest(max_running - running, 0), number)
    FROM counted WHERE account = $2::text RETURNING admitted, number
), log AS (
    UPDATE tenants SET position = position + number FROM admission WHERE tenant = $1::text
    RETURNING position - number AS before, admitted
), new AS (
    SELECT given.*, row_number() OVER (ORDER BY place) AS turn
    FROM given JOIN claimed ON claimed.generation_id = given.id
), stored AS (
    INSERT INTO generations (id, tenant, account, bucket, input, state, shown, sender, attempt, send_by)
    SELECT id, $1::text, $2::text, bucket, input, 1, shown,
        CASE WHEN turn <= admitted THEN $10::uuid END,
        CASE WHEN turn <= admitted THEN 1 END,
        CASE WHEN turn <= admitted THEN now() + interval '10 seconds' END
    FROM new, log
), kept AS (
    INSERT INTO requests (generation_id, body) SELECT id, body FROM new
), logged AS (
    INSERT INTO changes (tenant, position, generation_id, revision, shown)
    SELECT $1::text, before + turn, id, 1, shown FROM new, log
)
SELECT given.id, new.id IS NOT NULL AS is_new, coalesce(turn <= admitted, false) AS is_admitted,
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
    FROM given JOIN leases ON leases.fence = given.fence AND leases.replica = $2::uuid AND leases.until > now()
    WHERE generations.id = given.id AND generations.version = given.version AND leases.bucket = generations.bucket
    RETURNING generations.id, generations.revision, generations.shown, place
), log AS (
    UPDATE tenants SET position = position + (SELECT count(*) FROM saved) WHERE tenant = $1::text
    RETURNING position - (SELECT count(*) FROM saved) AS before
), logged AS (
    INSERT INTO changes (tenant, position, generation_id, revision, shown)
    SELECT $1::text, before + row_number() OVER (ORDER BY place), id, revision, shown FROM saved, log
)
SELECT id FROM saved
"""
"""Save new versions of one tenant's generations, as far as version and fence still match."""

BEAT = """
WITH alive AS (
    INSERT INTO replicas (replica, beat) VALUES ($1::uuid, now())
    ON CONFLICT (replica) DO UPDATE SET beat = excluded.beat
), renewed AS (
    UPDATE leases SET until = now() + $2::interval WHERE replica = $1::uuid AND until > now() RETURNING bucket
)
SELECT
    (SELECT count(*) FROM replicas WHERE beat > now() - $2::interval AND replica <> $1::uuid) + 1 AS replicas,
    (SELECT count(*) FROM renewed) AS held,
    (SELECT count(*) FROM leases WHERE until <= now()) AS free
"""
"""Renew the leases of a replica. Returns what it needs to know to take or give back some."""

TAKE = """
UPDATE leases SET replica = $1::uuid, fence = fence + 1, until = now() + $2::interval
WHERE bucket IN (SELECT bucket FROM leases WHERE until <= now() ORDER BY bucket LIMIT $3 FOR UPDATE SKIP LOCKED)
RETURNING bucket, fence
"""
"""Take free or expired leases, up to a replica's share."""

GIVE = """
UPDATE leases SET until = '-infinity'
WHERE replica = $1::uuid AND bucket IN (SELECT bucket FROM leases WHERE replica = $1::uuid AND until > now() LIMIT $2)
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
