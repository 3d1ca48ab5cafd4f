-- A callback may have a hundred thousand deliveries, and its owner asks which of them have failed.
CREATE INDEX callback_deliveries_failed ON callback_deliveries (callback_id, create_time, generation_id, revision)
WHERE problem IS NOT NULL;
