-- The credentials of accounts that were added. id: a hash of the key id. tenant: the only tenant that may use the account,
-- "" for any. sealed: the encrypted key id and secret, empty once they were removed.
CREATE TABLE credentials (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    tenant TEXT NOT NULL,
    sealed BLOB NOT NULL,
    create_time REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- The accounts of a tenant: a JSON list of names and weights.
CREATE TABLE pools (
    tenant TEXT PRIMARY KEY,
    accounts TEXT NOT NULL
) STRICT, WITHOUT ROWID;
