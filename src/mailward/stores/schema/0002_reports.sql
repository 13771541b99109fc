-- Digests of the ids of reports that were taken, so that none counts twice.
CREATE TABLE report (digest BLOB PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
