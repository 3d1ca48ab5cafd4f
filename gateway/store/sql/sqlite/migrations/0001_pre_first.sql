-- The first schema. Times whose names end in _time are wall time, all others steady time. Both are in seconds.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Generations. shown: a JSON text of all that a caller can see change. input: the caller's protobuf message.
CREATE TABLE generations (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    model_id TEXT NOT NULL,
    api TEXT NOT NULL,
    account TEXT NOT NULL,
    origin TEXT NOT NULL,
    input BLOB NOT NULL,
    labels TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    create_time REAL NOT NULL,
    created_at REAL NOT NULL,
    weight INTEGER NOT NULL,
    token_hash BLOB,
    start_by REAL,
    fail_when_saturated INTEGER NOT NULL,

    version INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    state INTEGER NOT NULL,
    done INTEGER NOT NULL,
    request_id TEXT,
    end_time REAL,
    shown TEXT NOT NULL,

    owner TEXT,
    attempt INTEGER,
    send_by REAL,
    sent_at REAL,
    first_sent_at REAL,
    sends INTEGER NOT NULL,
    ambiguous INTEGER NOT NULL,
    not_before REAL NOT NULL,
    repeats_over INTEGER NOT NULL,
    cancel_requested INTEGER NOT NULL,
    polls INTEGER NOT NULL,
    missing_since REAL,
    stray_request_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- A request at Higgsfield belongs to one generation.
CREATE UNIQUE INDEX generations_request ON generations (account, request_id) WHERE request_id IS NOT NULL;
CREATE UNIQUE INDEX generations_token ON generations (token_hash) WHERE token_hash IS NOT NULL;
CREATE INDEX generations_unfinished ON generations (id) WHERE done = 0;
CREATE INDEX generations_tenant ON generations (tenant, id);
CREATE INDEX generations_key ON generations (tenant, idempotency_key);
CREATE INDEX generations_ended ON generations (end_time) WHERE done = 1;

-- The exact request of each submission that is not settled.
CREATE TABLE requests (
    generation_id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    origin TEXT NOT NULL,
    path TEXT NOT NULL,
    query TEXT NOT NULL,
    headers TEXT NOT NULL,
    body BLOB NOT NULL,
    key TEXT NOT NULL,
    kind TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Idempotency keys, which outlive their generations. deleted: 0 no, 1 here, 2 at Higgsfield too.
-- used_time: the time at which the key was claimed, or its generation deleted.
CREATE TABLE keys (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    generation_id TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0,
    used_time REAL NOT NULL,
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX keys_generation ON keys (generation_id);

-- The log of changes: each revision of each generation, and its removal (revision 0). Positions are never reused.
CREATE TABLE changes (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    generation_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    shown TEXT NOT NULL,
    time REAL NOT NULL
) STRICT;
CREATE UNIQUE INDEX changes_generation ON changes (generation_id, revision);
CREATE INDEX changes_tenant ON changes (tenant, position);

-- Webhooks from Higgsfield, without duplicates. dealt: 1 once it is processed.
CREATE TABLE deliveries (
    generation_id TEXT NOT NULL,
    name TEXT NOT NULL,
    request_id TEXT NOT NULL,
    status TEXT NOT NULL,
    time REAL NOT NULL,
    dealt INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (generation_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_undealt ON deliveries (time) WHERE dealt = 0;

-- horizon: the highest position of a tenant's removed changes.
CREATE TABLE tenants (
    tenant TEXT PRIMARY KEY,
    horizon INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Events of a generation that are no changes: calls to Higgsfield, webhooks.
CREATE TABLE events (
    generation_id TEXT NOT NULL,
    time REAL NOT NULL,
    description TEXT NOT NULL,
    source INTEGER NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    http_status INTEGER NOT NULL,
    correlation_id TEXT NOT NULL,
    seconds REAL NOT NULL,
    times INTEGER NOT NULL,
    PRIMARY KEY (generation_id, time)
) STRICT, WITHOUT ROWID;

-- Run times of generations, for the intervals of polls and for forecasts.
CREATE TABLE durations (
    id INTEGER PRIMARY KEY,
    model_id TEXT NOT NULL,
    seconds REAL NOT NULL
) STRICT;
CREATE INDEX durations_model ON durations (model_id, id);

-- repeats_off: 1 once a second request showed that Higgsfield does not honour idempotency keys of the account.
CREATE TABLE accounts (
    account TEXT PRIMARY KEY,
    repeats_off INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- API keys of callers. hash: the SHA-256 of the key, which is not stored.
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    hash BLOB NOT NULL,
    create_time REAL NOT NULL,
    revoke_time REAL
) STRICT, WITHOUT ROWID;
