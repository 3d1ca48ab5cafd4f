-- Each replica reads the changes of all tenants by their position.
CREATE INDEX changes_position ON changes (position);
