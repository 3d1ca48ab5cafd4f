-- scopes: names of gateway/access/scopes.py, separated by spaces. expire_time: the wall time from which the key is refused.
ALTER TABLE api_keys ADD COLUMN scopes text NOT NULL DEFAULT 'cancel read submit';
ALTER TABLE api_keys ADD COLUMN expire_time double precision;
