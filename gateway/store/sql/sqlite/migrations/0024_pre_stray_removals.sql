-- A second request that Higgsfield accepted for a deleted generation, whose data has to be removed too.
ALTER TABLE removals ADD COLUMN stray_request_id TEXT NOT NULL DEFAULT '';
CREATE INDEX removals_stray_request ON removals (stray_request_id);
