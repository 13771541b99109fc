BEGIN TRANSACTION;
CREATE TABLE account (
    id     TEXT NOT NULL PRIMARY KEY,  -- whose file this is
    modseq INTEGER NOT NULL,
    began  INTEGER NOT NULL            -- in seconds: where UIDVALIDITY counts from
);
INSERT INTO "account" VALUES('ca115254ae40f87a1234e959',6,1790000000);
CREATE TABLE blob (
    id         TEXT NOT NULL PRIMARY KEY,     -- of its octets: SHA-256
    octets     BLOB NOT NULL,
    kept_until REAL NOT NULL                  -- an upload stays until then, though unused
);
INSERT INTO "blob" VALUES('b5deb3a09c634aebb04bad98f12299daf767493438715e2f47c21fe88e92b618',X'4D6573736167652D49443A203C32406578616D706C653E0D0A5265666572656E6365733A203C31406578616D706C653E0D0A0D0A66696E650D0A',0.0);
INSERT INTO "blob" VALUES('bd256dd9e6314a2bd81e0428ce6690aceb772beee7dc22c91618affb06825168',X'616E2075706C6F6164',1790003600.0);
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
INSERT INTO "mailbox" VALUES('Fb3caa1005be65266537f2b1c','INBOX','inbox',1790000001,3,1,1,6);
INSERT INTO "mailbox" VALUES('F4201d8dd7198be6ca8ac13df','Drafts','drafts',1790000001,1,1,1,1);
INSERT INTO "mailbox" VALUES('Fc3422ee96638a7ce316f148d','Sent','sent',1790000001,1,1,1,1);
INSERT INTO "mailbox" VALUES('Fe56b12478d80b3bfe61164b4','Junk','junk',1790000001,1,1,1,1);
INSERT INTO "mailbox" VALUES('F2ffc0a1c443cb0cec58c10b0','Trash','trash',1790000001,1,1,1,1);
INSERT INTO "mailbox" VALUES('F396d53f1f25aeabdf347867b','work',NULL,1790000004,1,1,1,4);
INSERT INTO "mailbox" VALUES('Ff4bab55bd434dacb35c4c424','work/2026',NULL,1790000004,2,1,1,5);
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
INSERT INTO "message" VALUES('Fb3caa1005be65266537f2b1c',2,'Me7f074034681f48bc1f40788','T8dcc0319b1652d01105d6fa4','b5deb3a09c634aebb04bad98f12299daf767493438715e2f47c21fe88e92b618',58,1790000000.0,'\Seen work',3);
INSERT INTO "message" VALUES('Ff4bab55bd434dacb35c4c424',1,'Me7f074034681f48bc1f40788','T8dcc0319b1652d01105d6fa4','b5deb3a09c634aebb04bad98f12299daf767493438715e2f47c21fe88e92b618',58,1790000000.0,'\Seen work',5);
CREATE TABLE reference (
    message_id TEXT NOT NULL PRIMARY KEY,
    thread     TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO "reference" VALUES('1@example','T8dcc0319b1652d01105d6fa4');
INSERT INTO "reference" VALUES('2@example','T8dcc0319b1652d01105d6fa4');
CREATE TABLE script (
    name      TEXT NOT NULL PRIMARY KEY,
    text      BLOB NOT NULL,
    is_active INTEGER NOT NULL
);
INSERT INTO "script" VALUES('mine',X'6B6565703B',1);
CREATE INDEX message_blob ON message (blob);
COMMIT;
PRAGMA application_id = 1836543340;
PRAGMA user_version = 1;
