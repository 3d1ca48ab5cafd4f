-- preview: 1 for the copy of an output's preview, 0 for that of the file itself.
CREATE TABLE archive_files_new (
    generation_id TEXT NOT NULL,
    output INTEGER NOT NULL,
    preview INTEGER NOT NULL DEFAULT 0,
    url TEXT NOT NULL,
    key TEXT NOT NULL,
    content_type TEXT NOT NULL,
    archive TEXT NOT NULL,
    expire_time REAL NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0,
    archived_url TEXT NOT NULL DEFAULT '',
    size INTEGER NOT NULL DEFAULT 0,
    sha256 TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (generation_id, output, preview)
) STRICT, WITHOUT ROWID;
INSERT INTO archive_files_new (generation_id, output, url, key, content_type, archive, expire_time, state, attempts,
    not_before, archived_url, size, sha256)
SELECT generation_id, output, url, key, content_type, archive, expire_time, state, attempts, not_before, archived_url,
    size, sha256 FROM archive_files;
DROP TABLE archive_files;
ALTER TABLE archive_files_new RENAME TO archive_files;
CREATE INDEX archive_files_due ON archive_files (archive, not_before) WHERE state IN (0, 3);
