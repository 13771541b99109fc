-- One row: how often the write-ahead log was written back into the file, and whether the file, read
-- alone, lacks a log that goes on from there. See stores/log.py.
CREATE TABLE log (generation INTEGER NOT NULL, is_apart INTEGER NOT NULL);
INSERT INTO log VALUES (0, 0);
