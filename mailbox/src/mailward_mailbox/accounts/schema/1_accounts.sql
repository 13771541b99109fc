-- Who has an account. No password is kept, only what proves that somebody knows it.

CREATE TABLE account (
    id         TEXT NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    password   TEXT NOT NULL,     -- a hash: argon2id, or as it was imported
    salt       BLOB,              -- of SCRAM-SHA-256, with the three below; or all are NULL
    iterations INTEGER,
    stored_key BLOB,
    server_key BLOB,
    is_enabled INTEGER NOT NULL
);

-- What makes the salts of accounts that are not there.
CREATE TABLE secret (octets BLOB NOT NULL);
