-- The number is that of "mwrd": the file says whose it is.
PRAGMA application_id = 1836544612;

-- One row for each subject that a failure counts for. The rowid is the order of arrival.
CREATE TABLE failure (
    seq INTEGER PRIMARY KEY,
    subject TEXT NOT NULL,
    at REAL NOT NULL,
    service TEXT NOT NULL,
    counterpart TEXT NOT NULL
);

-- Holds all that a start reads, in the order it wants it: no sorting of a million rows.
CREATE INDEX failure_of_subject ON failure (subject, at);

-- until: NULL stands until it is lifted. services and counterparts: JSON arrays of text.
CREATE TABLE ban (
    subject TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    since REAL NOT NULL,
    until REAL,
    failures INTEGER NOT NULL,
    services TEXT NOT NULL,
    counterparts TEXT NOT NULL,
    note TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
