-- What has ended and is not over: a process that starts goes on with it.

-- deleting: a caller wants it deleted, and Higgsfield may have removed its data already.
ALTER TABLE generations ADD COLUMN deleting INTEGER NOT NULL DEFAULT 0;
CREATE INDEX generations_deleting ON generations (id) WHERE deleting = 1;

CREATE INDEX generations_strays ON generations (id) WHERE done = 1 AND stray_request_id <> '';

-- Messages without an outcome are few among all keys; sessions have none either.
CREATE INDEX agent_keys_unresolved ON agent_keys (used_at) WHERE message_id IS NULL;
