-- The credentials of accounts that were added. id: a hash of the key id. tenant: the only tenant that may use the account,
-- '' for any. sealed: the encrypted key id and secret, empty once they were removed.
CREATE TABLE credentials (
    id text COLLATE "C" PRIMARY KEY,
    account text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    sealed bytea NOT NULL,
    create_time double precision NOT NULL
);

-- The accounts of a tenant: a JSON list of names and weights.
CREATE TABLE pools (
    tenant text COLLATE "C" PRIMARY KEY,
    accounts text NOT NULL
);
