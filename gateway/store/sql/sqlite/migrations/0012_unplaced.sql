-- placed: a Date of Higgsfield's has confirmed how far the clock of that process was ahead. Until then it is a guess.
ALTER TABLE corrections ADD COLUMN placed INTEGER NOT NULL DEFAULT 1;
