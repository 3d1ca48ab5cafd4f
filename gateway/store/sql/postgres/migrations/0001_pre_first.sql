-- The first schema. Times whose names end in _time are wall time, all others steady time. Both are in seconds. Text is
-- compared by its bytes (COLLATE "C"), so that ids sort alike on every server.

-- epoch: names this history of the store. token_secret: signs watch tokens, in hexadecimal. probe: see write_probe.
CREATE TABLE meta (
    name text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);

-- A process from its start to its end. It is dead once `beat` is too old. address: its host and process id.
CREATE TABLE replicas (
    replica uuid PRIMARY KEY,
    beat timestamptz NOT NULL,
    version text NOT NULL,
    address text NOT NULL
);

-- One row: the process that may write. fence: grows whenever the holder changes. released: whether the last holder gave
-- the lease back itself, so that none of its requests can still be under way.
CREATE TABLE lease (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    replica uuid,
    fence bigint NOT NULL DEFAULT 0,
    released boolean NOT NULL DEFAULT true
);
INSERT INTO lease DEFAULT VALUES;

-- One row: the position of the last change. It is locked until the commit, so positions are in the order of commits.
CREATE TABLE log (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    position bigint NOT NULL DEFAULT 0
);
INSERT INTO log DEFAULT VALUES;

-- Generations. shown: a JSON text of all that a caller can see change. input: the caller's protobuf message.
-- adopted: the request at Higgsfield was made without the gateway. held: the operator decides, after a restore.
-- write_id: the statement that stored this version, by which it is recognized if its answer was lost.
CREATE TABLE generations (
    id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    model_id text NOT NULL,
    api text NOT NULL,
    account text COLLATE "C" NOT NULL,
    origin text NOT NULL,
    input bytea NOT NULL,
    labels text NOT NULL,
    idempotency_key text COLLATE "C" NOT NULL,
    create_time double precision NOT NULL,
    created_at double precision NOT NULL,
    weight integer NOT NULL,
    token_hash bytea,
    start_by double precision,
    fail_when_saturated boolean NOT NULL,
    traits text NOT NULL,
    adopted boolean NOT NULL,

    version bigint NOT NULL,
    revision bigint NOT NULL,
    state smallint NOT NULL,
    done boolean NOT NULL,
    request_id text COLLATE "C",
    end_time double precision,
    ended_at double precision,
    shown text NOT NULL,

    owner text,
    attempt integer,
    send_by double precision,
    sent_at double precision,
    first_sent_at double precision,
    sends integer NOT NULL,
    ambiguous boolean NOT NULL,
    not_before double precision NOT NULL,
    repeats_over boolean NOT NULL,
    cancel_requested boolean NOT NULL,
    polls integer NOT NULL,
    missing_since double precision,
    stray_request_id text NOT NULL,
    held boolean NOT NULL,
    write_id uuid NOT NULL
) WITH (fillfactor = 70);

-- A request at Higgsfield belongs to one generation of an account. Requests are looked up by their id alone.
CREATE UNIQUE INDEX generations_request ON generations (request_id, account) WHERE request_id IS NOT NULL;
CREATE UNIQUE INDEX generations_token ON generations (token_hash) WHERE token_hash IS NOT NULL;
CREATE INDEX generations_unfinished ON generations (id) WHERE NOT done;
CREATE INDEX generations_tenant ON generations (tenant, id);
CREATE INDEX generations_freed ON generations (tenant, idempotency_key) WHERE done AND request_id IS NULL;
CREATE INDEX generations_ended ON generations (ended_at, id) WHERE done;
CREATE INDEX generations_strays ON generations (id) WHERE done AND stray_request_id <> '';

-- The exact request of each submission that is not settled.
CREATE TABLE requests (
    generation_id text COLLATE "C" PRIMARY KEY,
    account text NOT NULL,
    origin text NOT NULL,
    path text NOT NULL,
    query text NOT NULL,
    headers text NOT NULL,
    body bytea NOT NULL,
    key text NOT NULL,
    kind text NOT NULL
);

-- Idempotency keys, which outlive their generations. deleted: 0 no, 1 here, 2 at Higgsfield too.
-- orphaned: whether the generation is gone. used_at: the time of the claim or of the deletion.
CREATE TABLE keys (
    tenant text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    generation_id text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,
    deleted smallint NOT NULL DEFAULT 0,
    orphaned boolean NOT NULL DEFAULT false,
    used_at double precision NOT NULL,
    PRIMARY KEY (tenant, key)
);
CREATE INDEX keys_generation ON keys (generation_id);
CREATE INDEX keys_orphaned ON keys (used_at) WHERE orphaned;

-- Deleted generations whose data Higgsfield has not confirmed as removed.
CREATE TABLE removals (
    generation_id text COLLATE "C" PRIMARY KEY,
    request_id text COLLATE "C" NOT NULL,
    account text NOT NULL,
    origin text NOT NULL
);
CREATE INDEX removals_request ON removals (request_id);

-- The log of changes: each revision of each generation, and its removal (revision 0).
CREATE TABLE changes (
    tenant text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    generation_id text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    shown text NOT NULL,
    time double precision NOT NULL,
    PRIMARY KEY (tenant, position)
);
CREATE UNIQUE INDEX changes_generation ON changes (generation_id, revision);
CREATE INDEX changes_removals ON changes (time) WHERE revision = 0;

-- horizon: the highest position of a tenant's removed changes.
CREATE TABLE tenants (
    tenant text COLLATE "C" PRIMARY KEY,
    horizon bigint NOT NULL
);

-- Webhooks from Higgsfield, without duplicates.
CREATE TABLE deliveries (
    generation_id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    request_id text NOT NULL,
    status text NOT NULL,
    time double precision NOT NULL,
    processed boolean NOT NULL DEFAULT false,
    PRIMARY KEY (generation_id, name)
);
CREATE INDEX deliveries_unprocessed ON deliveries (time) WHERE NOT processed;

-- Events of a generation that are no changes: calls to Higgsfield, webhooks.
CREATE TABLE events (
    generation_id text COLLATE "C" NOT NULL,
    time double precision NOT NULL,
    description text NOT NULL,
    source smallint NOT NULL,
    method text NOT NULL,
    path text NOT NULL,
    http_status integer NOT NULL,
    correlation_id text NOT NULL,
    seconds double precision NOT NULL,
    times integer NOT NULL,
    PRIMARY KEY (generation_id, time)
);

-- Run times of generations, for the intervals of polls and for forecasts.
CREATE TABLE durations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model_id text COLLATE "C" NOT NULL,
    traits text NOT NULL,
    seconds double precision NOT NULL
);
CREATE INDEX durations_model ON durations (model_id, id);

-- Accounts whose idempotency keys Higgsfield does not honour, as a second request showed: nothing is repeated.
CREATE TABLE accounts (
    account text COLLATE "C" PRIMARY KEY
);

-- From `since` on, the steady clock was `ahead` seconds ahead of Higgsfield's. placed: a Date header confirmed it.
CREATE TABLE corrections (
    since double precision PRIMARY KEY,
    ahead double precision NOT NULL,
    placed boolean NOT NULL
);

-- API keys of callers. hash: the SHA-256 of the key, which is not stored.
CREATE TABLE api_keys (
    id text COLLATE "C" PRIMARY KEY,
    tenant text NOT NULL,
    name text NOT NULL,
    hash bytea NOT NULL,
    create_time double precision NOT NULL,
    revoke_time double precision
);

-- The newest catalogs of each account. items: JSON. fetched_at is steady time, fetch_time wall time.
CREATE TABLE catalogs (
    account text COLLATE "C" NOT NULL,
    origin text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    items text NOT NULL,
    fetched_at double precision NOT NULL,
    fetch_time double precision NOT NULL,
    PRIMARY KEY (account, origin, name)
);

-- Webhooks to callers. position: the changes of the tenant up to this position have their deliveries.
CREATE TABLE callbacks (
    id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    url text NOT NULL,
    wanted text NOT NULL,
    every_change boolean NOT NULL,
    idempotency_key text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,
    create_time double precision NOT NULL,
    position bigint NOT NULL,
    paused boolean NOT NULL,
    problem smallint,
    problem_status integer NOT NULL,
    problem_time double precision,
    failing_since double precision,
    failed_at double precision NOT NULL,
    streak integer NOT NULL,
    held_until double precision NOT NULL
);
CREATE UNIQUE INDEX callbacks_key ON callbacks (tenant, idempotency_key);

-- Secrets that sign deliveries, in plain text because a hash cannot sign (docs/decisions/0021). 0 is the newest.
CREATE TABLE callback_secrets (
    callback_id text COLLATE "C" NOT NULL,
    number integer NOT NULL,
    secret text NOT NULL,
    until double precision,
    PRIMARY KEY (callback_id, number)
);

-- Deliveries of callbacks. state: 1 pending, 2 delivered, 3 failed.
CREATE TABLE callback_deliveries (
    callback_id text COLLATE "C" NOT NULL,
    generation_id text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    create_time double precision NOT NULL,
    next_at double precision NOT NULL,
    state smallint NOT NULL,
    attempts integer NOT NULL,
    refusals integer NOT NULL,
    problem smallint,
    http_status integer NOT NULL,
    last_attempt_time double precision,
    PRIMARY KEY (callback_id, generation_id, revision)
);
CREATE INDEX callback_deliveries_waiting ON callback_deliveries (callback_id) WHERE state = 1;
CREATE INDEX callback_deliveries_newest ON callback_deliveries (callback_id, create_time, generation_id, revision);

-- Copies of outputs in an archive. state: 0 pending, 1 archived, 2 given up, 3 to be removed.
-- archive: the URL of the archive. url: the source, erased after the copy because its query may be a signature.
-- A row outlives its generation until its copy or removal is finished.
CREATE TABLE archive_files (
    generation_id text COLLATE "C" NOT NULL,
    output integer NOT NULL,
    preview boolean NOT NULL,
    url text NOT NULL,
    key text NOT NULL,
    content_type text NOT NULL,
    archive text COLLATE "C" NOT NULL,
    expire_time double precision NOT NULL,
    state smallint NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    not_before double precision NOT NULL DEFAULT 0,
    archived_url text NOT NULL DEFAULT '',
    size bigint NOT NULL DEFAULT 0,
    sha256 text NOT NULL DEFAULT '',
    PRIMARY KEY (generation_id, output, preview)
);
CREATE INDEX archive_files_due ON archive_files (archive, not_before) WHERE state IN (0, 3);

-- Orders of characters, stored before they are sent and never removed.
-- known: the ids of the characters with this name before that. sent_date is Higgsfield's time, sent_at steady time.
CREATE TABLE characters (
    id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    idempotency_key text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,
    account text COLLATE "C" NOT NULL,
    name text NOT NULL,
    version smallint NOT NULL,
    known text NOT NULL,
    sent_date double precision NOT NULL,
    sent_at double precision NOT NULL,
    character_id text COLLATE "C"
);
CREATE UNIQUE INDEX characters_key ON characters (tenant, idempotency_key);
-- A character at Higgsfield belongs to one order.
CREATE UNIQUE INDEX characters_id ON characters (account, character_id) WHERE character_id IS NOT NULL;

-- Characters that a caller deleted. gone: whether Higgsfield has confirmed it.
CREATE TABLE removed_characters (
    account text COLLATE "C" NOT NULL,
    character_id text COLLATE "C" NOT NULL,
    tenant text NOT NULL,
    gone boolean NOT NULL,
    PRIMARY KEY (account, character_id)
);

-- Sessions with Higgsfield's agents that were created through this gateway. The messages are not stored.
CREATE TABLE agent_sessions (
    id text COLLATE "C" PRIMARY KEY,
    tenant text NOT NULL,
    created_at double precision NOT NULL
);

-- Records of idempotency keys, each of a session or of a message.
-- after_message_id: the newest message that was known before this one was sent.
-- message_id: the id at Higgsfield, NULL while the outcome is unknown.
CREATE TABLE agent_keys (
    tenant text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    after_message_id text NOT NULL,
    message_id text COLLATE "C",
    used_at double precision NOT NULL,
    PRIMARY KEY (tenant, key)
);
-- A message belongs to one key.
CREATE UNIQUE INDEX agent_keys_message ON agent_keys (session_id, message_id) WHERE message_id IS NOT NULL;
CREATE INDEX agent_keys_used ON agent_keys (used_at);
CREATE INDEX agent_keys_unresolved ON agent_keys (used_at) WHERE message_id IS NULL;

-- Media slots of agents.
CREATE TABLE agent_media (
    tenant text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    created_at double precision NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX agent_media_age ON agent_media (created_at);
