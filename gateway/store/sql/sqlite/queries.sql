-- Every statement of the SQLite store, by name.

-- name: claim_key
INSERT INTO keys (tenant, key, generation_id, fingerprint, used_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (tenant, key) DO NOTHING;

-- name: read_key
SELECT generation_id, fingerprint, deleted FROM keys WHERE tenant = ? AND key = ?;

-- name: free_key
DELETE FROM keys WHERE tenant = ? AND key = ? AND generation_id = ?;

-- name: bury_key
UPDATE keys SET deleted = 1, orphaned = 1, used_at = ? WHERE tenant = ? AND key = ? AND generation_id = ?;

-- name: orphan_key
UPDATE keys SET orphaned = 1 WHERE generation_id = ?;

-- name: insert_generation
INSERT INTO generations (
    id, tenant, model_id, api, account, origin, input, labels, idempotency_key, create_time, created_at, weight,
    token_hash, start_by, fail_when_saturated,
    version, revision, state, done, request_id, end_time, ended_at, shown,
    owner, attempt, send_by, sent_at, first_sent_at, sends, ambiguous, not_before, repeats_over, cancel_requested,
    polls, missing_since, stray_request_id, held
) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?, ?,?,?,?,?,?,?,?, ?,?,?,?,?,?,?,?,?,?,?,?,?,?);

-- name: update_generation
UPDATE generations SET
    version = ?, revision = ?, state = ?, done = ?, request_id = ?, end_time = ?, ended_at = ?, shown = ?,
    owner = ?, attempt = ?, send_by = ?, sent_at = ?, first_sent_at = ?, sends = ?, ambiguous = ?, not_before = ?,
    repeats_over = ?, cancel_requested = ?, polls = ?, missing_since = ?, stray_request_id = ?, held = ?
WHERE id = ? AND version = ?;

-- name: insert_request
INSERT INTO requests (generation_id, account, origin, path, query, headers, body, key, kind)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: read_request
SELECT account, origin, path, query, headers, body, key, kind FROM requests WHERE generation_id = ?;

-- name: erase_request
DELETE FROM requests WHERE generation_id = ?;

-- name: insert_change
INSERT INTO changes (tenant, generation_id, revision, shown, time) VALUES (?, ?, ?, ?, ?);

-- name: read_generation
SELECT * FROM generations WHERE id = ? AND tenant = ?;

-- name: read_any_generation
SELECT * FROM generations WHERE id = ?;

-- name: read_by_token
SELECT * FROM generations WHERE token_hash = ?;

-- name: read_by_request
SELECT id FROM generations WHERE account = ? AND request_id = ?;

-- name: insert_delivery
INSERT INTO deliveries (generation_id, name, request_id, status, time)
SELECT ?1, ?2, ?3, ?4, ?5 WHERE (SELECT count(*) FROM deliveries WHERE generation_id = ?1) < ?6
ON CONFLICT (generation_id, name) DO NOTHING;

-- name: knows_delivery
SELECT 1 FROM deliveries WHERE generation_id = ? AND name = ?;

-- name: settle_delivery
UPDATE deliveries SET dealt = 1 WHERE generation_id = ? AND name = ?;

-- name: release_delivery
UPDATE deliveries SET dealt = 1, name = name || ' ' || hex(randomblob(8)) WHERE generation_id = ? AND name = ?;

-- name: read_undealt
SELECT generation_id, name, request_id, status FROM deliveries WHERE dealt = 0 ORDER BY time;

-- name: delete_deliveries
DELETE FROM deliveries WHERE generation_id = ?;

-- name: read_unfinished
SELECT * FROM generations WHERE done = 0 ORDER BY id;

-- name: read_page
SELECT * FROM generations WHERE tenant = ? AND id < ? ORDER BY id DESC LIMIT ?;

-- name: read_by_key
-- The one that the key stands for, and those that were refused under it before.
SELECT * FROM generations WHERE id IN (
    SELECT generation_id FROM keys WHERE tenant = ?1 AND key = ?2
    UNION SELECT id FROM generations
    WHERE tenant = ?1 AND idempotency_key = ?2 AND done = 1 AND request_id IS NULL
) ORDER BY id DESC;

-- name: read_history
SELECT revision, shown FROM changes WHERE generation_id = ? AND revision > ? ORDER BY revision LIMIT ?;

-- name: read_changes
SELECT c.position, c.generation_id, c.revision, c.shown AS change_shown, g.*
FROM changes c LEFT JOIN generations g ON g.id = c.generation_id
WHERE c.tenant = ? AND c.position > ? ORDER BY c.position LIMIT ?;

-- name: read_horizon
SELECT horizon FROM tenants WHERE tenant = ?;

-- name: raise_horizon
INSERT INTO tenants (tenant, horizon) VALUES (?, ?)
ON CONFLICT (tenant) DO UPDATE SET horizon = max(horizon, excluded.horizon);

-- name: read_position
SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'changes';

-- name: newest_change
SELECT time FROM changes WHERE position = (SELECT max(position) FROM changes);

-- name: was_deleted
SELECT max(deleted) FROM (
    SELECT deleted FROM keys WHERE generation_id = ?1 AND tenant = ?2 AND deleted > 0
    -- The key of a refused one was freed: what tells of it is the trace of its removal.
    UNION ALL SELECT 1 FROM changes WHERE generation_id = ?1 AND tenant = ?2 AND revision = 0
) HAVING count(*) > 0;

-- name: insert_removal
INSERT INTO removals (generation_id, request_id, account, origin) VALUES (?, ?, ?, ?);

-- name: read_removals
SELECT generation_id, request_id, account, origin FROM removals ORDER BY generation_id;

-- name: read_removal
SELECT generation_id, request_id, account, origin FROM removals WHERE generation_id = ?;

-- name: delete_removal
DELETE FROM removals WHERE generation_id = ?;

-- name: confirm_removal
UPDATE keys SET deleted = 2 WHERE generation_id = ? AND deleted = 1;

-- name: read_ended_with_stray
SELECT * FROM generations WHERE done = 1 AND stray_request_id <> '';

-- name: delete_generation
DELETE FROM generations WHERE id = ?;

-- name: delete_changes
DELETE FROM changes WHERE generation_id = ?;

-- name: prunable
SELECT id, tenant FROM generations WHERE done = 1 AND ended_at < ? ORDER BY ended_at LIMIT ?;

-- name: anything_prunable
SELECT EXISTS (SELECT 1 FROM generations WHERE done = 1 AND ended_at < ?1)
    OR EXISTS (SELECT 1 FROM changes WHERE revision = 0 AND time < ?1)
    OR EXISTS (SELECT 1 FROM keys WHERE orphaned = 1 AND used_at < ?2)
    OR EXISTS (SELECT 1 FROM durations GROUP BY model_id HAVING count(*) > 600);

-- name: last_position_of
SELECT max(position) FROM changes WHERE generation_id = ?;

-- name: prune_removals
DELETE FROM changes WHERE revision = 0 AND time < ? RETURNING tenant, position;

-- name: prune_keys
DELETE FROM keys WHERE orphaned = 1 AND used_at < ?;

-- name: record_event
INSERT OR REPLACE INTO events (
    generation_id, time, description, source, method, path, http_status, correlation_id, seconds, times
) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10
WHERE EXISTS (SELECT 1 FROM generations WHERE id = ?1); -- what was deleted in between has no story

-- name: read_events
SELECT time, description, source, method, path, http_status, correlation_id, seconds, times
FROM events WHERE generation_id = ? ORDER BY time;

-- name: delete_events
DELETE FROM events WHERE generation_id = ?;

-- name: insert_duration
INSERT INTO durations (model_id, seconds) VALUES (?, ?);

-- name: read_durations
SELECT model_id, seconds FROM durations ORDER BY id;

-- name: prune_durations
DELETE FROM durations WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER (PARTITION BY model_id ORDER BY id DESC) AS age FROM durations
    ) WHERE age > 300
);

-- name: correct
INSERT OR REPLACE INTO corrections (since, ahead, placed) VALUES (?, ?, ?);

-- name: forget_correction
DELETE FROM corrections WHERE since = ?;

-- name: read_corrections
SELECT since, ahead, placed FROM corrections ORDER BY since;

-- name: latch_repeats_off
INSERT INTO accounts (account, repeats_off) VALUES (?, 1) ON CONFLICT (account) DO UPDATE SET repeats_off = 1;

-- name: read_latched
SELECT account FROM accounts WHERE repeats_off = 1;

-- name: newest_steady
SELECT max(
    coalesce(max(created_at), 0), coalesce(max(sent_at), 0), coalesce((SELECT max(fetched_at) FROM catalogs), 0),
    coalesce((SELECT max(sent_at) FROM characters), 0), coalesce((SELECT max(since) FROM corrections), 0)
) FROM generations;

-- name: read_catalog
SELECT items, fetched_at, fetch_time FROM catalogs WHERE account = ? AND origin = ? AND name = ?;

-- name: keep_catalog
INSERT OR REPLACE INTO catalogs (account, origin, name, items, fetched_at, fetch_time) VALUES (?, ?, ?, ?, ?, ?);

-- name: insert_api_key
INSERT INTO api_keys (id, tenant, name, hash, create_time) VALUES (?, ?, ?, ?, ?);

-- name: revoke_api_key
UPDATE api_keys SET revoke_time = coalesce(revoke_time, ?) WHERE id = ?;

-- name: read_api_keys
SELECT id, tenant, name, hash, create_time, revoke_time FROM api_keys;

-- name: read_token_secret
SELECT value FROM meta WHERE name = 'token_secret';

-- name: probe
INSERT OR REPLACE INTO meta (name, value) VALUES ('probe', hex(zeroblob(?)));

-- name: insert_callback
INSERT INTO callbacks (
    id, tenant, url, wanted, every_change, idempotency_key, fingerprint, create_time, position,
    paused, problem, problem_status, problem_time, failing_since, failed_at, streak,
    held_until
) VALUES (?,?,?,?,?,?,?,?,?, ?,?,?,?,?,?,?,?) ON CONFLICT (tenant, idempotency_key) DO NOTHING;

-- name: update_callback
UPDATE callbacks SET
    wanted = ?, every_change = ?, position = ?, paused = ?, problem = ?, problem_status = ?, problem_time = ?,
    failing_since = ?, failed_at = ?, streak = ?, held_until = ?
WHERE id = ?;

-- name: update_callback_position
UPDATE callbacks SET position = ? WHERE id = ?;

-- name: delete_callback
DELETE FROM callbacks WHERE id = ?;

-- name: read_callbacks
SELECT * FROM callbacks ORDER BY id;

-- name: insert_callback_secret
INSERT INTO callback_secrets (callback_id, number, secret, until) VALUES (?, ?, ?, ?);

-- name: delete_callback_secrets
DELETE FROM callback_secrets WHERE callback_id = ?;

-- name: read_callback_secrets
SELECT callback_id, secret, until FROM callback_secrets ORDER BY callback_id, number;

-- name: insert_callback_delivery
INSERT INTO callback_deliveries (
    callback_id, generation_id, revision, create_time, next_at, fate, attempts, refusals, http_status
) VALUES (?, ?, ?, ?, ?, 1, 0, 0, 0) ON CONFLICT DO NOTHING;

-- name: update_callback_delivery
UPDATE callback_deliveries SET
    next_at = ?, fate = ?, attempts = ?, refusals = ?, problem = ?, http_status = ?, last_attempt_time = ?
WHERE callback_id = ? AND generation_id = ? AND revision = ?;

-- name: hurry_callback_deliveries
UPDATE callback_deliveries SET next_at = min(next_at, ?2) WHERE callback_id = ?1 AND fate = 1;

-- name: hurry_failed_callback_deliveries
UPDATE callback_deliveries SET next_at = min(next_at, ?2)
WHERE callback_id = ?1 AND fate = 1 AND problem IS NOT NULL AND http_status IN (0, 429, 502, 503, 504);

-- name: delete_callback_delivery
DELETE FROM callback_deliveries WHERE callback_id = ? AND generation_id = ? AND revision = ?;

-- name: delete_callback_deliveries
DELETE FROM callback_deliveries WHERE callback_id = ?;

-- name: prune_callback_deliveries
DELETE FROM callback_deliveries WHERE callback_id = ?1 AND create_time < ?2 AND fate <> 1 AND last_attempt_time < ?2;

-- name: read_waiting_callback_deliveries
SELECT * FROM callback_deliveries WHERE callback_id = ? AND fate = 1 ORDER BY generation_id, revision;

-- name: read_callback_delivery
SELECT * FROM callback_deliveries WHERE callback_id = ? AND generation_id = ? AND revision = ?;

-- name: read_callback_deliveries
SELECT * FROM callback_deliveries
WHERE callback_id = ?1 AND (?2 = '' OR generation_id = ?2) AND (NOT ?3 OR problem IS NOT NULL)
    AND (create_time, generation_id, revision) < (?4, ?5, ?6)
ORDER BY create_time DESC, generation_id DESC, revision DESC LIMIT ?7;

-- name: plan_copy
INSERT INTO archive_files (generation_id, output, url, key, content_type, archive, expire_time)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
WHERE EXISTS (SELECT 1 FROM generations WHERE id = ?1) -- what was deleted in between is not copied
ON CONFLICT (generation_id, output) DO NOTHING;

-- name: adopt_copies
UPDATE archive_files SET archive = ? WHERE state = 0 AND archive <> ?;

-- name: read_ended
SELECT id, ended_at,
    state = ? AND NOT EXISTS (SELECT 1 FROM archive_files f WHERE f.generation_id = g.id) AS wanted
FROM generations g WHERE done = 1 AND (ended_at, id) > (?, ?) ORDER BY ended_at, id LIMIT ?;

-- name: read_due_copies
SELECT generation_id, output, url, key, content_type, archive, expire_time, attempts, state FROM archive_files
WHERE state IN (0, 3) AND archive = ? AND (not_before <= ? OR not_before > ?) ORDER BY not_before LIMIT ?;

-- name: read_next_copy
SELECT min(not_before) FROM archive_files WHERE state IN (0, 3) AND archive = ? AND not_before > ?;

-- name: keep_copy
UPDATE archive_files SET state = 1, url = '', archived_url = ?, size = ?, sha256 = ?
WHERE generation_id = ? AND output = ? AND state = 0;

-- name: postpone_copy
UPDATE archive_files SET attempts = attempts + 1, not_before = ?1,
    url = CASE WHEN ?2 THEN '' ELSE url END, state = CASE WHEN ?2 AND state = 0 THEN 2 ELSE state END
WHERE generation_id = ?3 AND output = ?4;

-- name: forget_copy
DELETE FROM archive_files WHERE generation_id = ? AND output = ?;

-- name: forget_settled_copy
DELETE FROM archive_files WHERE generation_id = ?1 AND output = ?2 AND state IN (1, 2)
AND NOT EXISTS (SELECT 1 FROM generations WHERE id = ?1);

-- name: remove_copies
UPDATE archive_files SET state = 3, url = '', attempts = 0, not_before = 0 WHERE generation_id = ?;

-- name: prune_copies
DELETE FROM archive_files WHERE generation_id = ? AND state IN (1, 2);

-- name: read_archived
SELECT generation_id, output, archived_url, size, sha256 FROM archive_files
WHERE state = 1 AND generation_id IN (SELECT value FROM json_each(?));

-- name: count_waiting_copies
SELECT count(*) FROM archive_files WHERE state IN (0, 3);

-- name: insert_character
INSERT OR IGNORE INTO characters (
    id, tenant, idempotency_key, fingerprint, account, name, version, known, sent_date, sent_at
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: bind_character
UPDATE characters SET character_id = ? WHERE id = ?;

-- name: free_character
DELETE FROM characters WHERE id = ? AND character_id IS NULL;

-- name: read_characters
SELECT id, tenant, idempotency_key, fingerprint, account, name, version, known, sent_date, sent_at, character_id
FROM characters ORDER BY id;

-- name: remove_character
INSERT INTO removed_characters (account, character_id, tenant, gone) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (account, character_id) DO UPDATE SET gone = max(gone, ?4);

-- name: read_removed_characters
SELECT account, character_id, tenant, gone FROM removed_characters;
-- name: read_agent_tenant
SELECT tenant FROM agent_sessions WHERE id = ?;
-- name: read_agent_key
SELECT tenant, key, fingerprint, session_id, after_message_id, message_id FROM agent_keys WHERE tenant = ? AND key = ?;
-- name: insert_agent_key
INSERT INTO agent_keys (tenant, key, fingerprint, session_id, after_message_id, used_at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, key) DO NOTHING;
-- name: insert_agent_session
INSERT INTO agent_sessions (id, tenant, created_at) VALUES (?, ?, ?);
-- name: bind_agent_message
UPDATE agent_keys SET message_id = ? WHERE tenant = ? AND key = ?;
-- name: free_agent_key
DELETE FROM agent_keys WHERE tenant = ? AND key = ? AND message_id IS NULL;
-- name: read_bound_agent_messages
SELECT message_id FROM agent_keys WHERE session_id = ? AND message_id IS NOT NULL;
-- name: read_newest_agent_message
SELECT message_id FROM agent_keys WHERE session_id = ? AND message_id IS NOT NULL ORDER BY used_at DESC LIMIT 1;
-- name: insert_agent_media
INSERT INTO agent_media (tenant, id, created_at) VALUES (?, ?, ?)
ON CONFLICT (tenant, id) DO UPDATE SET created_at = excluded.created_at;
-- name: has_agent_media
SELECT 1 FROM agent_media WHERE tenant = ? AND id = ?;
-- name: any_old_agent_key
SELECT EXISTS (SELECT 1 FROM agent_keys WHERE used_at < ?1 AND (message_id IS NOT NULL OR fingerprint = ?2))
    OR EXISTS (SELECT 1 FROM agent_media WHERE created_at < ?1);
-- name: prune_agent_keys
DELETE FROM agent_keys WHERE used_at < ? AND (message_id IS NOT NULL OR fingerprint = ?);
-- name: read_unresolved_agent_messages
SELECT tenant, key, fingerprint, session_id, after_message_id, message_id, used_at FROM agent_keys
WHERE message_id IS NULL AND fingerprint <> ? ORDER BY used_at;
-- name: prune_agent_media
DELETE FROM agent_media WHERE created_at < ?;
