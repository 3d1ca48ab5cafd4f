-- Every statement of the SQLite store. Each has a name, a description, and named parameters. `{NAME}` in a statement is
-- replaced by the fragment of that name.

-- Generations and their keys ------------------------------------------------------------------------------------------

-- name: insert_key
-- Claim an idempotency key for a new generation. Inserts no row if the tenant has used the key, or has used and freed it
-- with a later generation: this claim's commit comes late, after its caller was told that a repeat was refused.
INSERT INTO keys (tenant, key, generation_id, fingerprint, used_at)
SELECT :tenant, :key, :generation_id, :fingerprint, :used_at
WHERE NOT EXISTS (
    SELECT 1 FROM generations WHERE tenant = :tenant AND idempotency_key = :key AND done = 1 AND request_id IS NULL
        AND created_at > :used_at
) ON CONFLICT (tenant, key) DO NOTHING;

-- name: read_key
-- Read the generation, the fingerprint and the deletion of a tenant's key.
SELECT generation_id, fingerprint, deleted FROM keys WHERE tenant = :tenant AND key = :key;

-- name: delete_key
-- Free the key of a refused generation, so that the caller can use it again.
DELETE FROM keys WHERE tenant = :tenant AND key = :key AND generation_id = :generation_id;

-- name: mark_key_deleted
-- Mark the key of a deleted generation as used up. Its retention starts at the time of the deletion.
UPDATE keys SET deleted = 1, orphaned = 1, used_at = :used_at
WHERE tenant = :tenant AND key = :key AND generation_id = :generation_id;

-- name: mark_key_removed
-- Record that Higgsfield removed the data of a deleted generation.
UPDATE keys SET deleted = 2 WHERE generation_id = :generation_id AND deleted = 1;

-- name: mark_key_orphaned
-- Record that retention removed the generation of a key.
UPDATE keys SET orphaned = 1 WHERE generation_id = :generation_id;

-- name: insert_generation
-- Insert a new generation with all of its columns.
INSERT INTO generations (
    id, tenant, model_id, api, account, origin, input, labels, idempotency_key, create_time, created_at, weight,
    token_hash, start_by, fail_when_saturated, traits, adopted, traceparent, key_id, price, estimated_credits,
    estimated_usd, callback_url, budget_day, version, revision, state, done, request_id, end_time, ended_at, shown,
    owner, attempt, send_by, sent_at, first_sent_at, sends, ambiguous, not_before, repeats_over, cancel_requested,
    polls, missing_since, stray_request_id, held
) VALUES (
    :id, :tenant, :model_id, :api, :account, :origin, :input, :labels, :idempotency_key, :create_time, :created_at,
    :weight, :token_hash, :start_by, :fail_when_saturated, :traits, :adopted, :traceparent, :key_id, :price,
    :estimated_credits, :estimated_usd, :callback_url, :budget_day, :version, :revision, :state, :done, :request_id,
    :end_time, :ended_at, :shown,
    :owner, :attempt, :send_by, :sent_at, :first_sent_at, :sends, :ambiguous, :not_before, :repeats_over,
    :cancel_requested, :polls, :missing_since, :stray_request_id, :held
);

-- name: update_generation
-- Replace the columns that change, unless another write changed the version since it was read.
UPDATE generations SET
    version = :version, revision = :revision, state = :state, done = :done, request_id = :request_id,
    end_time = :end_time, ended_at = :ended_at, shown = :shown,
    owner = :owner, attempt = :attempt, send_by = :send_by, sent_at = :sent_at, first_sent_at = :first_sent_at,
    sends = :sends, ambiguous = :ambiguous, not_before = :not_before, repeats_over = :repeats_over,
    cancel_requested = :cancel_requested, polls = :polls, missing_since = :missing_since,
    stray_request_id = :stray_request_id, held = :held
WHERE id = :id AND version = :version_before;

-- name: delete_generation
-- Delete the row of a generation, and return its requests at Higgsfield.
DELETE FROM generations WHERE id = :id RETURNING coalesce(request_id, '') AS request_id, stray_request_id;

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
SELECT * FROM generations WHERE request_id = :request_id;

-- name: read_generations_by_requests
-- Read the generations of a tenant that the requests in a JSON array of ids belong to, newest first. With + no index is
-- used for the tenant: SQLite would read all of its generations.
SELECT * FROM generations WHERE request_id IN (SELECT value FROM json_each(:request_ids)) AND +tenant = :tenant
ORDER BY id DESC;

-- name: read_generations_by_ids
-- Read the generations of a tenant in a JSON array of ids, newest first.
SELECT * FROM generations WHERE id IN (SELECT value FROM json_each(:ids)) AND tenant = :tenant ORDER BY id DESC;

-- name: has_request
-- Check whether a request at Higgsfield belongs to another generation, or is being removed with a deleted one.
SELECT 1 FROM generations WHERE request_id = :request_id AND id <> :id
UNION ALL SELECT 1 FROM removals WHERE request_id = :request_id OR stray_request_id = :request_id;

-- name: read_generations_by_key
-- Read the generation that has a key now, and the refused ones that had it before, newest first.
SELECT * FROM generations WHERE id IN (
    SELECT generation_id FROM keys WHERE tenant = :tenant AND key = :key
    UNION SELECT id FROM generations
    WHERE tenant = :tenant AND idempotency_key = :key AND done = 1 AND request_id IS NULL
) ORDER BY id DESC;

-- name: read_page_end
-- Read the oldest of the next `rows` generations of a tenant before an id, and how many there are.
SELECT min(id) AS id, count(*) AS found FROM (
    SELECT id FROM generations WHERE tenant = :tenant AND id < :before AND id >= :oldest ORDER BY id DESC LIMIT :rows
);

-- name: read_generations_page
-- Read the generations of a tenant from one id to before another that match a filter, newest first. An empty array
-- matches all.
SELECT * FROM generations
WHERE tenant = :tenant AND id < :before AND id >= :oldest
AND create_time >= :created_after AND create_time < :created_before
AND (:states = '[]' OR state IN (SELECT value FROM json_each(:states)))
AND (:model_ids = '[]' OR model_id IN (SELECT value FROM json_each(:model_ids)))
AND NOT EXISTS (
    SELECT 1 FROM json_each(:labels) AS wanted WHERE NOT EXISTS (
        SELECT 1 FROM json_each(generations.labels) AS label
        WHERE label.key = wanted.key AND label.value = wanted.value
    )
)
ORDER BY id DESC LIMIT :limit;

-- name: read_unfinished_generations
-- Read the generations of all tenants that have not ended, oldest first.
SELECT * FROM generations WHERE done = 0 ORDER BY id;

-- name: read_ended_with_stray
-- Read the ended generations that have a stray request at Higgsfield.
SELECT * FROM generations WHERE done = 1 AND stray_request_id <> '';

-- name: insert_request
-- Store the exact request of a submission.
INSERT INTO requests (generation_id, account, origin, path, query, headers, body, key, kind)
VALUES (:generation_id, :account, :origin, :path, :query, :headers, :body, :key, :kind);

-- name: read_request
-- Read the exact request of a submission that is not settled.
SELECT account, origin, path, query, headers, body, key, kind FROM requests WHERE generation_id = :generation_id;

-- name: delete_request
-- Erase the request of a submission once it is settled.
DELETE FROM requests WHERE generation_id = :generation_id;

-- Changes, positions and deletions ------------------------------------------------------------------------------------

-- name: insert_change
-- Append a revision of a generation, or its removal (revision 0), to the log of changes.
INSERT INTO changes (tenant, generation_id, revision, shown, time)
VALUES (:tenant, :generation_id, :revision, :shown, :time);

-- name: read_history
-- Read a generation's revisions after one of them, oldest first.
SELECT revision, shown FROM changes
WHERE generation_id = :generation_id AND revision > :after_revision ORDER BY revision LIMIT :limit;

-- name: read_changes
-- Read a tenant's changes after a position, each with its generation if there still is one.
SELECT c.position, c.generation_id, c.revision AS change_revision, c.shown AS change_shown, g.*
FROM changes c LEFT JOIN generations g ON g.id = c.generation_id
WHERE c.tenant = :tenant AND c.position > :after_position ORDER BY c.position LIMIT :limit;

-- name: delete_changes
-- Delete all changes of a generation from the log.
DELETE FROM changes WHERE generation_id = :generation_id;

-- name: read_position
-- Read the highest position that was ever assigned.
SELECT coalesce(max(seq), 0) AS position FROM sqlite_sequence WHERE name = 'changes';

-- name: read_last_position
-- Read the position of a generation's last change.
SELECT max(position) FROM changes WHERE generation_id = :generation_id;

-- name: read_newest_change_time
-- Read the wall time of the newest change of a generation. A removal has the time of its generation's end.
SELECT time FROM changes WHERE revision > 0 ORDER BY position DESC LIMIT 1;

-- name: read_horizon
-- Read the highest position of a tenant's removed changes.
SELECT horizon FROM tenants WHERE tenant = :tenant;

-- name: raise_horizon
-- Raise a tenant's horizon to a position, if it is not there yet.
INSERT INTO tenants (tenant, horizon) VALUES (:tenant, :horizon)
ON CONFLICT (tenant) DO UPDATE SET horizon = max(horizon, excluded.horizon);

-- name: read_deletion
-- Read how far a deletion has got: 1 here, 2 at Higgsfield too. Returns NULL if nothing was deleted.
SELECT max(deleted) AS deleted FROM (
    SELECT deleted FROM keys WHERE generation_id = :generation_id AND tenant = :tenant AND deleted > 0
    -- The key of a refused generation was freed, so only the change that records its removal is left.
    UNION ALL SELECT 1 FROM changes WHERE generation_id = :generation_id AND tenant = :tenant AND revision = 0
);

-- name: insert_removal
-- Store that the data of a deleted generation has to be removed at Higgsfield.
INSERT INTO removals (generation_id, request_id, account, origin, stray_request_id)
VALUES (:generation_id, :request_id, :account, :origin, :stray_request_id);

-- name: read_removals
-- Read the removals that Higgsfield has not confirmed, oldest generation first.
SELECT generation_id, request_id, account, origin, stray_request_id FROM removals ORDER BY generation_id;

-- name: read_removal
-- Read the unconfirmed removal of a generation.
SELECT generation_id, request_id, account, origin, stray_request_id FROM removals WHERE generation_id = :generation_id;

-- name: delete_removal
-- Delete a removal once Higgsfield has confirmed it.
DELETE FROM removals WHERE generation_id = :generation_id;

-- Retention -----------------------------------------------------------------------------------------------------------

-- name: has_prunable
-- Check whether retention has anything to remove. Run times are removed when a model has twice as many as are kept.
SELECT EXISTS (SELECT 1 FROM generations WHERE done = 1 AND ended_at < :ended_before)
    OR EXISTS (SELECT 1 FROM changes WHERE revision = 0 AND time < :ended_before)
    OR EXISTS (SELECT 1 FROM keys WHERE orphaned = 1 AND used_at < :keys_before)
    OR EXISTS (SELECT 1 FROM durations GROUP BY model_id HAVING count(*) > 600) AS found;

-- name: read_prunable_generations
-- Read the generations that ended before a steady time, the first to end first.
SELECT id, tenant FROM generations WHERE done = 1 AND ended_at < :ended_before ORDER BY ended_at LIMIT :limit;

-- name: prune_removal_changes
-- Delete changes that record old removals, and return their positions.
DELETE FROM changes WHERE position IN (
    SELECT position FROM changes WHERE revision = 0 AND time < :ended_before LIMIT :limit
) RETURNING tenant, position;

-- name: prune_keys
-- Delete old keys that have no generation any more.
DELETE FROM keys WHERE (tenant, key) IN (
    SELECT tenant, key FROM keys WHERE orphaned = 1 AND used_at < :keys_before LIMIT :limit
);

-- fragment: newest_durations
-- For each model, the id of the oldest of its newest 300 run times; NULL if it has fewer. The models are found by steps
-- through the index, which read no other rows.
WITH RECURSIVE models (model_id) AS (
    SELECT min(model_id) FROM durations
    UNION ALL
    SELECT (SELECT min(durations.model_id) FROM durations WHERE durations.model_id > models.model_id)
    FROM models WHERE models.model_id IS NOT NULL
),
newest (model_id, oldest) AS (
    SELECT models.model_id, (
        SELECT id FROM durations WHERE durations.model_id = models.model_id ORDER BY id DESC LIMIT 1 OFFSET 299
    ) FROM models
);

-- name: prune_durations
-- Delete run times that are not among the newest 300 of their model.
DELETE FROM durations WHERE id IN (
    {newest_durations}
    SELECT id FROM newest CROSS JOIN durations ON durations.model_id = newest.model_id AND id < oldest LIMIT :limit
);

-- Webhooks from Higgsfield --------------------------------------------------------------------------------------------

-- name: insert_webhook
-- Store a webhook, unless it is a duplicate, or the generation has too many or was deleted.
INSERT INTO deliveries (generation_id, name, request_id, status, time)
SELECT :generation_id, :name, :request_id, :status, :time
WHERE (SELECT count(*) FROM deliveries WHERE generation_id = :generation_id) < :most
    AND EXISTS (SELECT 1 FROM generations WHERE id = :generation_id)
ON CONFLICT (generation_id, name) DO NOTHING;

-- name: has_webhook
-- Check whether a webhook of this name is stored for a generation.
SELECT 1 FROM deliveries WHERE generation_id = :generation_id AND name = :name;

-- name: mark_webhook_processed
-- Mark a webhook as processed. Its duplicates are ignored from now on.
UPDATE deliveries SET processed = 1 WHERE generation_id = :generation_id AND name = :name;

-- name: mark_webhook_repeatable
-- Mark a webhook as processed and free its name, so that a duplicate is processed again.
UPDATE deliveries SET processed = 1, name = name || ' ' || hex(randomblob(8))
WHERE generation_id = :generation_id AND name = :name;

-- name: read_unprocessed_webhooks
-- Read the webhooks that were not processed, oldest first.
SELECT generation_id, name, request_id, status FROM deliveries WHERE processed = 0 ORDER BY time;

-- name: delete_webhooks
-- Delete all webhooks of a generation.
DELETE FROM deliveries WHERE generation_id = :generation_id;

-- Events, run times, clocks and accounts ------------------------------------------------------------------------------

-- name: insert_event
-- Store an event of a generation, in place of one with the same time. Ignores events of deleted generations.
INSERT OR REPLACE INTO events (
    generation_id, time, description, source, method, path, http_status, correlation_id, seconds, times
) SELECT :generation_id, :time, :description, :source, :method, :path, :http_status, :correlation_id, :seconds, :times
WHERE EXISTS (SELECT 1 FROM generations WHERE id = :generation_id);

-- name: read_events
-- Read the events of a generation, oldest first.
SELECT time, description, source, method, path, http_status, correlation_id, seconds, times
FROM events WHERE generation_id = :generation_id ORDER BY time;

-- name: delete_events
-- Delete all events of a generation.
DELETE FROM events WHERE generation_id = :generation_id;

-- name: insert_duration
-- Store how long a generation of a model ran.
INSERT INTO durations (model_id, traits, seconds) VALUES (:model_id, :traits, :seconds);

-- name: read_durations
-- Read the newest 300 run times of each model, oldest first.
{newest_durations}
SELECT durations.model_id, traits, seconds
FROM newest CROSS JOIN durations ON durations.model_id = newest.model_id AND id >= coalesce(oldest, 0) ORDER BY id;

-- name: replace_correction
-- Store by how much the steady clock was ahead of Higgsfield's from a time on.
INSERT OR REPLACE INTO corrections (since, ahead, placed) VALUES (:since, :ahead, :placed);

-- name: delete_correction
-- Delete a correction of the steady clock.
DELETE FROM corrections WHERE since = :since;

-- name: read_corrections
-- Read all corrections of the steady clock, oldest first.
SELECT since, ahead, placed FROM corrections ORDER BY since;

-- name: read_newest_steady_time
-- Read the latest steady time of generations, catalogs, characters and corrections, from which the clock of the next
-- process continues. A generation ends after it was created and sent.
SELECT max(
    coalesce(max(created_at), 0), coalesce(max(sent_at), 0),
    coalesce((SELECT max(ended_at) FROM generations WHERE done = 1), 0),
    coalesce((SELECT max(fetched_at) FROM catalogs), 0), coalesce((SELECT max(sent_at) FROM characters), 0),
    coalesce((SELECT max(since) FROM corrections), 0)
) AS newest FROM generations WHERE done = 0;

-- name: turn_repeats_off
-- Record that submissions of an account must not be repeated.
INSERT INTO accounts (account, repeats_off) VALUES (:account, 1) ON CONFLICT (account) DO UPDATE SET repeats_off = 1;

-- name: read_accounts_without_repeats
-- Read the accounts whose submissions must not be repeated.
SELECT account FROM accounts WHERE repeats_off = 1;

-- name: save_credentials
-- Store credentials of an account, or replace those with the same id. A repeated write changes nothing.
INSERT INTO credentials (id, account, tenant, sealed, create_time)
VALUES (:id, :account, :tenant, :sealed, :create_time)
ON CONFLICT (id) DO UPDATE SET
    account = excluded.account, tenant = excluded.tenant, sealed = excluded.sealed, create_time = excluded.create_time
WHERE (credentials.account, credentials.tenant, credentials.create_time)
    <> (excluded.account, excluded.tenant, excluded.create_time);

-- name: seal_credentials
-- Replace the encrypted text of credentials.
UPDATE credentials SET sealed = :sealed WHERE id = :id AND sealed <> :sealed;

-- name: delete_account
-- Delete all credentials of an account.
DELETE FROM credentials WHERE account = :account;

-- name: read_credentials
-- Read all credentials, oldest first.
SELECT id, account, tenant, sealed, create_time FROM credentials ORDER BY create_time, id;

-- name: set_pool
-- Store the accounts of a tenant.
INSERT INTO pools (tenant, accounts) VALUES (:tenant, :accounts)
ON CONFLICT (tenant) DO UPDATE SET accounts = excluded.accounts WHERE pools.accounts <> excluded.accounts;

-- name: delete_pool
-- Delete the accounts of a tenant.
DELETE FROM pools WHERE tenant = :tenant;

-- name: read_pools
-- Read the accounts of all tenants.
SELECT tenant, accounts FROM pools ORDER BY tenant;

-- name: replace_catalog
-- Store a catalog in place of the previous one.
INSERT OR REPLACE INTO catalogs (account, origin, name, items, fetched_at, fetch_time)
VALUES (:account, :origin, :name, :items, :fetched_at, :fetch_time);

-- name: read_catalog
-- Read a catalog of an account.
SELECT items, fetched_at, fetch_time FROM catalogs WHERE account = :account AND origin = :origin AND name = :name;

-- Limits --------------------------------------------------------------------------------------------------------------

-- fragment: of_subject
-- The condition for the generations of a subject.
:kind = 'tenant' OR (:kind = 'key' AND key_id = :name)
OR (:kind = 'label' AND EXISTS (SELECT 1 FROM json_each(labels) WHERE key = :name AND value = :value));

-- name: is_limited
-- Check whether a tenant has any limits.
SELECT 1 FROM limits WHERE tenant = :tenant;

-- name: read_limits_of
-- Read the limits that apply to some subjects of a tenant, and their use.
SELECT * FROM limits WHERE tenant = :tenant AND subject IN (SELECT value FROM json_each(:subjects));

-- name: read_limits
-- Read a page of limits and their use behind a subject of a tenant, up to a last tenant.
SELECT * FROM limits WHERE (tenant, subject) > (:after_tenant, :after_subject) AND tenant <= :last_tenant
ORDER BY tenant, subject LIMIT :limit;

-- fragment: is_limit
-- The condition for a row with limits. One without only counts the use, and its limits are not set yet.
credits_per_day IS NOT NULL OR credits_per_month IS NOT NULL OR submissions_per_minute IS NOT NULL
OR in_flight IS NOT NULL OR concurrency_share IS NOT NULL OR models <> '';

-- name: has_limits
-- Check whether a subject has limits.
SELECT 1 FROM limits WHERE tenant = :tenant AND subject = :subject AND ({is_limit});

-- name: set_limits
-- Replace the limits of a subject. What is used of them stays. The same limits change nothing.
UPDATE limits SET
    credits_per_day = :credits_per_day, credits_per_month = :credits_per_month,
    submissions_per_minute = :submissions_per_minute, in_flight = :in_flight, concurrency_share = :concurrency_share,
    models = :models
WHERE tenant = :tenant AND subject = :subject AND NOT (
    credits_per_day IS :credits_per_day AND credits_per_month IS :credits_per_month
    AND submissions_per_minute IS :submissions_per_minute AND in_flight IS :in_flight
    AND concurrency_share IS :concurrency_share AND models = :models
);

-- name: begin_use
-- Begin to count the use of a subject that has no limits.
INSERT INTO limits (
    tenant, subject, models, minute, submissions, running, day, day_reserved, day_spent, month_reserved, month_spent
) VALUES (:tenant, :subject, '', 0, 0, 0, :day, 0, 0, 0, 0) ON CONFLICT (tenant, subject) DO NOTHING;

-- name: read_earlier_use
-- Read what the use of a subject lacks since `begin_use`: the use by the generations that are stored, minus what was
-- counted. Both change in the same commits, so the difference stays true until another day begins. Stray requests are
-- spent in any state. That of a LOST generation without a request is its first one.
WITH priced AS (
    SELECT budget_day, CASE WHEN done = 0 THEN price ELSE 0 END AS reserved,
        CASE WHEN state IN (5, 9) THEN price ELSE 0 END
            + CASE WHEN stray_request_id <> '' AND NOT (state = 9 AND request_id IS NULL) THEN price ELSE 0 END AS spent
    FROM generations
    WHERE tenant = :tenant AND price IS NOT NULL AND ({of_subject}) AND budget_day >= (
        SELECT CASE WHEN day = '' THEN '' ELSE substr(day, 1, 7) || '-01' END FROM limits
        WHERE tenant = :tenant AND subject = :subject
    )
)
SELECT day,
    -- The + is explained at `read_generations_by_requests`.
    (SELECT count(*) FROM generations WHERE done = 0 AND +tenant = :tenant AND ({of_subject})) - running AS running,
    coalesce(sum(reserved) FILTER (WHERE budget_day = day), 0) - day_reserved AS day_reserved,
    coalesce(sum(spent) FILTER (WHERE budget_day = day), 0) - day_spent AS day_spent,
    coalesce(sum(reserved), 0) - month_reserved AS month_reserved,
    coalesce(sum(spent), 0) - month_spent AS month_spent
FROM limits LEFT JOIN priced ON substr(budget_day, 1, 7) = substr(day, 1, 7)
WHERE limits.tenant = :tenant AND subject = :subject GROUP BY limits.tenant, subject;

-- name: set_new_limits
-- Set the limits of a subject whose use was begun, with what it lacks. Changes nothing if another day has begun.
UPDATE limits SET
    credits_per_day = :credits_per_day, credits_per_month = :credits_per_month,
    submissions_per_minute = :submissions_per_minute, in_flight = :in_flight, concurrency_share = :concurrency_share,
    models = :models, running = running + :running, day_reserved = day_reserved + :day_reserved,
    day_spent = day_spent + :day_spent, month_reserved = month_reserved + :month_reserved,
    month_spent = month_spent + :month_spent
WHERE tenant = :tenant AND subject = :subject AND day = :day AND NOT ({is_limit});

-- name: delete_limits
-- Remove the limits of a subject.
DELETE FROM limits WHERE tenant = :tenant AND subject = :subject;

-- name: update_use
-- Store what is used of the limits of a subject.
UPDATE limits SET
    minute = :minute, submissions = :submissions, running = :running, day = :day, day_reserved = :day_reserved,
    day_spent = :day_spent, month_reserved = :month_reserved, month_spent = :month_spent
WHERE tenant = :tenant AND subject = :subject;

-- name: date_use
-- Set the first day of a tenant's limits that have none. What is used of them stays.
UPDATE limits SET day = :day WHERE tenant = :tenant AND day = '';

-- name: date_prices
-- Set the day of a tenant's prices that were counted before the first day.
UPDATE generations SET budget_day = :day WHERE tenant = :tenant AND budget_day = '' AND price IS NOT NULL;

-- name: read_last_budget_day
-- Read the last day for which a tenant's prices were counted.
SELECT max(budget_day) FROM generations WHERE tenant = :tenant AND price IS NOT NULL;

-- name: read_budget_day
-- Read the day for which the price of a generation was counted.
SELECT budget_day FROM generations WHERE id = :id;

-- name: read_uncertain_prices
-- Read the prices of UNCERTAIN generations, with their subjects and days. An empty tenant selects those of all.
SELECT tenant, key_id, labels, budget_day, price FROM generations
WHERE done = 0 AND state = 2 AND budget_day IS NOT NULL AND (:tenant = '' OR tenant = :tenant);

-- name: read_usage
-- Count generations by group and state, and sum their prices, waits and run times.
SELECT
    -- date() alone would round the last half millisecond of a day up to the next one.
    CASE WHEN :by_day THEN date(CAST(create_time AS INTEGER), 'unixepoch') ELSE '' END AS day,
    CASE WHEN :by_tenant THEN tenant ELSE '' END AS tenant,
    CASE WHEN :by_key THEN key_id ELSE '' END AS key,
    CASE WHEN :by_model THEN model_id ELSE '' END AS model,
    CASE WHEN :label = '' THEN ''
        ELSE coalesce((SELECT value FROM json_each(labels) WHERE key = :label), '') END AS label,
    state,
    count(*) AS generations,
    count(*) FILTER (WHERE estimated_credits <> '') AS priced,
    coalesce(sum(price), 0) AS credits,
    count(coalesce(shown ->> 'start_time', shown ->> 'accept_time')) AS waits,
    coalesce(sum(coalesce(shown ->> 'start_time', shown ->> 'accept_time') - create_time), 0.0) AS waited,
    count(CASE WHEN state = 5 THEN coalesce(shown ->> 'start_time', shown ->> 'accept_time') END) AS runs,
    coalesce(sum(CASE WHEN state = 5
        THEN end_time - coalesce(shown ->> 'start_time', shown ->> 'accept_time') END), 0.0) AS ran
FROM generations
WHERE id >= :oldest AND create_time >= :since AND create_time < :until AND (:of_tenant = '' OR tenant = :of_tenant)
GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6 LIMIT :most;

-- API keys and the store itself ---------------------------------------------------------------------------------------

-- name: insert_api_key
-- Store a new API key as its hash.
INSERT INTO api_keys (id, tenant, name, hash, create_time, scopes, expire_time)
VALUES (:id, :tenant, :name, :hash, :create_time, :scopes, :expire_time)
ON CONFLICT (id) DO NOTHING;

-- name: revoke_api_key
-- Store when an API key was revoked. The first time is kept.
UPDATE api_keys SET revoke_time = :revoke_time WHERE id = :id AND revoke_time IS NULL;

-- name: expire_api_key
-- Store when an API key expires.
UPDATE api_keys SET expire_time = :expire_time WHERE id = :id AND expire_time IS NOT :expire_time;

-- name: read_api_keys
-- Read all API keys, revoked ones included.
SELECT id, tenant, name, hash, create_time, revoke_time, scopes, expire_time FROM api_keys;

-- name: read_audit_head
-- Read the number and the hash of the last entry of the audit log.
SELECT sequence, hash FROM audit WHERE sequence = (SELECT max(sequence) FROM audit);

-- name: read_audit
-- Read entries of the audit log in their order.
SELECT sequence, text, hash FROM audit WHERE sequence >= :first ORDER BY sequence LIMIT :limit;

-- name: insert_audit
-- Append an entry to the audit log.
INSERT INTO audit (sequence, text, hash) VALUES (:sequence, :text, :hash);

-- name: read_meta
-- Read what the store knows about itself by its name.
SELECT value FROM meta WHERE name = :name;

-- name: write_probe
-- Write a number of bytes, to find out whether the disk has room for them.
INSERT OR REPLACE INTO meta (name, value) VALUES ('probe', hex(zeroblob(:bytes)));

-- name: write_epoch
-- Store the name of a new history of the store.
INSERT OR REPLACE INTO meta (name, value) VALUES ('epoch', :epoch);

-- name: delete_origin
-- Turn a restored backup, or a store that was moved away, into an ordinary one.
DELETE FROM meta WHERE name IN ('backup', 'move', 'moving_to', 'moved_to');

-- Callbacks to callers' receivers -------------------------------------------------------------------------------------

-- name: insert_callback
-- Insert a new callback. Inserts no row if the tenant has used the idempotency key.
INSERT INTO callbacks (
    id, tenant, url, wanted, every_change, idempotency_key, fingerprint, create_time, position,
    paused, problem, problem_status, problem_time, failing_since, failed_at, streak, held_until
) VALUES (
    :id, :tenant, :url, :wanted, :every_change, :idempotency_key, :fingerprint, :create_time, :position,
    :paused, :problem, :problem_status, :problem_time, :failing_since, :failed_at, :streak, :held_until
) ON CONFLICT (tenant, idempotency_key) DO NOTHING;

-- name: update_callback
-- Replace the columns of a callback that can change, except its position.
UPDATE callbacks SET
    wanted = :wanted, every_change = :every_change, paused = :paused, problem = :problem,
    problem_status = :problem_status, problem_time = :problem_time, failing_since = :failing_since,
    failed_at = :failed_at, streak = :streak, held_until = :held_until
WHERE id = :id;

-- name: update_callback_position
-- Store the position up to which a callback has deliveries, unless it is further already.
UPDATE callbacks SET position = :position WHERE id = :id AND position < :position;

-- name: delete_callback
-- Delete the row of a callback.
DELETE FROM callbacks WHERE id = :callback_id;

-- name: read_callbacks
-- Read all callbacks, oldest first.
SELECT * FROM callbacks ORDER BY id;

-- name: insert_callback_secret
-- Store a secret that signs the deliveries of a callback.
INSERT INTO callback_secrets (callback_id, number, secret, until) VALUES (:callback_id, :number, :secret, :until);

-- name: delete_callback_secrets
-- Delete all secrets of a callback.
DELETE FROM callback_secrets WHERE callback_id = :callback_id;

-- name: read_callback_secrets
-- Read the secrets of all callbacks, the newest of each first.
SELECT callback_id, secret, until FROM callback_secrets ORDER BY callback_id, number;

-- name: insert_callback_delivery
-- Insert a delivery of a callback, unless there is one for this revision.
INSERT INTO callback_deliveries (
    callback_id, generation_id, revision, create_time, next_at, state, attempts, refusals, problem, http_status,
    last_attempt_time
) VALUES (
    :callback_id, :generation_id, :revision, :create_time, :next_at, :state, :attempts, :refusals, :problem,
    :http_status, :last_attempt_time
) ON CONFLICT DO NOTHING;

-- name: update_callback_delivery
-- Replace the columns of a delivery that an attempt changes.
UPDATE callback_deliveries SET
    next_at = :next_at, state = :state, attempts = :attempts, refusals = :refusals, problem = :problem,
    http_status = :http_status, last_attempt_time = :last_attempt_time
WHERE callback_id = :callback_id AND generation_id = :generation_id AND revision = :revision;

-- name: advance_callback_deliveries
-- Make a callback's pending deliveries due at a steady time at the latest. Without INDEXED BY, SQLite would read all of the
-- callback's deliveries here and in the statements below.
UPDATE callback_deliveries INDEXED BY callback_deliveries_waiting SET next_at = min(next_at, :due)
WHERE callback_id = :callback_id AND state = 1;

-- name: advance_failed_callback_deliveries
-- Make the pending deliveries that an unavailable receiver missed due at a steady time at the latest.
UPDATE callback_deliveries INDEXED BY callback_deliveries_waiting SET next_at = min(next_at, :due)
WHERE callback_id = :callback_id AND state = 1 AND problem IS NOT NULL
    AND (http_status IN (0, 429, 502, 503, 504) OR http_status >= 520);

-- name: delete_callback_delivery
-- Delete one delivery of a callback.
DELETE FROM callback_deliveries
WHERE callback_id = :callback_id AND generation_id = :generation_id AND revision = :revision;

-- name: delete_pending_callback_deliveries
-- Delete the pending deliveries of a callback.
DELETE FROM callback_deliveries INDEXED BY callback_deliveries_waiting WHERE callback_id = :callback_id AND state = 1;

-- name: prune_callback_deliveries
-- Delete deliveries that were settled before a wall time. The callbacks that have any are found by steps through the
-- index, because some are deleted.
DELETE FROM callback_deliveries WHERE (callback_id, generation_id, revision) IN (
    WITH RECURSIVE owners (callback_id) AS (
        SELECT min(callback_id) FROM callback_deliveries
        UNION ALL
        SELECT (
            SELECT min(others.callback_id) FROM callback_deliveries AS others
            WHERE others.callback_id > owners.callback_id
        ) FROM owners WHERE owners.callback_id IS NOT NULL
    )
    SELECT settled.callback_id, generation_id, revision
    FROM owners CROSS JOIN callback_deliveries AS settled
        ON settled.callback_id = owners.callback_id AND create_time < :before
    WHERE state <> 1 AND last_attempt_time < :before LIMIT :limit
);

-- name: read_pending_callback_deliveries
-- Read the pending deliveries of a callback in the order of their revisions.
SELECT * FROM callback_deliveries INDEXED BY callback_deliveries_waiting
WHERE callback_id = :callback_id AND state = 1 ORDER BY generation_id, revision;

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
-- Read a page of those of one generation. With + no index is used for the order: SQLite would read all of the callback's.
SELECT * FROM callback_deliveries
WHERE callback_id = :callback_id AND generation_id = :generation_id AND (NOT :failed_only OR problem IS NOT NULL)
    AND (+create_time, revision) < (:before_time, :before_revision)
ORDER BY +create_time DESC, revision DESC LIMIT :limit;

-- Copies of outputs in an archive. state: 0 pending, 1 archived, 2 given up, 3 to be removed --------------------------

-- name: insert_copy
-- Plan the copy of an output or its preview, unless it is planned already or its generation was deleted.
INSERT INTO archive_files (generation_id, output, preview, url, key, content_type, archive, expire_time, not_before)
SELECT :generation_id, :output, :preview, :url, :key, :content_type, :archive, :expire_time, :not_before
WHERE EXISTS (SELECT 1 FROM generations WHERE id = :generation_id)
ON CONFLICT (generation_id, output, preview) DO NOTHING;

-- name: assign_copies
-- Assign the pending copies of other archives to this one.
UPDATE archive_files SET archive = :archive WHERE state = 0 AND archive <> :archive;

-- name: read_ended_generations
-- Read a page of ended generations; `wanted` marks those in a state that have no copies.
SELECT id, ended_at,
    state = :state AND NOT EXISTS (SELECT 1 FROM archive_files f WHERE f.generation_id = g.id) AS wanted
FROM generations g WHERE done = 1 AND (ended_at, id) > (:ended_after, :after_id) ORDER BY ended_at, id LIMIT :limit;

-- name: read_due_copies
-- Read due copies and removals: those of the first tenant after one by name, oldest first, then those of the next tenant.
-- Those after `latest` are due too, and come last: the clock must have gone back.
WITH RECURSIVE waiting (tenant) AS (
    SELECT :after
    UNION ALL
    SELECT (
        SELECT min(substr(key, 1, instr(key, '/') - 1)) FROM archive_files
        WHERE state IN (0, 3) AND archive = :archive AND substr(key, 1, instr(key, '/') - 1) > waiting.tenant
    )
    FROM waiting WHERE tenant IS NOT NULL
)
-- A CROSS JOIN is not reordered, and without ORDER BY no tenants are read beyond the limit.
SELECT generation_id, output, preview, url, key, content_type, archive, expire_time, attempts, state
FROM waiting CROSS JOIN archive_files
WHERE state IN (0, 3) AND archive = :archive AND substr(key, 1, instr(key, '/') - 1) = tenant AND tenant > :after
    AND not_before <= :now
UNION ALL
SELECT generation_id, output, preview, url, key, content_type, archive, expire_time, attempts, state
FROM archive_files WHERE state IN (0, 3) AND archive = :archive AND not_before > :latest
LIMIT :limit;

-- name: read_next_copy_time
-- Read the steady time at which the next copy or removal is due.
SELECT min(not_before) AS next FROM archive_files WHERE state IN (0, 3) AND archive = :archive AND not_before > :now;

-- name: mark_copy_archived
-- Record that a pending copy was made, and erase the URL of its source.
UPDATE archive_files SET state = 1, url = '', archived_url = :archived_url, size = :size, sha256 = :sha256
WHERE generation_id = :generation_id AND output = :output AND preview = :preview AND state = 0;

-- name: postpone_copy
-- Count a failed attempt and store the time of the next one; with `give_up`, the copy is given up. If its generation was
-- deleted during the attempt, the row now is that of a removal, which does not wait.
UPDATE archive_files SET attempts = attempts + 1, not_before = :not_before,
    url = CASE WHEN :give_up THEN '' ELSE url END, state = CASE WHEN :give_up THEN 2 ELSE state END
WHERE generation_id = :generation_id AND output = :output AND preview = :preview AND state = :state;

-- name: delete_copy
-- Delete the row of a file that was removed from the archive.
DELETE FROM archive_files WHERE generation_id = :generation_id AND output = :output AND preview = :preview;

-- name: delete_orphaned_copy
-- Delete the row of a file that was archived or given up, if its generation is gone.
DELETE FROM archive_files
WHERE generation_id = :generation_id AND output = :output AND preview = :preview AND state IN (1, 2)
AND NOT EXISTS (SELECT 1 FROM generations WHERE id = :generation_id);

-- name: remove_copies
-- Have all files of a deleted generation removed from the archive.
UPDATE archive_files SET state = 3, url = '', attempts = 0, not_before = 0 WHERE generation_id = :generation_id;

-- name: prune_copies
-- Delete the finished rows of a generation. Its archived files stay.
DELETE FROM archive_files WHERE generation_id = :generation_id AND state IN (1, 2);

-- name: read_archived_files
-- Read the archived files of the generations in a JSON array of ids.
SELECT generation_id, output, preview, archived_url, size, sha256 FROM archive_files
WHERE state = 1 AND generation_id IN (SELECT value FROM json_each(:generation_ids));

-- name: count_waiting_copies
-- Count the files that wait to be copied or removed.
SELECT count(*) AS waiting FROM archive_files WHERE state IN (0, 3);

-- name: count_failing_copies
-- Count the files that wait to be copied or removed, and whose last attempt failed.
SELECT count(*) AS failing FROM archive_files WHERE state IN (0, 3) AND attempts > 0;

-- Characters ----------------------------------------------------------------------------------------------------------

-- name: insert_character
-- Store an order before it is sent. Inserts no row if the tenant has used the idempotency key for another one.
INSERT INTO characters (
    id, tenant, idempotency_key, fingerprint, account, name, version, known, sent_date, sent_at
) VALUES (
    :id, :tenant, :idempotency_key, :fingerprint, :account, :name, :version, :known, :sent_date, :sent_at
) ON CONFLICT (tenant, idempotency_key) DO UPDATE SET id = excluded.id WHERE characters.id = excluded.id;

-- name: bind_character
-- Store the id of the character that an order created, unless it belongs to another order.
UPDATE OR IGNORE characters SET character_id = :character_id WHERE id = :id;

-- name: delete_unbound_character
-- Delete an order that created no character, which frees its key.
DELETE FROM characters WHERE id = :id AND character_id IS NULL;

-- name: read_characters
-- Read all orders of characters, oldest first.
SELECT id, tenant, idempotency_key, fingerprint, account, name, version, known, sent_date, sent_at, character_id
FROM characters ORDER BY id;

-- name: insert_removed_character
-- Store that a character is to be deleted, or that Higgsfield has deleted it. The latter is never undone.
INSERT INTO removed_characters (account, character_id, tenant, gone) VALUES (:account, :character_id, :tenant, :gone)
ON CONFLICT (account, character_id) DO UPDATE SET gone = max(gone, :gone);

-- name: read_removed_characters
-- Read the characters that are to be deleted and those that are.
SELECT account, character_id, tenant, gone FROM removed_characters;

-- Conversations with agents -------------------------------------------------------------------------------------------

-- name: insert_agent_session
-- Store the tenant of a new session. Higgsfield may have returned the same one before: it stays with its tenant.
INSERT INTO agent_sessions (id, tenant, created_at) VALUES (:id, :tenant, :created_at) ON CONFLICT (id) DO NOTHING;

-- name: read_agent_tenant
-- Read the tenant of a session.
SELECT tenant FROM agent_sessions WHERE id = :session_id;

-- name: insert_agent_key
-- Claim an idempotency key for a session or a message. Inserts no row if the tenant has used the key.
INSERT INTO agent_keys (tenant, key, fingerprint, session_id, after_message_id, used_at)
VALUES (:tenant, :key, :fingerprint, :session_id, :after_message_id, :used_at)
ON CONFLICT (tenant, key) DO NOTHING;

-- name: read_agent_key
-- Read the record of a tenant's key.
SELECT tenant, key, fingerprint, session_id, after_message_id, message_id, used_at FROM agent_keys
WHERE tenant = :tenant AND key = :key;

-- name: bind_agent_message
-- Store Higgsfield's id of the message that was sent with a key, in the record that was written for this sending, unless
-- another record has it.
UPDATE OR IGNORE agent_keys SET message_id = :message_id
WHERE tenant = :tenant AND key = :key AND used_at = :used_at AND (message_id IS NULL OR message_id = :message_id);

-- name: delete_unbound_agent_key
-- Free the key of a message that Higgsfield did not accept. A later record of the key stays.
DELETE FROM agent_keys WHERE tenant = :tenant AND key = :key AND used_at = :used_at AND message_id IS NULL;

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
INSERT INTO agent_media (tenant, id, created_at) VALUES (:tenant, :id, :created_at)
ON CONFLICT (tenant, id) DO UPDATE SET created_at = excluded.created_at;

-- name: has_agent_media
-- Check whether a media slot belongs to a tenant.
SELECT 1 FROM agent_media WHERE tenant = :tenant AND id = :id;

-- fragment: old_agent_key
-- The condition for the keys that retention removes: those of sessions, and of messages that were sent. Messages without
-- an outcome stay, and so do the other keys of their session: they exclude messages from the lookup.
used_at < :used_before AND (fingerprint = :session_fingerprint OR message_id IS NOT NULL AND session_id NOT IN (
    SELECT session_id FROM agent_keys WHERE message_id IS NULL AND fingerprint <> :session_fingerprint
));

-- name: has_prunable_agent_rows
-- Check whether retention would remove any key or media slot.
SELECT EXISTS (
        SELECT 1 FROM agent_keys
        WHERE {old_agent_key}
    )
    OR EXISTS (SELECT 1 FROM agent_media WHERE created_at < :used_before) AS found;

-- name: prune_agent_keys
-- Delete old keys of sessions and messages.
DELETE FROM agent_keys WHERE (tenant, key) IN (
    SELECT tenant, key FROM agent_keys WHERE {old_agent_key} LIMIT :limit
);

-- name: prune_agent_media
-- Delete old media slots.
DELETE FROM agent_media WHERE (tenant, id) IN (
    SELECT tenant, id FROM agent_media WHERE created_at < :used_before LIMIT :limit
);
