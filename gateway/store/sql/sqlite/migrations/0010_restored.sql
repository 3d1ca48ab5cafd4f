-- held: the store was restored, and what became of the submission since the backup is for the operator to find out.
ALTER TABLE generations ADD COLUMN held INTEGER NOT NULL DEFAULT 0;

-- How many commits the store has had; from now on they are counted (gateway/store/mark.py).
INSERT INTO meta (name, value) VALUES ('commits', '1');
