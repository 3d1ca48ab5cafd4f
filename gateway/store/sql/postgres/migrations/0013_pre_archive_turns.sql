-- Tenants take turns in the archive. The key of a file begins with its tenant.
CREATE INDEX archive_files_turns ON archive_files (archive, (split_part(key, '/', 1) COLLATE "C"), not_before)
WHERE state IN (0, 3);
