-- The newest catalogs of each account. items: JSON. fetched_at is steady time, fetch_time wall time.
CREATE TABLE catalogs (
    account TEXT NOT NULL,
    origin TEXT NOT NULL,
    name TEXT NOT NULL,
    items TEXT NOT NULL,
    fetched_at REAL NOT NULL,
    fetch_time REAL NOT NULL,
    PRIMARY KEY (account, origin, name)
) STRICT;
