-- Tenants take turns in the archive. The key of a file begins with its tenant.
CREATE INDEX archive_files_turns ON archive_files (archive, substr(key, 1, instr(key, '/') - 1), not_before)
WHERE state IN (0, 3);
