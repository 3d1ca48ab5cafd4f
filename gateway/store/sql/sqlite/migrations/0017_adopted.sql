-- adopted: 1 if the request at Higgsfield was made without the gateway.
ALTER TABLE generations ADD COLUMN adopted INTEGER NOT NULL DEFAULT 0;

-- Requests are looked up by their id alone, because Higgsfield's ids are unique among all accounts.
DROP INDEX generations_request;
CREATE UNIQUE INDEX generations_request ON generations (request_id, account) WHERE request_id IS NOT NULL;
CREATE INDEX removals_request ON removals (request_id);
