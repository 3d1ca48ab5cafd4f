-- key_id: the API key that submitted it, "" without one. price: what budgets count for it, in millionths of a credit,
-- NULL if none applied. budget_day: the UTC date on which it was counted, NULL without a price. The estimates are
-- decimal texts for callers.
ALTER TABLE generations ADD COLUMN key_id TEXT NOT NULL DEFAULT '';
ALTER TABLE generations ADD COLUMN price INTEGER;
ALTER TABLE generations ADD COLUMN estimated_credits TEXT NOT NULL DEFAULT '';
ALTER TABLE generations ADD COLUMN estimated_usd TEXT NOT NULL DEFAULT '';
ALTER TABLE generations ADD COLUMN budget_day TEXT;
CREATE INDEX generations_priced ON generations (tenant, budget_day) WHERE price IS NOT NULL;

-- The limits of a subject ("tenant", "key:ID", "label:NAME=VALUE") of a tenant, NULL for none, and what is used of them:
-- see gateway/generations/limits/model.py. Credits are millionths. models: a JSON list of prefixes, '' for none.
-- minute: the number of the minute since the epoch that submissions counts. day: a UTC date.
CREATE TABLE limits (
    tenant TEXT NOT NULL,
    subject TEXT NOT NULL,
    credits_per_day INTEGER,
    credits_per_month INTEGER,
    submissions_per_minute INTEGER,
    in_flight INTEGER,
    concurrency_share INTEGER,
    models TEXT NOT NULL,
    minute INTEGER NOT NULL,
    submissions INTEGER NOT NULL,
    running INTEGER NOT NULL,
    day TEXT NOT NULL,
    day_reserved INTEGER NOT NULL,
    day_spent INTEGER NOT NULL,
    month_reserved INTEGER NOT NULL,
    month_spent INTEGER NOT NULL,
    PRIMARY KEY (tenant, subject)
) STRICT, WITHOUT ROWID;
