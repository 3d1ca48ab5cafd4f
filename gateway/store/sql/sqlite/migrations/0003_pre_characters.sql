-- Orders of characters that may have been sent: written before the first byte, kept for as long as the store.
-- known: the ids of that name that were there before. sent_date: Higgsfield's clock; sent_at: the steady one.
CREATE TABLE characters (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    known TEXT NOT NULL,
    sent_date REAL NOT NULL,
    sent_at REAL NOT NULL,
    character_id TEXT
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX characters_key ON characters (tenant, idempotency_key);

-- A character of Higgsfield's belongs to one order.
CREATE UNIQUE INDEX characters_id ON characters (account, character_id) WHERE character_id IS NOT NULL;

-- Characters that somebody wants deleted. gone: Higgsfield has said that they are.
CREATE TABLE removed_characters (
    account TEXT NOT NULL,
    character_id TEXT NOT NULL,
    tenant TEXT NOT NULL,
    gone INTEGER NOT NULL,
    PRIMARY KEY (account, character_id)
) STRICT, WITHOUT ROWID;
