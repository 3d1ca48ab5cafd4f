-- traits: the kind, duration and resolution of the input, which run times depend on; empty in rows from before.
ALTER TABLE generations ADD COLUMN traits TEXT NOT NULL DEFAULT '';
ALTER TABLE durations ADD COLUMN traits TEXT NOT NULL DEFAULT '';
