-- Deleted generations whose data Higgsfield has not confirmed as removed; the gateway repeats the DELETE.
CREATE TABLE removals (
    generation_id TEXT PRIMARY KEY,
    request_id TEXT NOT NULL,
    account TEXT NOT NULL,
    origin TEXT NOT NULL
) STRICT, WITHOUT ROWID;

DROP INDEX generations_deleting;
ALTER TABLE generations DROP COLUMN deleting;
