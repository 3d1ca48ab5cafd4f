-- callback_url: the caller's URL for deliveries about it, '' without one.
ALTER TABLE generations ADD COLUMN callback_url TEXT NOT NULL DEFAULT '';
