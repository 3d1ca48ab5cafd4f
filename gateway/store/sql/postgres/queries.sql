-- Every statement of the PostgreSQL store. Each has a name, a description, and named parameters, and is a transaction by
-- itself. `{NAME}` in a statement is replaced by the fragment of that name.

-- Fragments -----------------------------------------------------------------------------------------------------------

-- fragment: fenced
-- Every statement that writes begins with it, except those of the lease itself: lock the lease against a takeover until
-- the commit. There is no row if another gateway has taken it over, or if the server lacks writes that it has
-- acknowledged (`log.writes`). Then the statement changes nothing, because every other part depends on that row. After a
-- restore, fences are used again, but by another replica.
fenced AS (
    SELECT FROM lease WHERE fence = :fence AND replica = :replica AND (SELECT writes FROM log) >= :writes FOR SHARE
);

-- fragment: audited
-- Append one entry to the audit log if it is on (`audit` is not NULL) and the statement has `written` a row.
numbered AS (
    UPDATE log SET audit_sequence = audit_sequence + 1,
        audit_hash = (audit_chain(audit_sequence, audit_hash, ARRAY[:audit::text]))[1]
    FROM written WHERE :audit::text IS NOT NULL RETURNING audit_sequence, audit_hash
),
audited AS (INSERT INTO audit (sequence, text, hash) SELECT audit_sequence, :audit::text, audit_hash FROM numbered);

-- fragment: of_subject
-- The condition for the generations of a subject.
:kind::text = 'tenant' OR (:kind::text = 'key' AND key_id = :name::text)
OR (:kind::text = 'label' AND labels::jsonb ->> :name::text = :value::text);

-- The lease and the store itself --------------------------------------------------------------------------------------

-- name: beat
-- Show that the holder of the lease lives. Updates no row if another one has taken the lease over, or if the server lacks
-- writes or beats that it has acknowledged. Returns the number of beats, and the number of other replicas that serve. A
-- heartbeat in the future is none of a living one: see `take`.
UPDATE replicas SET beat = now(), beats = beats + 1
WHERE replica = :replica AND beats >= :beats AND (SELECT writes FROM log) >= :writes
    AND EXISTS (SELECT FROM lease WHERE lease.replica = :replica AND fence = :fence)
RETURNING beats, (
    SELECT count(*) FROM replicas AS other
    WHERE other.replica <> :replica AND abs(extract(epoch FROM now() - other.beat)) < :serving
) AS others;

-- name: report_serving
-- Show that a replica serves without the lease. Returns a text that changes with the API keys.
INSERT INTO replicas (replica, beat, version, address, schema)
VALUES (:replica, now(), :version, :address, :schema)
ON CONFLICT (replica) DO UPDATE SET beat = now()
-- As numeric, because a sum of floating-point numbers depends on their order.
RETURNING (SELECT concat_ws(' ', count(*), count(revoke_time), sum(expire_time::numeric)) FROM api_keys) AS keys;

-- name: take
-- Take the lease if it is free or its holder is dead, with a first heartbeat, and forget replicas that were dead for a
-- day. A heartbeat in the future is none of a living holder: the server's clock was set back. `own` is the fence with
-- which this replica has the lease already, because the response to an earlier execution was lost. Returns the next
-- fence, whether the last holder gave the lease back, and the number of beats.
WITH taken AS (
    UPDATE lease SET replica = :replica, fence = lease.fence + 1, released = false
    FROM lease AS before
    WHERE (lease.replica IS NULL OR (lease.replica = :replica AND lease.fence = :own) OR NOT EXISTS (
        SELECT FROM replicas WHERE replicas.replica = lease.replica
            AND abs(extract(epoch FROM now() - beat)) < :dead
    )) AND before.one = lease.one AND before.fence = lease.fence
    RETURNING lease.fence, before.released
),
joined AS (
    INSERT INTO replicas (replica, beat, version, address, schema)
    SELECT :replica::uuid, now(), :version::text, :address::text, :schema::text FROM taken
    ON CONFLICT (replica) DO UPDATE SET beat = now()
    RETURNING beats
),
old AS (DELETE FROM replicas USING taken WHERE beat < now() - interval '1 day')
SELECT fence, released, beats FROM taken, joined;

-- name: note_loss
-- Find out whether the server lacks what it has acknowledged to this process. If so, end this history of the store: it
-- has no epoch until an operator declares it restored, and no gateway has the lease. Returns the previous epoch.
WITH lost AS (
    SELECT FROM meta
    WHERE name = 'epoch' AND value = :epoch AND (
        (SELECT writes FROM log) < :writes
        OR (SELECT fence FROM lease) < :fence
        OR (SELECT beats FROM replicas WHERE replica = :replica) < :beats
    )
),
ended AS (UPDATE meta SET value = '' FROM lost WHERE name = 'epoch' AND value = :epoch),
vacated AS (
    UPDATE lease SET replica = NULL, fence = greatest(fence, :fence) + 1, released = false FROM lost
)
SELECT EXISTS (SELECT FROM lost) AS lost, (SELECT value FROM meta WHERE name = 'epoch') AS epoch;

-- name: read_holder
-- Read who has the lease, and its last heartbeat.
SELECT replicas.replica, address, beat FROM lease JOIN replicas ON replicas.replica = lease.replica;

-- name: write_peer
-- Store the address at which other replicas reach the gRPC port of the holder of the lease, in place of earlier ones.
WITH {fenced},
old AS (DELETE FROM meta USING fenced WHERE name LIKE 'peer %' AND name <> 'peer ' || :fence::bigint),
written AS (
    INSERT INTO meta (name, value) SELECT 'peer ' || :fence::bigint, :peer::text FROM fenced
    ON CONFLICT (name) DO UPDATE SET value = excluded.value RETURNING name
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: tail
-- Read the changes of all tenants after a position, each with its generation if there still is one, and always one row
-- with who has the lease: `vacant` if that one has given it back or is dead; `own` is the fence if it is this replica.
SELECT (SELECT writes FROM log LIMIT 1) AS writes, (SELECT value FROM meta WHERE name = 'epoch') AS epoch,
    coalesce(held.address, '') AS holder,
    coalesce((SELECT value FROM meta WHERE name = 'peer ' || held.fence), '') AS peer,
    held.beat IS NULL OR abs(extract(epoch FROM now() - held.beat)) >= :dead AS vacant,
    CASE WHEN held.replica = :replica THEN held.fence ELSE 0 END AS own, change.*
FROM (
    -- The limit keeps the planner from taking a table without statistics for a large one.
    SELECT lease.fence, lease.replica, replicas.address, replicas.beat
    FROM lease LEFT JOIN replicas ON replicas.replica = lease.replica LIMIT 1
) AS held
LEFT JOIN LATERAL (
    SELECT changes.position AS change_position, changes.tenant AS change_tenant, changes.generation_id,
        changes.revision AS change_revision, changes.shown AS change_shown, generation.*
    FROM (
        SELECT * FROM changes WHERE position > :after_position ORDER BY position LIMIT :limit
    ) AS changes
    -- The limit makes the planner look up each generation: it takes a growing log for much longer than what is new.
    LEFT JOIN LATERAL (SELECT * FROM generations WHERE id = changes.generation_id LIMIT 1) AS generation ON true
) AS change ON true
ORDER BY change_position;

-- name: give_back
-- Give the lease back at an orderly end. `clean` is whether no gateway before this one can still send anything either.
WITH left_over AS (DELETE FROM replicas WHERE replica = :replica)
UPDATE lease SET replica = NULL, released = :clean WHERE replica = :replica AND fence = :fence;

-- name: has_attempts
-- Check whether a training or a message to an agent may be under way that the last holder began.
SELECT EXISTS (SELECT FROM characters WHERE character_id IS NULL)
    OR EXISTS (SELECT FROM agent_keys WHERE message_id IS NULL AND fingerprint <> :session_fingerprint) AS found;

-- name: read_meta
-- Read what the store knows about itself by its name.
SELECT value FROM meta WHERE name = :name;

-- name: write_epoch
-- Store the name of a new history of the store, with an entry in the audit log if that has any.
WITH {fenced},
renewed AS (UPDATE meta SET value = :epoch FROM fenced WHERE name = 'epoch' AND value <> :epoch RETURNING name),
written AS (SELECT FROM renewed WHERE (SELECT audit_sequence FROM log) > 0),
{audited}
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: write_probe
-- Write as many bytes as a submission may need, to find out whether the server has room for them.
WITH {fenced},
written AS (
    INSERT INTO meta (name, value) SELECT 'probe', repeat('0', :bytes) FROM fenced
    ON CONFLICT (name) DO UPDATE SET value = excluded.value RETURNING name
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- Generations and their keys ------------------------------------------------------------------------------------------

-- fragment: request_taken
-- The condition for a given request that belongs to a generation, or is being removed with a deleted one.
EXISTS (SELECT FROM generations AS other WHERE other.request_id = given.request_id)
OR EXISTS (
    SELECT FROM removals WHERE removals.request_id = given.request_id OR removals.stray_request_id = given.request_id
);

-- name: claim
-- Claim idempotency keys for new generations, with their requests and first changes. A key that is used inserts nothing.
-- A claim that does not fit into its limits inserts nothing either: `over` is 1 if it certainly exceeds one, 2 if it
-- does so with the earlier claims of this statement, some of which may not be stored, and 3 if it lacks a price.
WITH {fenced},
given AS (
    SELECT given.*, given.request_id IS NOT NULL AND ({request_taken}) AS taken
    FROM unnest(
        :id::text[], :tenant::text[], :model_id::text[], :api::text[], :account::text[], :origin::text[],
        :input::bytea[], :labels::text[], :idempotency_key::text[], :create_time::double precision[],
        :created_at::double precision[], :weight::integer[], :token_hash::bytea[], :start_by::double precision[],
        :fail_when_saturated::boolean[], :traits::text[], :adopted::boolean[], :traceparent::text[],
        :version::bigint[], :revision::bigint[], :state::smallint[], :done::boolean[], :request_id::text[], :end_time::double precision[],
        :ended_at::double precision[], :shown::text[], :owner::text[], :attempt::integer[],
        :send_by::double precision[], :sent_at::double precision[], :first_sent_at::double precision[],
        :sends::integer[], :ambiguous::boolean[], :not_before::double precision[], :repeats_over::boolean[],
        :cancel_requested::boolean[], :polls::integer[], :missing_since::double precision[],
        :stray_request_id::text[], :held::boolean[], :fingerprint::bytea[], :update_time::double precision[],
        :request_account::text[], :request_origin::text[], :request_path::text[], :request_query::text[],
        :request_headers::text[], :request_body::bytea[], :request_key::text[], :request_kind::text[],
        :key_id::text[], :price::bigint[], :estimated_credits::text[], :estimated_usd::text[], :callback_url::text[],
        :subjects::text[],
        :limited::boolean[], :day::text[], :minute::bigint[], :audit::text[]
    ) WITH ORDINALITY AS given (
        id, tenant, model_id, api, account, origin, input, labels, idempotency_key, create_time, created_at, weight,
        token_hash, start_by, fail_when_saturated, traits, adopted, traceparent, version, revision, state, done,
        request_id, end_time, ended_at, shown, owner, attempt, send_by, sent_at, first_sent_at, sends, ambiguous, not_before,
        repeats_over, cancel_requested, polls, missing_since, stray_request_id, held, fingerprint, update_time,
        request_account, request_origin, request_path, request_query, request_headers, request_body, request_key,
        request_kind, key_id, price, estimated_credits, estimated_usd, callback_url, subjects, limited, day, minute,
        audit, place
    )
), asked AS (
    SELECT given.place, given.tenant, named.subject, given.price, given.limited
    FROM given, jsonb_array_elements_text(given.subjects::jsonb) AS named (subject)
), applying AS MATERIALIZED (
    SELECT limits.* FROM limits, fenced WHERE (tenant, subject) IN (SELECT tenant, subject FROM asked)
    ORDER BY tenant, subject FOR UPDATE OF limits
), now AS MATERIALIZED (
    -- Of each tenant, because the day of one may be ahead after a wrong date.
    SELECT given.tenant, greatest(
            max(given.day COLLATE "C"), (SELECT max(day) FROM applying WHERE applying.tenant = given.tenant)
        ) AS day,
        nullif(max(given.minute), 0) AS minute
    FROM given GROUP BY given.tenant
), used AS MATERIALIZED (
    SELECT applying.*, now.day AS today,
        CASE WHEN now.minute > applying.minute OR now.minute < applying.minute - 1 THEN now.minute
            ELSE applying.minute END AS this_minute,
        CASE WHEN now.minute > applying.minute OR now.minute < applying.minute - 1 THEN 0 ELSE submissions END
            AS minute_used,
        -- What was counted before the first day belongs to it.
        coalesce(nullif(applying.day, ''), now.day) = now.day AS same_day,
        left(coalesce(nullif(applying.day, ''), now.day), 7) = left(now.day, 7) AS same_month
    FROM applying JOIN now USING (tenant)
), needed AS (
    SELECT asked.place, asked.price, used.*,
        CASE WHEN same_day THEN day_reserved + day_spent ELSE 0 END AS day_used,
        CASE WHEN same_month THEN month_reserved + month_spent ELSE 0 END AS month_used,
        coalesce(sum(asked.price) OVER earlier, 0)::bigint AS total, count(*) OVER earlier AS number
    FROM asked JOIN used USING (tenant, subject) WHERE asked.limited
    WINDOW earlier AS (PARTITION BY tenant, subject ORDER BY asked.place)
), verdicts AS (
    SELECT place, max(CASE
        WHEN (credits_per_day IS NOT NULL OR credits_per_month IS NOT NULL) AND price IS NULL THEN 3
        WHEN running + 1 > in_flight OR minute_used + 1 > submissions_per_minute
            OR day_used + price > credits_per_day OR month_used + price > credits_per_month THEN 1
        WHEN running + number > in_flight OR minute_used + number > submissions_per_minute
            OR day_used + total > credits_per_day OR month_used + total > credits_per_month THEN -2
        ELSE -9 END) AS verdict
    FROM needed GROUP BY place
), refused AS (
    SELECT place, abs(verdict) AS over FROM verdicts WHERE verdict > -9
), claimed AS (
    INSERT INTO keys (tenant, key, generation_id, fingerprint, used_at)
    SELECT tenant, idempotency_key, id, fingerprint, created_at FROM given, fenced
    WHERE NOT taken AND place NOT IN (SELECT place FROM refused) AND NOT EXISTS (
        -- A repeat of this claim was refused, and has freed the key. Its commit comes late: the caller does not expect it.
        SELECT FROM generations AS later WHERE later.tenant = given.tenant
            AND later.idempotency_key = given.idempotency_key AND later.done AND later.request_id IS NULL
            AND later.created_at > given.created_at
    ) ORDER BY place
    ON CONFLICT (tenant, key) DO NOTHING RETURNING tenant, key, generation_id
), new AS (
    SELECT given.*, row_number() OVER (ORDER BY place) AS turn
    FROM given JOIN claimed ON claimed.tenant = given.tenant AND claimed.key = given.idempotency_key
        AND claimed.generation_id = given.id
), added AS (
    SELECT asked.tenant, asked.subject, coalesce(sum(asked.price), 0)::bigint AS price,
        count(*) FILTER (WHERE NOT new.done) AS number, count(*) FILTER (WHERE asked.limited) AS submitted
    FROM asked JOIN new USING (place) GROUP BY asked.tenant, asked.subject
), reserved AS (
    UPDATE limits SET
        running = limits.running + added.number,
        minute = used.this_minute, submissions = used.minute_used + added.submitted,
        day = used.today,
        day_reserved = CASE WHEN used.same_day THEN limits.day_reserved ELSE 0 END + added.price,
        day_spent = CASE WHEN used.same_day THEN limits.day_spent ELSE 0 END,
        month_reserved = CASE WHEN used.same_month THEN limits.month_reserved ELSE 0 END + added.price,
        month_spent = CASE WHEN used.same_month THEN limits.month_spent ELSE 0 END
    FROM added JOIN used USING (tenant, subject)
    WHERE limits.tenant = added.tenant AND limits.subject = added.subject RETURNING 1
), begun AS (
    SELECT DISTINCT tenant, today FROM added JOIN used USING (tenant, subject) WHERE day = '' AND today <> ''
), dated_use AS (
    UPDATE limits SET day = begun.today FROM begun
    WHERE limits.tenant = begun.tenant AND limits.day = ''
        AND NOT EXISTS (SELECT FROM added WHERE added.tenant = limits.tenant AND added.subject = limits.subject)
), dated_prices AS (
    UPDATE generations SET budget_day = begun.today FROM begun
    WHERE generations.tenant = begun.tenant AND generations.budget_day = '' AND generations.price IS NOT NULL
), counter AS (
    UPDATE log SET position = position + counted.number, writes = writes + 1,
        audit_sequence = audit_sequence + cardinality(counted.texts), audit_before = audit_hash, audit_hash = coalesce(
            (audit_chain(audit_sequence, audit_hash, counted.texts))[cardinality(counted.texts)], audit_hash
        )
    FROM (
        SELECT count(*) AS number,
            coalesce(array_agg(audit ORDER BY turn) FILTER (WHERE audit IS NOT NULL), '{}') AS texts
        FROM new
    ) AS counted
    WHERE counted.number > 0
    RETURNING position - counted.number AS before, writes,
        audit_sequence - cardinality(counted.texts) AS audit_number, audit_before, counted.texts
), audited AS (
    INSERT INTO audit (sequence, text, hash)
    SELECT audit_number + n, text, hash
    FROM counter, unnest(texts, audit_chain(audit_number, audit_before, texts)) WITH ORDINALITY AS chain (text, hash, n)
), stored AS (
    INSERT INTO generations (
        id, tenant, model_id, api, account, origin, input, labels, idempotency_key, create_time, created_at, weight,
        token_hash, start_by, fail_when_saturated, traits, adopted, traceparent, version, revision, state, done,
        request_id, end_time, ended_at, shown, owner, attempt, send_by, sent_at, first_sent_at, sends, ambiguous, not_before,
        repeats_over, cancel_requested, polls, missing_since, stray_request_id, held, key_id, price,
        estimated_credits, estimated_usd, callback_url, budget_day, write_id
    ) SELECT
        id, tenant, model_id, api, account, origin, input, labels, idempotency_key, create_time, created_at, weight,
        token_hash, start_by, fail_when_saturated, traits, adopted, traceparent, version, revision, state, done,
        request_id, end_time, ended_at, shown, owner, attempt, send_by, sent_at, first_sent_at, sends, ambiguous, not_before,
        repeats_over, cancel_requested, polls, missing_since, stray_request_id, held, key_id, price,
        estimated_credits, estimated_usd, callback_url, CASE WHEN price IS NOT NULL THEN now.day END, :write_id::uuid
    FROM new JOIN now USING (tenant)
), kept AS (
    INSERT INTO requests (generation_id, account, origin, path, query, headers, body, key, kind)
    SELECT id, request_account, request_origin, request_path, request_query, request_headers, request_body,
        request_key, request_kind
    FROM new WHERE request_body IS NOT NULL
), logged AS (
    INSERT INTO changes (tenant, position, generation_id, revision, shown, time)
    SELECT tenant, counter.before + turn, id, revision, shown, update_time FROM new, counter
)
SELECT given.place, given.taken, refused.over, counter.before + new.turn AS position, counter.writes,
    (SELECT count(*) FROM fenced) AS fenced
FROM given LEFT JOIN new ON new.place = given.place LEFT JOIN refused ON refused.place = given.place
    LEFT JOIN counter ON true ORDER BY given.place;

-- name: has_request
-- Check whether a request at Higgsfield belongs to another generation, or is being removed with a deleted one.
SELECT 1 FROM generations WHERE request_id = :request_id AND id <> :id
UNION ALL SELECT 1 FROM removals WHERE request_id = :request_id OR stray_request_id = :request_id;

-- name: save
-- Save new versions of generations with all that follows from them, unless another write changed a version.
WITH {fenced},
given AS (
    SELECT * FROM unnest(
        :id::text[], :version_before::bigint[], :tenant::text[], :account::text[], :idempotency_key::text[],
        :model_id::text[], :traits::text[], :settles::boolean[], :frees_key::boolean[], :turns_repeats_off::boolean[],
        :seconds::double precision[], :changes::boolean[], :update_time::double precision[], :version::bigint[],
        :revision::bigint[], :state::smallint[], :done::boolean[], :request_id::text[], :end_time::double precision[],
        :ended_at::double precision[], :shown::text[], :owner::text[], :attempt::integer[],
        :send_by::double precision[], :sent_at::double precision[], :first_sent_at::double precision[],
        :sends::integer[], :ambiguous::boolean[], :not_before::double precision[], :repeats_over::boolean[],
        :cancel_requested::boolean[], :polls::integer[], :missing_since::double precision[],
        :stray_request_id::text[], :held::boolean[], :subjects::text[], :ended::smallint[], :released::bigint[],
        :spent::bigint[], :audit::text[]
    ) WITH ORDINALITY AS given (
        id, version_before, tenant, account, idempotency_key, model_id, traits, settles, frees_key, turns_repeats_off,
        seconds, changes, update_time, version, revision, state, done, request_id, end_time, ended_at, shown, owner,
        attempt, send_by, sent_at, first_sent_at, sends, ambiguous, not_before, repeats_over, cancel_requested, polls,
        missing_since, stray_request_id, held, subjects, ended, released, spent, audit, place
    )
), stored AS (
    UPDATE generations SET
        version = given.version, revision = given.revision, state = given.state, done = given.done,
        request_id = given.request_id, end_time = given.end_time, ended_at = given.ended_at, shown = given.shown,
        owner = given.owner, attempt = given.attempt, send_by = given.send_by, sent_at = given.sent_at,
        first_sent_at = given.first_sent_at, sends = given.sends, ambiguous = given.ambiguous,
        not_before = given.not_before, repeats_over = given.repeats_over, cancel_requested = given.cancel_requested,
        polls = given.polls, missing_since = given.missing_since, stray_request_id = given.stray_request_id,
        held = given.held, write_id = :write_id::uuid
    FROM given, fenced WHERE generations.id = given.id AND generations.version = given.version_before AND (
        given.request_id IS NULL OR given.request_id = generations.request_id OR NOT ({request_taken})
    )
    RETURNING given.place, generations.budget_day
), saved AS (
    SELECT given.*, stored.budget_day, count(*) FILTER (WHERE changes) OVER (ORDER BY place) AS turn
    FROM given JOIN stored USING (place)
), settled AS (
    DELETE FROM requests USING saved WHERE requests.generation_id = saved.id AND settles
), freed AS (
    DELETE FROM keys USING saved
    WHERE keys.tenant = saved.tenant AND keys.key = saved.idempotency_key AND keys.generation_id = saved.id
        AND frees_key
), turned_off AS (
    INSERT INTO accounts (account) SELECT DISTINCT account FROM saved WHERE turns_repeats_off ON CONFLICT DO NOTHING
), timed AS (
    INSERT INTO durations (model_id, traits, seconds)
    SELECT model_id, traits, seconds FROM saved WHERE seconds IS NOT NULL ORDER BY place
    -- The sequence of the ids may begin again, such as after logical replication. The result must be stored all the same.
    ON CONFLICT DO NOTHING
), due AS (
    SELECT limits.tenant, limits.subject, limits.day, sum(saved.ended) AS ended,
        coalesce(sum(saved.released) FILTER (WHERE limits.day IN ('', budget_day)), 0)::bigint AS day_released,
        coalesce(sum(saved.spent) FILTER (WHERE limits.day IN ('', budget_day)), 0)::bigint AS day_spent,
        coalesce(sum(saved.released) FILTER (WHERE left(limits.day, 7) IN ('', left(budget_day, 7))), 0)::bigint
            AS month_released,
        coalesce(sum(saved.spent) FILTER (WHERE left(limits.day, 7) IN ('', left(budget_day, 7))), 0)::bigint
            AS month_spent
    FROM saved, jsonb_array_elements_text(saved.subjects::jsonb) AS named (subject)
    JOIN limits ON limits.subject = named.subject WHERE limits.tenant = saved.tenant
    GROUP BY limits.tenant, limits.subject
), used AS (
    -- Another process may begin a day at the same time: what is settled of an earlier one changes nothing in it, except
    -- before the first day, which has all that was counted so far.
    UPDATE limits SET
        running = limits.running - due.ended,
        day_reserved = limits.day_reserved - CASE WHEN due.day IN ('', limits.day) THEN due.day_released ELSE 0 END,
        day_spent = limits.day_spent + CASE WHEN due.day IN ('', limits.day) THEN due.day_spent ELSE 0 END,
        month_reserved = limits.month_reserved
            - CASE WHEN left(due.day, 7) IN ('', left(limits.day, 7)) THEN due.month_released ELSE 0 END,
        month_spent = limits.month_spent
            + CASE WHEN left(due.day, 7) IN ('', left(limits.day, 7)) THEN due.month_spent ELSE 0 END
    FROM due WHERE limits.tenant = due.tenant AND limits.subject = due.subject RETURNING 1
), counter AS (
    UPDATE log SET position = position + counted.number, writes = writes + 1,
        audit_sequence = audit_sequence + cardinality(counted.texts), audit_before = audit_hash, audit_hash = coalesce(
            (audit_chain(audit_sequence, audit_hash, counted.texts))[cardinality(counted.texts)], audit_hash
        )
    -- The limits are locked before the log, as in a claim.
    FROM (
        SELECT count(*) AS saved, count(*) FILTER (WHERE changes) AS number, (SELECT count(*) FROM used) AS used,
            coalesce(array_agg(audit ORDER BY place) FILTER (WHERE audit IS NOT NULL), '{}') AS texts
        FROM saved
    ) AS counted
    WHERE counted.saved > 0 AND counted.used >= 0
    RETURNING position - counted.number AS before, writes,
        audit_sequence - cardinality(counted.texts) AS audit_number, audit_before, counted.texts
), audited AS (
    INSERT INTO audit (sequence, text, hash)
    SELECT audit_number + n, text, hash
    FROM counter, unnest(texts, audit_chain(audit_number, audit_before, texts)) WITH ORDINALITY AS chain (text, hash, n)
), logged AS (
    INSERT INTO changes (tenant, position, generation_id, revision, shown, time)
    SELECT tenant, counter.before + turn, id, revision, shown, update_time FROM saved, counter WHERE changes
)
SELECT given.place, saved.place IS NOT NULL AS saved, counter.before + saved.turn AS position, counter.writes,
    (SELECT count(*) FROM fenced) AS fenced
FROM given LEFT JOIN saved USING (place) LEFT JOIN counter ON true ORDER BY given.place;

-- name: read_written
-- Read which generations have the version of a statement whose answer was lost, and the position of their last change.
SELECT generations.id, changes.position FROM generations
LEFT JOIN changes ON changes.generation_id = generations.id AND changes.revision = generations.revision
WHERE generations.id = ANY(:id::text[]) AND write_id = :write_id::uuid;

-- name: read_key
-- Read what was made with a tenant's key.
SELECT keys.generation_id AS used_by, keys.fingerprint, keys.deleted, generations.* FROM keys
LEFT JOIN generations ON generations.id = keys.generation_id AND generations.tenant = keys.tenant
WHERE keys.tenant = :tenant AND keys.key = :key;

-- name: read_generation
-- Read a generation of a tenant by its id.
SELECT * FROM generations WHERE id = :id AND tenant = :tenant;

-- name: read_any_generation
-- Read a generation of any tenant by its id.
SELECT * FROM generations WHERE id = :id;

-- name: read_generation_by_token
-- Read the generation whose webhook URL contains the token with this hash.
SELECT * FROM generations WHERE token_hash = :token_hash;

-- name: read_generation_by_request
-- Read the generation that a request at Higgsfield belongs to.
SELECT * FROM generations WHERE request_id = :request_id LIMIT 1;

-- name: read_generations_by_requests
-- Read the generations of a tenant that requests at Higgsfield belong to, newest first.
SELECT * FROM generations WHERE request_id = ANY(:request_ids::text[]) AND tenant = :tenant ORDER BY id DESC;

-- name: read_generations_by_ids
-- Read generations of a tenant by their ids, newest first.
SELECT * FROM generations WHERE id = ANY(:ids::text[]) AND tenant = :tenant ORDER BY id DESC;

-- name: read_generations_by_key
-- Read the generation that has a key now, and the refused ones that had it before, newest first.
SELECT * FROM generations WHERE id IN (
    SELECT generation_id FROM keys WHERE tenant = :tenant AND key = :key
    UNION SELECT id FROM generations
    WHERE tenant = :tenant AND idempotency_key = :key AND done AND request_id IS NULL
) ORDER BY id DESC;

-- name: read_page_end
-- Read the oldest of the next `rows` generations of a tenant before an id, and how many there are.
SELECT min(id) AS id, count(*) AS found FROM (
    SELECT id FROM generations WHERE tenant = :tenant AND id < :before AND id >= :oldest ORDER BY id DESC LIMIT :rows
) AS next;

-- name: read_generations_page
-- Read the generations of a tenant from one id to before another that match a filter, newest first. An empty array
-- matches all.
SELECT * FROM generations
WHERE tenant = :tenant AND id < :before AND id >= :oldest
AND create_time >= :created_after::double precision AND create_time < :created_before::double precision
AND (cardinality(:states::integer[]) = 0 OR state = ANY(:states::integer[]))
AND (cardinality(:model_ids::text[]) = 0 OR model_id = ANY(:model_ids::text[]))
AND (:labels::jsonb = '{}' OR labels::jsonb @> :labels::jsonb)
ORDER BY id DESC LIMIT :limit;

-- name: read_unfinished_generations
-- Read a page of the generations of all tenants that have not ended, oldest first.
SELECT * FROM generations WHERE NOT done AND id > :after ORDER BY id LIMIT :limit;

-- name: read_ended_with_stray
-- Read the ended generations that have a stray request at Higgsfield.
SELECT * FROM generations WHERE done AND stray_request_id <> '';

-- name: read_request
-- Read the exact request of a submission that is not settled.
SELECT account, origin, path, query, headers, body, key, kind FROM requests WHERE generation_id = :generation_id;

-- Changes, positions and deletions ------------------------------------------------------------------------------------

-- name: read_writes
-- Read the number of writes that must not be lost.
SELECT writes FROM log;

-- name: read_position
-- Read the highest position that was ever assigned.
SELECT position FROM log;

-- name: read_history
-- Read a generation's revisions after one of them, oldest first, each with the generation.
SELECT changes.revision AS change_revision, changes.shown AS change_shown, generations.*
FROM changes JOIN generations ON generations.id = changes.generation_id
WHERE changes.generation_id = :generation_id AND changes.revision > :after_revision
ORDER BY changes.revision LIMIT :limit;

-- name: read_changes
-- Read a tenant's changes after a position, each with its generation if there still is one.
SELECT changes.position, changes.generation_id, changes.revision AS change_revision, changes.shown AS change_shown,
    generations.*
FROM changes LEFT JOIN generations ON generations.id = changes.generation_id
WHERE changes.tenant = :tenant AND changes.position > :after_position ORDER BY changes.position LIMIT :limit;

-- name: read_horizon
-- Read the highest position of a tenant's removed changes.
SELECT horizon FROM tenants WHERE tenant = :tenant;

-- name: read_newest_change_time
-- Read the wall time of the newest change of a generation. A removal has the time of its generation's end.
SELECT time FROM changes WHERE revision > 0 ORDER BY position DESC LIMIT 1;

-- name: delete
-- Remove a generation with its content, and append its removal to the log.
WITH {fenced},
removed AS (
    DELETE FROM generations USING fenced WHERE id = :generation_id
    RETURNING id, tenant, coalesce(request_id, '') AS request_id, stray_request_id
),
raised AS (
    INSERT INTO tenants (tenant, horizon)
    SELECT tenant, coalesce((SELECT max(position) FROM changes WHERE generation_id = :generation_id), 0) FROM removed
    ON CONFLICT (tenant) DO UPDATE SET horizon = greatest(tenants.horizon, excluded.horizon)
),
forgotten_changes AS (DELETE FROM changes USING removed WHERE generation_id = removed.id),
forgotten_webhooks AS (DELETE FROM deliveries USING removed WHERE generation_id = removed.id),
forgotten_events AS (DELETE FROM events USING removed WHERE generation_id = removed.id),
unwanted_copies AS (
    UPDATE archive_files SET state = 3, url = '', attempts = 0, not_before = 0
    FROM removed WHERE generation_id = removed.id
),
used_key AS (
    UPDATE keys SET deleted = 1, orphaned = true, used_at = :steady FROM removed
    WHERE keys.tenant = removed.tenant AND key = :key AND generation_id = removed.id
),
unconfirmed AS (
    INSERT INTO removals (generation_id, request_id, account, origin, stray_request_id)
    SELECT id, request_id, :account::text, :origin::text, stray FROM removed, LATERAL (
        -- A stray request that another generation adopted is not removed, or is removed with that.
        SELECT CASE
            WHEN EXISTS (SELECT FROM generations AS adopted WHERE adopted.request_id = removed.stray_request_id) OR EXISTS (
                SELECT FROM removals AS other WHERE removed.stray_request_id IN (other.request_id, other.stray_request_id)
            )
            THEN '' ELSE removed.stray_request_id
        END AS stray
    ) AS theirs WHERE :at_upstream AND (request_id <> '' OR stray <> '')
),
counter AS (
    UPDATE log SET position = position + 1, writes = writes + 1,
        audit_sequence = audit_sequence + CASE WHEN :audit::text IS NULL THEN 0 ELSE 1 END,
        audit_hash = coalesce(
            (audit_chain(audit_sequence, audit_hash, array_remove(ARRAY[:audit::text], NULL)))[1], audit_hash
        )
    FROM removed RETURNING position, writes, audit_sequence, audit_hash
),
audited AS (
    INSERT INTO audit (sequence, text, hash)
    SELECT audit_sequence, :audit::text, audit_hash FROM counter WHERE :audit::text IS NOT NULL
),
logged AS (
    INSERT INTO changes (tenant, position, generation_id, revision, shown, time)
    SELECT tenant, position, id, 0, '', :time::double precision FROM removed, counter
)
SELECT (SELECT count(*) FROM fenced) AS fenced, (SELECT position FROM counter) AS position,
    (SELECT writes FROM counter) AS writes;

-- name: read_removal_position
-- Read the position of a generation's removal.
SELECT position FROM changes WHERE generation_id = :generation_id AND revision = 0;

-- name: read_deletion
-- Read how far a deletion has got: 1 here, 2 at Higgsfield too. Returns NULL if nothing was deleted.
SELECT max(deleted) AS deleted FROM (
    SELECT deleted FROM keys WHERE generation_id = :generation_id AND tenant = :tenant AND deleted > 0
    -- The key of a refused generation was freed, so only the change that records its removal is left.
    UNION ALL SELECT 1 FROM changes WHERE generation_id = :generation_id AND tenant = :tenant AND revision = 0
) AS found;

-- name: read_removals
-- Read the removals that Higgsfield has not confirmed, oldest generation first.
SELECT generation_id, request_id, account, origin, stray_request_id FROM removals ORDER BY generation_id;

-- name: read_removal
-- Read the unconfirmed removal of a generation.
SELECT generation_id, request_id, account, origin, stray_request_id FROM removals WHERE generation_id = :generation_id;

-- name: confirm_removal
-- Record that Higgsfield removed the data of a deleted generation.
WITH {fenced},
written AS (DELETE FROM removals USING fenced WHERE generation_id = :generation_id RETURNING generation_id),
marked AS (UPDATE keys SET deleted = 2 FROM fenced WHERE generation_id = :generation_id AND deleted = 1)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- Retention -----------------------------------------------------------------------------------------------------------

-- name: has_prunable
-- Check whether retention has anything to remove. Run times are removed when a model has twice as many as are kept.
SELECT EXISTS (SELECT FROM generations WHERE done AND ended_at < :ended_before)
    OR EXISTS (SELECT FROM changes WHERE revision = 0 AND time < :ended_before)
    OR EXISTS (SELECT FROM keys WHERE orphaned AND used_at < :keys_before)
    OR EXISTS (SELECT FROM durations GROUP BY model_id HAVING count(*) > 600) AS found;

-- name: prune_generations
-- Remove generations that ended before a steady time, the first to end first, with their content.
WITH {fenced},
removed AS (
    DELETE FROM generations USING fenced WHERE id IN (
        SELECT id FROM generations WHERE done AND ended_at < :ended_before ORDER BY ended_at, id LIMIT :limit
    ) RETURNING id, tenant
),
raised AS (
    INSERT INTO tenants (tenant, horizon)
    SELECT removed.tenant, max(position) FROM removed JOIN changes ON generation_id = id GROUP BY removed.tenant
    ON CONFLICT (tenant) DO UPDATE SET horizon = greatest(tenants.horizon, excluded.horizon)
),
forgotten_changes AS (DELETE FROM changes USING removed WHERE generation_id = removed.id),
forgotten_webhooks AS (DELETE FROM deliveries USING removed WHERE generation_id = removed.id),
forgotten_events AS (DELETE FROM events USING removed WHERE generation_id = removed.id),
finished_copies AS (DELETE FROM archive_files USING removed WHERE generation_id = removed.id AND state IN (1, 2)),
orphaned_keys AS (UPDATE keys SET orphaned = true FROM removed WHERE generation_id = removed.id)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM removed;

-- name: prune_removal_changes
-- Delete changes that record old removals, and raise the horizons of their tenants.
WITH {fenced},
written AS (
    DELETE FROM changes USING fenced WHERE (tenant, position) IN (
        SELECT tenant, position FROM changes WHERE revision = 0 AND time < :ended_before ORDER BY time LIMIT :limit
    ) RETURNING tenant, position
),
raised AS (
    INSERT INTO tenants (tenant, horizon) SELECT tenant, max(position) FROM written GROUP BY tenant
    ON CONFLICT (tenant) DO UPDATE SET horizon = greatest(tenants.horizon, excluded.horizon)
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: prune_keys
-- Delete old keys that have no generation any more.
WITH {fenced},
written AS (
    DELETE FROM keys USING fenced WHERE (tenant, key) IN (
        SELECT tenant, key FROM keys WHERE orphaned AND used_at < :keys_before ORDER BY used_at LIMIT :limit
    ) RETURNING key
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- fragment: newest_durations
-- For each model, the id of the oldest of its newest 300 run times; NULL if it has fewer. The models are found by steps
-- through the index, which read no other rows. The ids are materialized: with old statistics, the server would read the
-- 300 rows again for each row that is compared with them.
WITH RECURSIVE models (model_id) AS (
    SELECT min(model_id) FROM durations
    UNION ALL
    SELECT (SELECT min(durations.model_id) FROM durations WHERE durations.model_id > models.model_id)
    FROM models WHERE models.model_id IS NOT NULL
),
newest (model_id, oldest) AS MATERIALIZED (
    SELECT models.model_id, (
        SELECT id FROM durations WHERE durations.model_id = models.model_id ORDER BY id DESC LIMIT 1 OFFSET 299
    ) FROM models
);

-- name: prune_durations
-- Delete run times that are not among the newest 300 of their model.
WITH {fenced},
written AS (
    DELETE FROM durations USING fenced WHERE id IN (
        {newest_durations}
        SELECT id FROM newest JOIN durations ON durations.model_id = newest.model_id AND id < oldest LIMIT :limit
    ) RETURNING id
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- Webhooks from Higgsfield --------------------------------------------------------------------------------------------

-- name: insert_webhook
-- Store a webhook, unless it is a duplicate, or the generation has too many or was deleted.
WITH {fenced},
written AS (
    INSERT INTO deliveries (generation_id, name, request_id, status, time)
    SELECT :generation_id::text, :name::text, :request_id::text, :status::text, :time::double precision FROM fenced
    WHERE (SELECT count(*) FROM deliveries WHERE generation_id = :generation_id) < :most
        AND EXISTS (SELECT FROM generations WHERE id = :generation_id)
    ON CONFLICT (generation_id, name) DO NOTHING RETURNING name
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written,
    EXISTS (SELECT FROM deliveries WHERE generation_id = :generation_id AND name = :name) AS known
FROM written;

-- name: finish_webhook
-- Mark a webhook as processed. `again` frees its name, so that a duplicate is processed again.
WITH {fenced},
written AS (
    UPDATE deliveries SET processed = true, name = name || :suffix::text FROM fenced
    WHERE generation_id = :generation_id AND name = :name RETURNING name
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: read_unprocessed_webhooks
-- Read the webhooks that were not processed, oldest first.
SELECT generation_id, name, request_id, status FROM deliveries WHERE NOT processed ORDER BY time;

-- Events, run times, clocks and accounts ------------------------------------------------------------------------------

-- name: insert_events
-- Store events, in place of those with the same time. Ignores events of deleted generations.
WITH {fenced},
given AS (
    SELECT * FROM unnest(
        :generation_id::text[], :time::double precision[], :description::text[], :source::smallint[], :method::text[],
        :path::text[], :http_status::integer[], :correlation_id::text[], :seconds::double precision[],
        :times::integer[]
    ) AS given (
        generation_id, time, description, source, method, path, http_status, correlation_id, seconds, times
    )
),
-- Locked, so that no event is left if the generation is being deleted.
alive AS (SELECT id FROM generations WHERE id IN (SELECT generation_id FROM given) ORDER BY id FOR KEY SHARE),
written AS (
    INSERT INTO events (
        generation_id, time, description, source, method, path, http_status, correlation_id, seconds, times
    ) SELECT generation_id, time, description, source, method, path, http_status, correlation_id, seconds, times
    FROM given JOIN alive ON alive.id = generation_id CROSS JOIN fenced
    ON CONFLICT (generation_id, time) DO UPDATE SET
        description = excluded.description, source = excluded.source, method = excluded.method, path = excluded.path,
        http_status = excluded.http_status, correlation_id = excluded.correlation_id, seconds = excluded.seconds,
        times = excluded.times
    RETURNING generation_id
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: read_events
-- Read the events of a generation, oldest first.
SELECT time, description, source, method, path, http_status, correlation_id, seconds, times
FROM events WHERE generation_id = :generation_id ORDER BY time;

-- name: read_durations
-- Read the newest 300 run times of each model, oldest first.
{newest_durations}
SELECT durations.model_id, traits, seconds
FROM newest JOIN durations ON durations.model_id = newest.model_id AND id >= coalesce(oldest, 0) ORDER BY id;

-- name: replace_correction
-- Store by how much the steady clock was ahead of Higgsfield's from a time on, and delete other corrections.
WITH {fenced},
forgotten AS (
    DELETE FROM corrections USING fenced WHERE since = ANY(:forget::double precision[]) AND since <> :since
),
written AS (
    INSERT INTO corrections (since, ahead, placed)
    SELECT :since::double precision, :ahead::double precision, :placed::boolean FROM fenced
    ON CONFLICT (since) DO UPDATE SET ahead = excluded.ahead, placed = excluded.placed RETURNING since
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: read_corrections
-- Read all corrections of the steady clock, oldest first.
SELECT since, ahead, placed FROM corrections ORDER BY since;

-- name: read_newest_steady_time
-- Read the latest steady time of generations, catalogs, characters and corrections, from which the clock of the next
-- process continues. A generation ends after it was created and sent.
SELECT greatest(
    0, max(created_at), max(sent_at), (SELECT max(ended_at) FROM generations WHERE done),
    (SELECT max(fetched_at) FROM catalogs), (SELECT max(sent_at) FROM characters), (SELECT max(since) FROM corrections)
)::double precision AS newest FROM generations WHERE NOT done;

-- name: read_accounts_without_repeats
-- Read the accounts whose submissions must not be repeated.
SELECT account FROM accounts;

-- name: save_credentials
-- Store credentials of an account, or replace those with the same id. A repeated write changes nothing.
WITH {fenced},
written AS (
    INSERT INTO credentials (id, account, tenant, sealed, create_time)
    SELECT :id::text, :account::text, :tenant::text, :sealed::bytea, :create_time::double precision FROM fenced
    ON CONFLICT (id) DO UPDATE SET
        account = excluded.account, tenant = excluded.tenant, sealed = excluded.sealed,
        create_time = excluded.create_time
    WHERE (credentials.account, credentials.tenant, credentials.create_time)
        <> (excluded.account, excluded.tenant, excluded.create_time)
    RETURNING 1
),
{audited}
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: seal_credentials
-- Replace the encrypted text of credentials.
WITH {fenced},
written AS (
    UPDATE credentials SET sealed = :sealed::bytea FROM fenced
    WHERE id = :id::text AND sealed <> :sealed::bytea RETURNING 1
),
{audited}
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: delete_account
-- Delete all credentials of an account.
WITH {fenced},
written AS (DELETE FROM credentials USING fenced WHERE account = :account::text RETURNING 1),
{audited}
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: read_credentials
-- Read all credentials, oldest first.
SELECT id, account, tenant, sealed, create_time FROM credentials ORDER BY create_time, id;

-- name: set_pool
-- Store the accounts of a tenant.
WITH {fenced},
written AS (
    INSERT INTO pools (tenant, accounts) SELECT :tenant::text, :accounts::text FROM fenced
    ON CONFLICT (tenant) DO UPDATE SET accounts = excluded.accounts WHERE pools.accounts <> excluded.accounts
    RETURNING 1
),
{audited}
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: delete_pool
-- Delete the accounts of a tenant.
WITH {fenced},
written AS (DELETE FROM pools USING fenced WHERE tenant = :tenant::text RETURNING 1),
{audited}
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: read_pools
-- Read the accounts of all tenants.
SELECT tenant, accounts FROM pools ORDER BY tenant;

-- name: replace_catalog
-- Store a catalog in place of the previous one.
WITH {fenced},
written AS (
    INSERT INTO catalogs (account, origin, name, items, fetched_at, fetch_time)
    SELECT :account::text, :origin::text, :name::text, :items::text, :fetched_at::double precision,
        :fetch_time::double precision
    FROM fenced
    ON CONFLICT (account, origin, name) DO UPDATE SET
        items = excluded.items, fetched_at = excluded.fetched_at, fetch_time = excluded.fetch_time
    RETURNING name
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: read_catalog
-- Read a catalog of an account.
SELECT items, fetched_at, fetch_time FROM catalogs WHERE account = :account AND origin = :origin AND name = :name;

-- fragment: is_limit
-- The condition for a row with limits. One without only counts the use, and its limits are not set yet.
coalesce(
    credits_per_day, credits_per_month, submissions_per_minute, in_flight, concurrency_share
) IS NOT NULL OR models <> '';

-- name: has_limits
-- Check whether a subject has limits.
SELECT true AS found FROM limits WHERE tenant = :tenant AND subject = :subject AND ({is_limit});

-- name: set_limits
-- Replace the limits of a subject. What is used of them stays. The same limits change nothing.
WITH {fenced},
written AS (
    UPDATE limits SET
        credits_per_day = :credits_per_day::bigint, credits_per_month = :credits_per_month::bigint,
        submissions_per_minute = :submissions_per_minute::bigint, in_flight = :in_flight::bigint,
        concurrency_share = :concurrency_share::bigint, models = :models::text
    FROM fenced
    WHERE tenant = :tenant::text AND subject = :subject::text
        AND (credits_per_day, credits_per_month, submissions_per_minute, in_flight, concurrency_share, models)
            IS DISTINCT FROM (:credits_per_day::bigint, :credits_per_month::bigint, :submissions_per_minute::bigint,
                :in_flight::bigint, :concurrency_share::bigint, :models::text)
    RETURNING 1
),
{audited}
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: lock_limits
-- Wait for all claims and saves that may not see a new row of limits, and keep others waiting.
LOCK TABLE limits IN SHARE ROW EXCLUSIVE MODE;

-- name: begin_use
-- Begin to count the use of a subject that has no limits.
WITH {fenced},
today AS MATERIALIZED (
    SELECT coalesce(
        nullif(:day::text, '') COLLATE "C",
        (SELECT max(budget_day) FROM generations WHERE tenant = :tenant::text AND price IS NOT NULL), ''
    ) AS day
), begun AS (
    -- What was counted before the first day belongs to it.
    SELECT today.day FROM today, fenced WHERE today.day <> ''
        AND NOT EXISTS (SELECT FROM limits WHERE tenant = :tenant::text AND subject = :subject::text)
), dated_use AS (
    UPDATE limits SET day = begun.day FROM begun WHERE limits.tenant = :tenant::text AND limits.day = ''
), dated_prices AS (
    UPDATE generations SET budget_day = begun.day FROM begun
    WHERE tenant = :tenant::text AND budget_day = '' AND price IS NOT NULL
), written AS (
    INSERT INTO limits (
        tenant, subject, models, minute, submissions, running, day, day_reserved, day_spent, month_reserved, month_spent
    ) SELECT :tenant::text, :subject::text, '', 0, 0, 0, today.day, 0, 0, 0, 0 FROM fenced, today
    ON CONFLICT (tenant, subject) DO NOTHING RETURNING 1
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: read_earlier_use
-- Read what the use of a subject lacks since `begin_use`: the use by the generations that are stored, minus what was
-- counted. Both change in the same commits, so the difference stays true until another day begins. Stray requests are
-- spent in any state. That of a LOST generation without a request is its first one.
WITH priced AS (
    SELECT budget_day, CASE WHEN NOT done THEN price ELSE 0 END AS reserved,
        CASE WHEN state IN (5, 9) THEN price ELSE 0 END
            + CASE WHEN stray_request_id <> '' AND NOT (state = 9 AND request_id IS NULL) THEN price ELSE 0 END AS spent
    FROM generations
    WHERE tenant = :tenant::text AND price IS NOT NULL AND ({of_subject}) AND budget_day >= (
        SELECT CASE WHEN day = '' THEN '' ELSE left(day, 7) || '-01' END FROM limits
        WHERE tenant = :tenant::text AND subject = :subject::text
    )
)
SELECT day,
    (SELECT count(*) FROM generations WHERE NOT done AND tenant = :tenant::text AND ({of_subject})) - running AS running,
    (coalesce(sum(reserved) FILTER (WHERE budget_day = day), 0) - day_reserved)::bigint AS day_reserved,
    (coalesce(sum(spent) FILTER (WHERE budget_day = day), 0) - day_spent)::bigint AS day_spent,
    (coalesce(sum(reserved), 0) - month_reserved)::bigint AS month_reserved,
    (coalesce(sum(spent), 0) - month_spent)::bigint AS month_spent
FROM limits LEFT JOIN priced ON left(budget_day, 7) = left(day, 7)
WHERE limits.tenant = :tenant::text AND subject = :subject::text GROUP BY limits.tenant, subject;

-- name: set_new_limits
-- Set the limits of a subject whose use was begun, with what it lacks. Changes nothing if another day has begun.
WITH {fenced},
written AS (
    UPDATE limits SET
        credits_per_day = :credits_per_day::bigint, credits_per_month = :credits_per_month::bigint,
        submissions_per_minute = :submissions_per_minute::bigint, in_flight = :in_flight::bigint,
        concurrency_share = :concurrency_share::bigint, models = :models::text,
        running = running + :running::bigint, day_reserved = day_reserved + :day_reserved::bigint,
        day_spent = day_spent + :day_spent::bigint, month_reserved = month_reserved + :month_reserved::bigint,
        month_spent = month_spent + :month_spent::bigint
    FROM fenced
    WHERE tenant = :tenant::text AND subject = :subject::text AND day = :day::text AND NOT ({is_limit})
    RETURNING 1
),
{audited}
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: delete_limits
-- Remove the limits of a subject.
WITH {fenced},
written AS (DELETE FROM limits USING fenced WHERE tenant = :tenant::text AND subject = :subject::text RETURNING 1),
{audited}
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: read_limits
-- Read a page of limits and their use behind a subject of a tenant, up to a last tenant.
SELECT * FROM limits WHERE (tenant, subject) > (:after_tenant, :after_subject) AND tenant <= :last_tenant
ORDER BY tenant, subject LIMIT :limit;

-- name: read_limits_of
-- Read the limits that apply to some subjects of a tenant, and their use.
SELECT * FROM limits WHERE tenant = :tenant AND subject = ANY(:subjects::text[]) ORDER BY subject;

-- name: read_uncertain_prices
-- Read the prices of UNCERTAIN generations, with their subjects and days. An empty tenant selects those of all.
SELECT tenant, key_id, labels, budget_day, price FROM generations
WHERE NOT done AND state = 2 AND budget_day IS NOT NULL AND (:tenant = '' OR tenant = :tenant);

-- name: read_usage
-- Count generations by group and state, and sum their prices, waits and run times.
SELECT
    CASE WHEN :by_day::boolean THEN to_char(to_timestamp(create_time) AT TIME ZONE 'UTC', 'YYYY-MM-DD') ELSE '' END AS day,
    CASE WHEN :by_tenant::boolean THEN tenant ELSE '' END COLLATE "C" AS tenant,
    CASE WHEN :by_key::boolean THEN key_id ELSE '' END COLLATE "C" AS key,
    CASE WHEN :by_model::boolean THEN model_id ELSE '' END COLLATE "C" AS model,
    CASE WHEN :label::text = '' THEN '' ELSE coalesce(labels::jsonb ->> :label::text, '') END COLLATE "C" AS label,
    state,
    count(*) AS generations,
    count(*) FILTER (WHERE estimated_credits <> '') AS priced,
    coalesce(sum(price), 0)::bigint AS credits,
    count(begun) AS waits,
    coalesce(sum(begun - create_time), 0) AS waited,
    count(begun) FILTER (WHERE state = 5) AS runs,
    coalesce(sum(end_time - begun) FILTER (WHERE state = 5), 0) AS ran
FROM generations, LATERAL (
    -- PostgreSQL refuses JSON with a NUL, which a text of Higgsfield may have.
    SELECT coalesce(content ->> 'start_time', content ->> 'accept_time')::double precision AS begun
    FROM (SELECT replace(shown, '\u0000', '\ufffd')::jsonb AS content) AS read
) AS times
WHERE id >= :oldest::text AND create_time >= :since::double precision AND create_time < :until::double precision
    AND (:of_tenant::text = '' OR tenant = :of_tenant::text)
GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6 LIMIT :most;

-- name: read_audit_head
-- Read the number and the hash of the last entry of the audit log.
SELECT audit_sequence AS sequence, audit_hash AS hash FROM log;

-- name: read_audit
-- Read entries of the audit log in their order.
SELECT sequence, text, hash FROM audit WHERE sequence >= :first ORDER BY sequence LIMIT :limit;

-- name: insert_audit
-- Append an entry to the audit log that is about no other change.
WITH {fenced},
written AS (SELECT FROM fenced),
{audited}
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: insert_api_key
-- Store a new API key as its hash.
WITH {fenced},
written AS (
    INSERT INTO api_keys (id, tenant, name, hash, create_time, scopes, expire_time)
    SELECT :id::text, :tenant::text, :name::text, :hash::bytea, :create_time::double precision, :scopes::text,
        :expire_time::double precision
    FROM fenced ON CONFLICT (id) DO NOTHING RETURNING id
),
{audited}
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: revoke_api_key
-- Store when an API key was revoked. The first time is kept.
WITH {fenced},
written AS (
    UPDATE api_keys SET revoke_time = :revoke_time FROM fenced WHERE id = :id AND revoke_time IS NULL RETURNING id
),
{audited}
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: expire_api_key
-- Store when an API key expires.
WITH {fenced},
written AS (
    UPDATE api_keys SET expire_time = :expire_time FROM fenced
    WHERE id = :id AND expire_time IS DISTINCT FROM :expire_time RETURNING id
),
{audited}
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: read_api_keys
-- Read all API keys, revoked ones included.
SELECT id, tenant, name, hash, create_time, revoke_time, scopes, expire_time FROM api_keys;

-- name: read_api_key_versions
-- Read a text for each beginning of ids of API keys, which changes with these keys.
SELECT left(id, 2) AS beginning, concat_ws(' ', count(*), count(revoke_time), sum(expire_time::numeric)) AS version
FROM api_keys GROUP BY left(id, 2);

-- name: read_api_keys_of
-- Read the API keys whose ids have one of these beginnings, revoked ones included.
SELECT id, tenant, name, hash, create_time, revoke_time, scopes, expire_time FROM api_keys
WHERE left(id, 2) = ANY(:beginnings::text[]);

-- Callbacks to callers' receivers -------------------------------------------------------------------------------------

-- name: insert_callback
-- Insert a new callback with its secrets. Inserts no row if the tenant has used the idempotency key for another one.
WITH {fenced},
written AS (
    INSERT INTO callbacks (
        id, tenant, url, wanted, every_change, idempotency_key, fingerprint, create_time, position,
        paused, problem, problem_status, problem_time, failing_since, failed_at, streak, held_until
    ) SELECT
        :id::text, :tenant::text, :url::text, :wanted::text, :every_change::boolean, :idempotency_key::text,
        :fingerprint::bytea, :create_time::double precision, :position::bigint, :paused::boolean, :problem::smallint,
        :problem_status::integer, :problem_time::double precision, :failing_since::double precision,
        :failed_at::double precision, :streak::integer, :held_until::double precision
    FROM fenced
    ON CONFLICT (tenant, idempotency_key) DO UPDATE SET id = excluded.id WHERE callbacks.id = excluded.id RETURNING id
),
signed AS (
    INSERT INTO callback_secrets (callback_id, number, secret, until)
    SELECT id, number, secret, until FROM written, unnest(
        :numbers::integer[], :secrets::text[], :untils::double precision[]
    ) AS given (number, secret, until)
    ON CONFLICT (callback_id, number) DO NOTHING
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: update_callback
-- Replace what can change in a callback, except its position, and its secrets. With `due`, its pending deliveries are due
-- then at the latest.
WITH {fenced},
written AS (
    UPDATE callbacks SET
        wanted = :wanted, every_change = :every_change, paused = :paused, problem = :problem::smallint,
        problem_status = :problem_status, problem_time = :problem_time::double precision,
        failing_since = :failing_since::double precision, failed_at = :failed_at, streak = :streak,
        held_until = :held_until
    FROM fenced WHERE id = :id RETURNING id
),
unsigned AS (
    DELETE FROM callback_secrets USING written WHERE callback_id = id AND number <> ALL(:numbers::integer[])
),
signed AS (
    INSERT INTO callback_secrets (callback_id, number, secret, until)
    SELECT id, number, secret, until FROM written, unnest(
        :numbers::integer[], :secrets::text[], :untils::double precision[]
    ) AS given (number, secret, until)
    ON CONFLICT (callback_id, number) DO UPDATE SET secret = excluded.secret, until = excluded.until
),
advanced AS (
    UPDATE callback_deliveries SET next_at = least(next_at, :due::double precision) FROM written
    WHERE callback_id = id AND state = 1
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: delete_callback
-- Delete a callback with its secrets and pending deliveries.
WITH {fenced},
written AS (DELETE FROM callbacks USING fenced WHERE id = :callback_id RETURNING id),
unsigned AS (DELETE FROM callback_secrets USING fenced WHERE callback_id = :callback_id),
undelivered AS (DELETE FROM callback_deliveries USING fenced WHERE callback_id = :callback_id AND state = 1)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: read_callbacks
-- Read all callbacks, oldest first.
SELECT * FROM callbacks ORDER BY id;

-- name: read_callback_secrets
-- Read the secrets of all callbacks, the newest of each first.
SELECT callback_id, secret, until FROM callback_secrets ORDER BY callback_id, number;

-- name: take_deliveries
-- Store new deliveries and the position of their callback, unless that is further already.
WITH {fenced},
written AS (
    UPDATE callbacks SET position = greatest(position, :position::bigint) FROM fenced WHERE id = :callback_id
    RETURNING id
),
taken AS (
    INSERT INTO callback_deliveries (
        callback_id, generation_id, revision, create_time, next_at, state, attempts, refusals, problem, http_status,
        last_attempt_time
    ) SELECT :callback_id, given.* FROM fenced, unnest(
        :generation_id::text[], :revision::bigint[], :create_time::double precision[], :next_at::double precision[],
        :state::smallint[], :attempts::integer[], :refusals::integer[], :problem::smallint[], :http_status::integer[],
        :last_attempt_time::double precision[]
    ) AS given
    ON CONFLICT DO NOTHING
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: prune_callback_deliveries
-- Delete deliveries that were settled before a wall time. The callbacks that have any are found by steps through the
-- index, because some are deleted.
WITH {fenced},
written AS (
    DELETE FROM callback_deliveries USING fenced WHERE (callback_id, generation_id, revision) IN (
        WITH RECURSIVE owners (callback_id) AS (
            SELECT min(callback_id) FROM callback_deliveries
            UNION ALL
            SELECT (
                SELECT min(others.callback_id) FROM callback_deliveries AS others
                WHERE others.callback_id > owners.callback_id
            ) FROM owners WHERE owners.callback_id IS NOT NULL
        )
        SELECT settled.* FROM owners CROSS JOIN LATERAL (
            SELECT callback_id, generation_id, revision FROM callback_deliveries
            WHERE callback_id = owners.callback_id AND create_time < :before AND state <> 1
                AND last_attempt_time < :before
            ORDER BY create_time LIMIT :limit
        ) AS settled LIMIT :limit
    ) RETURNING callback_id
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: update_callback_delivery
-- Replace what an attempt changes in a delivery.
WITH {fenced},
written AS (
    UPDATE callback_deliveries SET
        next_at = :next_at, state = :state, attempts = :attempts, refusals = :refusals, problem = :problem::smallint,
        http_status = :http_status, last_attempt_time = :last_attempt_time::double precision
    FROM fenced
    WHERE callback_id = :callback_id AND generation_id = :generation_id AND revision = :revision
    RETURNING generation_id
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: attempt_delivery
-- Store a delivery after an attempt, and the health of its callback if it changed. With `due`, the pending deliveries
-- that an unavailable receiver missed are due then at the latest.
WITH {fenced},
written AS (
    UPDATE callback_deliveries SET
        next_at = CASE WHEN attempted THEN :next_at ELSE least(next_at, :due::double precision) END,
        state = CASE WHEN attempted THEN :state ELSE state END,
        attempts = CASE WHEN attempted THEN :attempts ELSE attempts END,
        refusals = CASE WHEN attempted THEN :refusals ELSE refusals END,
        problem = CASE WHEN attempted THEN :problem::smallint ELSE problem END,
        http_status = CASE WHEN attempted THEN :http_status ELSE http_status END,
        last_attempt_time =
            CASE WHEN attempted THEN :last_attempt_time::double precision ELSE last_attempt_time END
    FROM fenced, (
        SELECT generation_id AS of, revision AS at, generation_id = :generation_id AND revision = :revision AS attempted
        FROM callback_deliveries
        WHERE callback_id = :callback_id AND (
            generation_id = :generation_id AND revision = :revision
            OR :due::double precision IS NOT NULL AND state = 1 AND problem IS NOT NULL
                AND (http_status IN (0, 429, 502, 503, 504) OR http_status >= 520)
        )
    ) AS found
    WHERE callback_id = :callback_id AND generation_id = found.of AND revision = found.at
    RETURNING generation_id
),
changed AS (
    UPDATE callbacks SET
        wanted = :wanted, every_change = :every_change, paused = :paused, problem = :callback_problem::smallint,
        problem_status = :problem_status, problem_time = :problem_time::double precision,
        failing_since = :failing_since::double precision, failed_at = :failed_at, streak = :streak,
        held_until = :held_until
    FROM fenced WHERE id = :callback_id AND :callback_changed
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: delete_callback_delivery
-- Delete one delivery of a callback.
WITH {fenced},
written AS (
    DELETE FROM callback_deliveries USING fenced
    WHERE callback_id = :callback_id AND generation_id = :generation_id AND revision = :revision
    RETURNING generation_id
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: read_pending_callback_deliveries
-- Read the pending deliveries of a callback in the order of their revisions.
SELECT * FROM callback_deliveries WHERE callback_id = :callback_id AND state = 1 ORDER BY generation_id, revision;

-- name: read_callback_delivery
-- Read one delivery of a callback.
SELECT * FROM callback_deliveries
WHERE callback_id = :callback_id AND generation_id = :generation_id AND revision = :revision;

-- fragment: page_of_deliveries
-- The condition for the deliveries of a page, and their order: newest first.
(create_time, generation_id, revision) < (:before_time, :before_generation, :before_revision)
ORDER BY create_time DESC, generation_id DESC, revision DESC LIMIT :limit;

-- name: read_callback_deliveries
-- Read a page of a callback's deliveries.
SELECT * FROM callback_deliveries WHERE callback_id = :callback_id AND {page_of_deliveries};

-- name: read_failed_callback_deliveries
-- Read a page of those whose last attempt failed.
SELECT * FROM callback_deliveries
WHERE callback_id = :callback_id AND problem IS NOT NULL AND {page_of_deliveries};

-- name: read_callback_deliveries_of_generation
-- Read a page of those of one generation.
SELECT * FROM callback_deliveries
WHERE callback_id = :callback_id AND generation_id = :generation_id AND (NOT :failed_only OR problem IS NOT NULL)
    AND (create_time, revision) < (:before_time, :before_revision)
ORDER BY create_time DESC, revision DESC LIMIT :limit;

-- Copies of outputs in an archive. state: 0 pending, 1 archived, 2 given up, 3 to be removed --------------------------

-- name: insert_copies
-- Plan copies of outputs or their previews, unless they are planned already or their generation was deleted.
WITH {fenced},
given AS (
    SELECT * FROM unnest(
        :generation_id::text[], :output::integer[], :preview::boolean[], :url::text[], :key::text[],
        :content_type::text[], :archive::text[], :expire_time::double precision[]
    ) AS given (generation_id, output, preview, url, key, content_type, archive, expire_time)
),
-- Locked, so that no copy is left if the generation is being deleted.
alive AS (SELECT id FROM generations WHERE id IN (SELECT generation_id FROM given) ORDER BY id FOR KEY SHARE),
written AS (
    INSERT INTO archive_files (generation_id, output, preview, url, key, content_type, archive, expire_time, not_before)
    SELECT generation_id, output, preview, url, key, content_type, archive, expire_time, :not_before::double precision
    FROM given JOIN alive ON alive.id = generation_id CROSS JOIN fenced
    ON CONFLICT (generation_id, output, preview) DO NOTHING RETURNING generation_id
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: assign_copies
-- Assign the pending copies of other archives to this one.
WITH {fenced},
written AS (
    UPDATE archive_files SET archive = :archive FROM fenced WHERE state = 0 AND archive <> :archive
    RETURNING generation_id
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: read_ended_generations
-- Read a page of ended generations; `wanted` marks those in a state that have no copies.
SELECT generations.*, generations.state = :state AND copied.generation_id IS NULL AS wanted
FROM generations LEFT JOIN LATERAL (
    -- The limit keeps the planner from reading the copies of all generations.
    SELECT generation_id FROM archive_files WHERE archive_files.generation_id = generations.id LIMIT 1
) AS copied ON true
WHERE done AND (ended_at, id) > (:ended_after, :after_id) ORDER BY ended_at, id LIMIT :limit;

-- name: read_due_copies
-- Read due copies and removals: those of the first tenant after one by name, oldest first, then those of the next tenant.
-- Those after `latest` are due too, and come last: the clock must have gone back.
WITH RECURSIVE waiting (tenant) AS (
    SELECT :after::text COLLATE "C"
    UNION ALL
    SELECT (
        SELECT min(split_part(key, '/', 1) COLLATE "C") FROM archive_files
        WHERE state IN (0, 3) AND archive = :archive AND split_part(key, '/', 1) COLLATE "C" > waiting.tenant
    )
    FROM waiting WHERE tenant IS NOT NULL
)
SELECT due.*
-- Without ORDER BY, no tenants are read beyond the limit.
FROM waiting CROSS JOIN LATERAL (
    SELECT generation_id, output, preview, url, key, content_type, archive, expire_time, attempts, state
    FROM archive_files
    WHERE state IN (0, 3) AND archive = :archive AND split_part(key, '/', 1) COLLATE "C" = tenant AND not_before <= :now
    ORDER BY not_before LIMIT :limit
) AS due WHERE tenant > :after
UNION ALL
SELECT generation_id, output, preview, url, key, content_type, archive, expire_time, attempts, state
FROM archive_files WHERE state IN (0, 3) AND archive = :archive AND not_before > :latest
LIMIT :limit;

-- name: read_next_copy_time
-- Read the steady time at which the next copy or removal is due.
SELECT min(not_before) AS next FROM archive_files
WHERE state IN (0, 3) AND archive = :archive AND not_before > :now;

-- name: record_copy
-- Record that a pending copy was made, and erase the URL of its source. If its generation is gone, the row is not needed.
WITH {fenced},
orphaned AS (
    DELETE FROM archive_files USING fenced
    WHERE generation_id = :generation_id AND output = :output AND preview = :preview AND state <> 3
        AND NOT EXISTS (SELECT FROM generations WHERE id = :generation_id)
    RETURNING state
),
written AS (
    UPDATE archive_files SET state = 1, url = '', archived_url = :archived_url, size = :size, sha256 = :sha256
    FROM fenced
    WHERE generation_id = :generation_id AND output = :output AND preview = :preview AND NOT EXISTS (
        SELECT FROM orphaned
    ) AND (state = 0 OR state = 1 AND archived_url = :archived_url AND sha256 = :sha256)
    RETURNING generation_id
)
SELECT (SELECT count(*) FROM fenced) AS fenced,
    (SELECT count(*) FROM written) + (SELECT count(*) FROM orphaned WHERE state = 0) AS written;

-- name: postpone_copy
-- Count a failed attempt and store the time of the next one; with `give_up`, the copy is given up. If its generation was
-- deleted during the attempt, the row now is that of a removal, which does not wait.
WITH {fenced},
orphaned AS (
    DELETE FROM archive_files USING fenced
    WHERE generation_id = :generation_id AND output = :output AND preview = :preview
        AND (state IN (1, 2) OR state = 0 AND :give_up)
        AND NOT EXISTS (SELECT FROM generations WHERE id = :generation_id)
    RETURNING generation_id
),
written AS (
    UPDATE archive_files SET attempts = attempts + 1, not_before = :not_before,
        url = CASE WHEN :give_up THEN '' ELSE url END, state = CASE WHEN :give_up THEN 2 ELSE state END
    FROM fenced
    WHERE generation_id = :generation_id AND output = :output AND preview = :preview AND state = :state AND NOT EXISTS (
        SELECT FROM orphaned
    )
    RETURNING generation_id
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: delete_copy
-- Delete the row of a file that was removed from the archive.
WITH {fenced},
written AS (
    DELETE FROM archive_files USING fenced
    WHERE generation_id = :generation_id AND output = :output AND preview = :preview RETURNING generation_id
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: read_archived_files
-- Read the archived files of generations.
SELECT generation_id, output, preview, archived_url, size, sha256 FROM archive_files
WHERE state = 1 AND generation_id = ANY(:generation_ids::text[]);

-- name: count_waiting_copies
-- Count the files that wait to be copied or removed.
SELECT count(*) AS waiting FROM archive_files WHERE state IN (0, 3);

-- name: count_failing_copies
-- Count the files that wait to be copied or removed, and whose last attempt failed.
SELECT count(*) AS failing FROM archive_files WHERE state IN (0, 3) AND attempts > 0;

-- Characters ----------------------------------------------------------------------------------------------------------

-- name: insert_character
-- Store an order before it is sent. Inserts no row if the tenant has used the idempotency key for another one.
WITH {fenced},
written AS (
    INSERT INTO characters (
        id, tenant, idempotency_key, fingerprint, account, name, version, known, sent_date, sent_at
    ) SELECT
        :id::text, :tenant::text, :idempotency_key::text, :fingerprint::bytea, :account::text, :name::text,
        :version::smallint, :known::text, :sent_date::double precision, :sent_at::double precision
    FROM fenced
    ON CONFLICT (tenant, idempotency_key) DO UPDATE SET id = excluded.id WHERE characters.id = excluded.id
    RETURNING id
),
counter AS (UPDATE log SET writes = writes + 1 FROM written RETURNING writes)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written, (SELECT writes FROM counter) AS writes
FROM written;

-- name: bind_character
-- Store the id of the character that an order created.
WITH {fenced},
written AS (UPDATE characters SET character_id = :character_id FROM fenced WHERE id = :id RETURNING id)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: delete_unbound_character
-- Delete an order that created no character, which frees its key.
WITH {fenced},
written AS (DELETE FROM characters USING fenced WHERE id = :id AND character_id IS NULL RETURNING id)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: read_characters
-- Read all orders of characters, oldest first.
SELECT id, tenant, idempotency_key, fingerprint, account, name, version, known, sent_date, sent_at, character_id
FROM characters ORDER BY id;

-- name: insert_removed_character
-- Store that a character is to be deleted, or that Higgsfield has deleted it. The latter is never undone.
WITH {fenced},
written AS (
    INSERT INTO removed_characters (account, character_id, tenant, gone)
    SELECT :account::text, :character_id::text, :tenant::text, :gone::boolean FROM fenced
    ON CONFLICT (account, character_id) DO UPDATE SET gone = removed_characters.gone OR excluded.gone
    RETURNING character_id
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: read_removed_characters
-- Read the characters that are to be deleted and those that are.
SELECT account, character_id, tenant, gone FROM removed_characters;

-- Conversations with agents -------------------------------------------------------------------------------------------

-- name: insert_agent_session
-- Store a new session with its key. Inserts no row if the tenant has used the key for another one.
WITH {fenced},
written AS (
    INSERT INTO agent_keys (tenant, key, fingerprint, session_id, after_message_id, used_at)
    SELECT :tenant::text, :key::text, :fingerprint::bytea, :session_id::text, :after_message_id::text,
        :used_at::double precision
    FROM fenced
    ON CONFLICT (tenant, key) DO UPDATE SET key = excluded.key
    WHERE agent_keys.session_id = excluded.session_id AND agent_keys.used_at = excluded.used_at RETURNING session_id
),
stored AS (
    INSERT INTO agent_sessions (id, tenant, created_at)
    SELECT session_id, :tenant::text, :used_at::double precision FROM written ON CONFLICT (id) DO NOTHING
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: read_agent_tenant
-- Read the tenant of a session.
SELECT tenant FROM agent_sessions WHERE id = :session_id;

-- name: insert_agent_key
-- Claim a key for a message, before it is sent. Inserts no row if the tenant has used the key for another one.
WITH {fenced},
written AS (
    INSERT INTO agent_keys (tenant, key, fingerprint, session_id, after_message_id, used_at)
    SELECT :tenant::text, :key::text, :fingerprint::bytea, :session_id::text, :after_message_id::text,
        :used_at::double precision
    FROM fenced
    ON CONFLICT (tenant, key) DO NOTHING RETURNING key
),
counter AS (UPDATE log SET writes = writes + 1 FROM written RETURNING writes)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written, (SELECT writes FROM counter) AS writes
FROM written;

-- name: read_agent_key
-- Read the record of a tenant's key.
SELECT tenant, key, fingerprint, session_id, after_message_id, message_id, used_at FROM agent_keys
WHERE tenant = :tenant AND key = :key;

-- name: bind_agent_message
-- Store Higgsfield's id of the message that was sent with a key, in the record that was written for this sending.
WITH {fenced},
written AS (
    UPDATE agent_keys SET message_id = :message_id FROM fenced
    WHERE tenant = :tenant AND key = :key AND used_at = :used_at AND (message_id IS NULL OR message_id = :message_id)
    RETURNING key
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: delete_unbound_agent_key
-- Free the key of a message that Higgsfield did not accept. A later record of the key stays.
WITH {fenced},
written AS (
    DELETE FROM agent_keys USING fenced
    WHERE tenant = :tenant AND key = :key AND used_at = :used_at AND message_id IS NULL RETURNING key
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: read_bound_agent_messages
-- Read the ids of the messages of a session that were sent with keys.
SELECT message_id FROM agent_keys WHERE session_id = :session_id AND message_id IS NOT NULL;

-- name: read_newest_agent_message
-- Read the id of the message of a session that was sent last.
SELECT message_id FROM agent_keys WHERE session_id = :session_id AND message_id IS NOT NULL
ORDER BY used_at DESC LIMIT 1;

-- name: read_unresolved_agent_messages
-- Read the messages whose id at Higgsfield is not known, oldest first. Keys of sessions are no messages.
SELECT tenant, key, fingerprint, session_id, after_message_id, message_id, used_at FROM agent_keys
WHERE message_id IS NULL AND fingerprint <> :session_fingerprint ORDER BY used_at;

-- name: insert_agent_media
-- Store the tenant of a media slot.
WITH {fenced},
written AS (
    INSERT INTO agent_media (tenant, id, created_at)
    SELECT :tenant::text, :id::text, :created_at::double precision FROM fenced
    ON CONFLICT (tenant, id) DO UPDATE SET created_at = excluded.created_at RETURNING id
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: has_agent_media
-- Check whether a media slot belongs to a tenant.
SELECT 1 AS found FROM agent_media WHERE tenant = :tenant AND id = :id;

-- fragment: old_agent_key
-- The condition for the keys that retention removes: those of sessions, and of messages that were sent. Messages without
-- an outcome stay, and so do the other keys of their session: they exclude messages from the lookup.
used_at < :used_before AND (fingerprint = :session_fingerprint OR message_id IS NOT NULL AND session_id NOT IN (
    SELECT session_id FROM agent_keys WHERE message_id IS NULL AND fingerprint <> :session_fingerprint
));

-- name: has_prunable_agent_rows
-- Check whether retention would remove any key or media slot.
SELECT EXISTS (
        SELECT FROM agent_keys
        WHERE {old_agent_key}
    )
    OR EXISTS (SELECT FROM agent_media WHERE created_at < :used_before) AS found;

-- name: prune_agent_keys
-- Delete old keys of sessions and messages.
WITH {fenced},
written AS (
    DELETE FROM agent_keys USING fenced WHERE (tenant, key) IN (
        SELECT tenant, key FROM agent_keys
        WHERE {old_agent_key}
        ORDER BY used_at LIMIT :limit
    ) RETURNING key
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;

-- name: prune_agent_media
-- Delete old media slots.
WITH {fenced},
written AS (
    DELETE FROM agent_media USING fenced WHERE (tenant, id) IN (
        SELECT tenant, id FROM agent_media WHERE created_at < :used_before ORDER BY created_at LIMIT :limit
    ) RETURNING id
)
SELECT (SELECT count(*) FROM fenced) AS fenced, count(*) AS written FROM written;
