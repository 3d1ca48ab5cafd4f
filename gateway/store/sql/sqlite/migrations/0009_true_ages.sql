-- Retention uses steady times, so that a wrong wall clock removes nothing too early.

-- From `since` on, the steady clock was `ahead` seconds ahead of Higgsfield's.
CREATE TABLE corrections (
    since REAL PRIMARY KEY,
    ahead REAL NOT NULL
) STRICT, WITHOUT ROWID;

DROP INDEX generations_ended;
ALTER TABLE generations ADD COLUMN ended_at REAL;
UPDATE generations SET ended_at = end_time;
CREATE INDEX generations_ended ON generations (ended_at) WHERE done = 1;

ALTER TABLE keys RENAME COLUMN used_time TO used_at;
ALTER TABLE agent_keys RENAME COLUMN used_time TO used_at;
ALTER TABLE agent_media RENAME COLUMN create_time TO created_at;
ALTER TABLE agent_sessions RENAME COLUMN create_time TO created_at;
