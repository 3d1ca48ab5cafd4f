-- Ended generations with work that the next process resumes.

-- deleting: 1 once a caller has deleted it. Higgsfield may have removed its data already.
ALTER TABLE generations ADD COLUMN deleting INTEGER NOT NULL DEFAULT 0;
CREATE INDEX generations_deleting ON generations (id) WHERE deleting = 1;

CREATE INDEX generations_strays ON generations (id) WHERE done = 1 AND stray_request_id <> '';

-- Few keys have no message id: those of messages without an outcome, and those of sessions.
CREATE INDEX agent_keys_unresolved ON agent_keys (used_at) WHERE message_id IS NULL;
