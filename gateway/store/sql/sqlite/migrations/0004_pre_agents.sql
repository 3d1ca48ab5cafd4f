-- Conversations with Higgsfield's agents. The messages themselves are not stored.

-- Sessions that were created through this gateway.
CREATE TABLE agent_sessions (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    create_time REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- Records of idempotency keys, each of a session or of a message.
-- after_message_id: the newest message that was known before this one was sent.
-- message_id: the id at Higgsfield, NULL while the outcome is unknown.
CREATE TABLE agent_keys (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    session_id TEXT NOT NULL,
    after_message_id TEXT NOT NULL,
    message_id TEXT,
    used_time REAL NOT NULL,
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;

-- A message belongs to one key.
CREATE UNIQUE INDEX agent_keys_message ON agent_keys (session_id, message_id) WHERE message_id IS NOT NULL;
CREATE INDEX agent_keys_used ON agent_keys (used_time);

-- Media slots.
CREATE TABLE agent_media (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    create_time REAL NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
