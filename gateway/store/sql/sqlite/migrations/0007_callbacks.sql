-- Webhooks to callers. Times whose names end in _time are wall time, all others steady time. Both are in seconds.

-- position: the changes of the tenant up to this position have their deliveries.
CREATE TABLE callbacks (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    url TEXT NOT NULL,
    wanted TEXT NOT NULL,
    every_change INTEGER NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    create_time REAL NOT NULL,
    position INTEGER NOT NULL,
    paused INTEGER NOT NULL,
    problem INTEGER,
    problem_status INTEGER NOT NULL,
    problem_time REAL,
    failing_since REAL,
    failed_at REAL NOT NULL,
    streak INTEGER NOT NULL,
    held_until REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX callbacks_key ON callbacks (tenant, idempotency_key);

-- Secrets that sign deliveries, in plain text because a hash cannot sign (docs/decisions/0021). 0 is the newest.
CREATE TABLE callback_secrets (
    callback_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    secret TEXT NOT NULL,
    until REAL,
    PRIMARY KEY (callback_id, number)
) STRICT, WITHOUT ROWID;

-- Deliveries of callbacks. fate: 1 pending, 2 delivered, 3 given up.
CREATE TABLE callback_deliveries (
    callback_id TEXT NOT NULL,
    generation_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    create_time REAL NOT NULL,
    next_at REAL NOT NULL,
    fate INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    refusals INTEGER NOT NULL,
    problem INTEGER,
    http_status INTEGER NOT NULL,
    last_attempt_time REAL,
    PRIMARY KEY (callback_id, generation_id, revision)
) STRICT, WITHOUT ROWID;
CREATE INDEX callback_deliveries_waiting ON callback_deliveries (callback_id) WHERE fate = 1;
CREATE INDEX callback_deliveries_newest ON callback_deliveries (callback_id, create_time, generation_id, revision);
