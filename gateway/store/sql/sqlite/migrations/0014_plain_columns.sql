-- Columns named after what they hold.
ALTER TABLE deliveries RENAME COLUMN dealt TO processed;
ALTER TABLE callback_deliveries RENAME COLUMN fate TO state;
