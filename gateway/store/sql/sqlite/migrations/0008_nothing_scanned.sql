-- Indexes by which retention finds the rows to remove without a scan of the table.

-- The table `keys` maps keys to generations. A second index of the same keys costs one more page in each submission,
-- so this one has only the refused generations, whose keys were freed and are not in `keys`.
DROP INDEX generations_key;
CREATE INDEX generations_freed ON generations (tenant, idempotency_key) WHERE done = 1 AND request_id IS NULL;

-- Few of the changes are removals.
CREATE INDEX changes_removals ON changes (time) WHERE revision = 0;

-- orphaned: 1 once the generation is gone. The key is kept for a while to recognize retries.
ALTER TABLE keys ADD COLUMN orphaned INTEGER NOT NULL DEFAULT 0;
UPDATE keys SET orphaned = 1 WHERE NOT EXISTS (SELECT 1 FROM generations g WHERE g.id = keys.generation_id);
CREATE INDEX keys_orphaned ON keys (used_time) WHERE orphaned = 1;

CREATE INDEX agent_media_age ON agent_media (create_time);
