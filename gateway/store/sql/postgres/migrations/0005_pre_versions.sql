-- schema: the newest migration that the process knows; empty if it was started by a version without this column. A
-- migration for which no older version may run waits for the end of the processes that do not know it.
ALTER TABLE replicas ADD COLUMN schema text COLLATE "C" NOT NULL DEFAULT '';
