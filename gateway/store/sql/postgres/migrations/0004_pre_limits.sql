-- key_id: the API key that submitted it, '' without one. price: what budgets count for it, in millionths of a credit,
-- NULL if none applied. budget_day: the UTC date on which it was counted, NULL without a price. The estimates are
-- decimal texts for callers.
ALTER TABLE generations
    ADD COLUMN key_id text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN price bigint,
    ADD COLUMN estimated_credits text NOT NULL DEFAULT '',
    ADD COLUMN estimated_usd text NOT NULL DEFAULT '',
    ADD COLUMN budget_day text COLLATE "C";
CREATE INDEX generations_priced ON generations (tenant, budget_day) WHERE price IS NOT NULL;

-- The limits of a subject ('tenant', 'key:ID', 'label:NAME=VALUE') of a tenant, NULL for none, and what is used of them:
-- see gateway/generations/limits/model.py. Credits are millionths. models: a JSON list of prefixes, '' for none.
-- minute: the number of the minute since the epoch that submissions counts. day: a UTC date.
CREATE TABLE limits (
    tenant text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    credits_per_day bigint,
    credits_per_month bigint,
    submissions_per_minute bigint,
    in_flight bigint,
    concurrency_share bigint,
    models text NOT NULL,
    minute bigint NOT NULL,
    submissions bigint NOT NULL,
    running bigint NOT NULL,
    day text COLLATE "C" NOT NULL,
    day_reserved bigint NOT NULL,
    day_spent bigint NOT NULL,
    month_reserved bigint NOT NULL,
    month_spent bigint NOT NULL,
    PRIMARY KEY (tenant, subject)
) WITH (fillfactor = 50);
