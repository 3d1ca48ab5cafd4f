-- Retention finds what it removes without reading through what stays.

-- Where a key leads is in `keys`, and only there: a second index of the same is one more page in each submission.
-- What has no row there any more was never accepted: its key was freed for the next one.
DROP INDEX generations_key;
CREATE INDEX generations_freed ON generations (tenant, idempotency_key) WHERE done = 1 AND request_id IS NULL;

-- The traces of what was removed are few among all changes.
CREATE INDEX changes_removals ON changes (time) WHERE revision = 0;

-- orphaned: its generation is gone, and the key is only kept until nobody can be meant to repeat it.
ALTER TABLE keys ADD COLUMN orphaned INTEGER NOT NULL DEFAULT 0;
UPDATE keys SET orphaned = 1 WHERE NOT EXISTS (SELECT 1 FROM generations g WHERE g.id = keys.generation_id);
CREATE INDEX keys_orphaned ON keys (used_time) WHERE orphaned = 1;

CREATE INDEX agent_media_age ON agent_media (create_time);
