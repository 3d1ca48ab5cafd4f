-- The audit log (docs/audit.md). sequence: the number of the entry, from 1 without gaps. text: JSON. hash: the SHA-256 of
-- the hash before, the number as 8 bytes, and the text.
CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY,
    text TEXT NOT NULL,
    hash BLOB NOT NULL
) STRICT;
