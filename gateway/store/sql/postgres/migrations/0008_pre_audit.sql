-- The audit log (docs/audit.md). sequence: the number of the entry, from 1 without gaps. text: JSON. hash: the SHA-256 of
-- the hash before, the number as 8 bytes, and the text.
CREATE TABLE audit (
    sequence bigint PRIMARY KEY,
    text text NOT NULL,
    hash bytea NOT NULL
);
-- The last entry, and the hash before the last batch of entries. A statement that appends locks the row.
ALTER TABLE log
    ADD COLUMN audit_sequence bigint NOT NULL DEFAULT 0,
    ADD COLUMN audit_hash bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    ADD COLUMN audit_before bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex');
-- The hashes of entries that follow the one with this number and this hash.
CREATE FUNCTION audit_chain(number bigint, previous bytea, texts text[]) RETURNS bytea[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    hashes bytea[] := '{}';
    entry text;
BEGIN
    FOREACH entry IN ARRAY texts LOOP
        number := number + 1;
        previous := sha256(previous || int8send(number) || convert_to(entry, 'UTF8'));
        hashes := hashes || previous;
    END LOOP;
    RETURN hashes;
END $$;
