-- The tables that a submission and its following touch. docs/postgresql-plan.md explains the columns, and lists what the
-- plan adds.

CREATE TABLE tenants (
    tenant text PRIMARY KEY,
    position bigint NOT NULL DEFAULT 0
);
CREATE TABLE accounts (
    account text PRIMARY KEY,
    max_running integer NOT NULL,
    running integer NOT NULL DEFAULT 0,
    waiting integer NOT NULL DEFAULT 0,
    admitted integer NOT NULL DEFAULT 0,
    paused_until timestamptz NOT NULL DEFAULT '-infinity'
);
CREATE TABLE claims (
    tenant text NOT NULL,
    key text NOT NULL,
    generation_id uuid NOT NULL,
    fingerprint bytea NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, key)
);
CREATE TABLE generations (
    id uuid PRIMARY KEY,
    tenant text NOT NULL,
    account text NOT NULL,
    bucket smallint NOT NULL,
    model_id text NOT NULL DEFAULT 'higgsfield-ai/soul/standard',
    api text NOT NULL DEFAULT 'v2',
    input bytea NOT NULL,
    labels text NOT NULL DEFAULT '{}',
    create_time timestamptz NOT NULL DEFAULT now(),
    weight integer NOT NULL DEFAULT 1,
    token_hash bytea,
    version bigint NOT NULL DEFAULT 1,
    revision bigint NOT NULL DEFAULT 1,
    state smallint NOT NULL,
    done boolean NOT NULL DEFAULT false,
    request_id text,
    end_time timestamptz,
    shown text NOT NULL,
    sender uuid,
    attempt integer,
    send_by timestamptz,
    sent_at timestamptz,
    first_sent_at timestamptz,
    sends integer NOT NULL DEFAULT 0,
    polls integer NOT NULL DEFAULT 0,
    due timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX generations_live ON generations (bucket, id) WHERE NOT done;
CREATE TABLE requests (
    generation_id uuid PRIMARY KEY,
    body bytea NOT NULL
);
CREATE TABLE changes (
    tenant text NOT NULL,
    position bigint NOT NULL,
    generation_id uuid NOT NULL,
    revision bigint NOT NULL,
    shown text NOT NULL,
    time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, position)
);
CREATE TABLE replicas (
    replica uuid PRIMARY KEY,
    beat timestamptz NOT NULL
);
CREATE TABLE leases (
    bucket smallint PRIMARY KEY,
    replica uuid,
    fence bigint NOT NULL DEFAULT 0
);
INSERT INTO leases (bucket) SELECT generate_series(0, 255);
INSERT INTO tenants (tenant) SELECT 'tenant-' || n FROM generate_series(0, 7) n;
INSERT INTO accounts (account, max_running) VALUES ('account', 1000000000);
