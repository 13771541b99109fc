-- The mail of one account. A message is an email (its content, once) standing in a mailbox.
-- modseq: the number of the change that a row was last touched by; it only ever grows.

CREATE TABLE account (
    id     TEXT NOT NULL PRIMARY KEY,  -- whose file this is
    modseq INTEGER NOT NULL,
    began  INTEGER NOT NULL            -- in seconds: where UIDVALIDITY counts from
);

CREATE TABLE mailbox (
    id            TEXT NOT NULL PRIMARY KEY,  -- RFC 8474 section 5.1
    name          TEXT NOT NULL UNIQUE,
    role          TEXT,                       -- of JMAP: "inbox", "sent", ...
    uid_validity  INTEGER NOT NULL,
    next_uid      INTEGER NOT NULL,
    recent_from   INTEGER NOT NULL,           -- the first UID that no session has been told of
    is_subscribed INTEGER NOT NULL,
    modseq        INTEGER NOT NULL
);

CREATE TABLE blob (
    id         TEXT NOT NULL PRIMARY KEY,     -- of its octets: SHA-256
    octets     BLOB NOT NULL,
    kept_until REAL NOT NULL                  -- an upload stays until then, though unused
);

CREATE TABLE message (
    mailbox  TEXT NOT NULL REFERENCES mailbox (id),
    uid      INTEGER NOT NULL,
    email    TEXT NOT NULL,                   -- the same for each copy
    thread   TEXT NOT NULL,
    blob     TEXT NOT NULL REFERENCES blob (id),
    size     INTEGER NOT NULL,
    received REAL NOT NULL,
    flags    TEXT NOT NULL,                   -- as IMAP writes them, by blanks
    modseq   INTEGER NOT NULL,
    PRIMARY KEY (mailbox, uid)
) WITHOUT ROWID;

CREATE INDEX message_blob ON message (blob);

-- Which thread a Message-ID belongs to, whether that message is here or was only referred to.
CREATE TABLE reference (
    message_id TEXT NOT NULL PRIMARY KEY,
    thread     TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE script (
    name      TEXT NOT NULL PRIMARY KEY,
    text      BLOB NOT NULL,
    is_active INTEGER NOT NULL
);
