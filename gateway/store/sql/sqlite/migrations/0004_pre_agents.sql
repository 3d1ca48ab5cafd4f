-- Conversations with Higgsfield's agents. What is said in them is not kept here.

-- Sessions that were created here, and whose they are.
CREATE TABLE agent_sessions (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    create_time REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- What an idempotency key stands for: a session, or a message to one. fingerprint: of what was asked for.
-- after_message_id: the newest message known before this one was sent. message_id: NULL while it is not known.
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

-- Places for media, and to whom they were given.
CREATE TABLE agent_media (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    create_time REAL NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
