-- placed: 1 once a Date header of Higgsfield has confirmed `ahead`. Until then `ahead` is an estimate.
ALTER TABLE corrections ADD COLUMN placed INTEGER NOT NULL DEFAULT 1;
