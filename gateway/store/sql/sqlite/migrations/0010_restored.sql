-- held: 1 if the store was restored and the submission may have been sent since the backup. The operator decides.
ALTER TABLE generations ADD COLUMN held INTEGER NOT NULL DEFAULT 0;

-- The number of commits of the store, counted from now on (gateway/store/sqlite/mark.py).
INSERT INTO meta (name, value) VALUES ('commits', '1');
