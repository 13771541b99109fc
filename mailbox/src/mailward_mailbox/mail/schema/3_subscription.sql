-- Names that were subscribed to when their mailbox was removed: they stay (RFC 9051 section 6.3.7),
-- as many as there may be mailboxes.

CREATE TABLE subscription (
    name TEXT NOT NULL PRIMARY KEY
) WITHOUT ROWID;

CREATE TRIGGER mailbox_gone AFTER DELETE ON mailbox
WHEN old.is_subscribed AND (SELECT count(*) FROM subscription) < 1000
BEGIN INSERT OR IGNORE INTO subscription VALUES (old.name); END;

CREATE TRIGGER mailbox_made AFTER INSERT ON mailbox
WHEN EXISTS (SELECT 1 FROM subscription WHERE name = new.name)
BEGIN
    UPDATE mailbox SET is_subscribed = 1 WHERE id = new.id;
    DELETE FROM subscription WHERE name = new.name;
END;

CREATE TRIGGER mailbox_renamed AFTER UPDATE OF name ON mailbox
WHEN EXISTS (SELECT 1 FROM subscription WHERE name = new.name)
BEGIN
    UPDATE mailbox SET is_subscribed = 1 WHERE id = new.id;
    DELETE FROM subscription WHERE name = new.name;
END;
