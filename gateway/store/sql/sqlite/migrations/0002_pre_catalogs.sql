-- What Higgsfield offers an account, as it told it last. items: JSON; fetched_at is steady time, fetch_time wall clock.
CREATE TABLE catalogs (
    account TEXT NOT NULL,
    origin TEXT NOT NULL,
    name TEXT NOT NULL,
    items TEXT NOT NULL,
    fetched_at REAL NOT NULL,
    fetch_time REAL NOT NULL,
    PRIMARY KEY (account, origin, name)
) STRICT;
