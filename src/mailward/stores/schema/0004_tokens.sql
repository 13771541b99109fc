-- Keyed digests of tokens that were right; their key stands beside the database, not in it.
CREATE TABLE token (digest BLOB PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
