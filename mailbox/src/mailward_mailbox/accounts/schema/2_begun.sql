-- Whether a file without accounts is meant to have none: an operator has removed the last one.

ALTER TABLE secret ADD COLUMN is_begun INTEGER NOT NULL DEFAULT 0;
