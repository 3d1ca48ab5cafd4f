-- Orders of characters, stored before they are sent and never removed.
-- known: the ids of the characters with this name before that. sent_date is Higgsfield's time, sent_at steady time.
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

-- A character at Higgsfield belongs to one order.
CREATE UNIQUE INDEX characters_id ON characters (account, character_id) WHERE character_id IS NOT NULL;

-- Characters that a caller deleted. gone: 1 once Higgsfield has confirmed it.
CREATE TABLE removed_characters (
    account TEXT NOT NULL,
    character_id TEXT NOT NULL,
    tenant TEXT NOT NULL,
    gone INTEGER NOT NULL,
    PRIMARY KEY (account, character_id)
) STRICT, WITHOUT ROWID;
