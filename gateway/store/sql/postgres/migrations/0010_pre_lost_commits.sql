-- writes: how often the log was written; beats: the heartbeats of a replica. A server that has fewer of them than it has
-- acknowledged has lost commits.
ALTER TABLE log ADD COLUMN writes bigint NOT NULL DEFAULT 0;
ALTER TABLE replicas ADD COLUMN beats bigint NOT NULL DEFAULT 0;
