-- Copies of outputs in an archive. state: 0 pending, 1 archived, 2 given up, 3 to be removed.
-- archive: the URL of the archive. url: the source, erased after the copy because its query may be a signature.
-- A row outlives its generation until its copy or removal is finished.
CREATE TABLE archive_files (
    generation_id TEXT NOT NULL,
    output INTEGER NOT NULL,
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
    PRIMARY KEY (generation_id, output)
) STRICT, WITHOUT ROWID;
CREATE INDEX archive_files_due ON archive_files (archive, not_before) WHERE state IN (0, 3);
