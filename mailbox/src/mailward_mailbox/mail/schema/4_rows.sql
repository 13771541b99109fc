-- What the rows of messages and references take on the disk counts, too: a client could else fill it
-- with copies of one small message. 512 octets of a message's row hold flags of 80 octets, which are
-- all of the system's: what is longer counts by itself.

UPDATE account SET used = used
    + (SELECT coalesce(sum(512 + max(0, length(flags) - 80)), 0) FROM message)
    + (SELECT coalesce(sum(64 + length(CAST(message_id AS BLOB))), 0) FROM reference);

CREATE TRIGGER message_placed AFTER INSERT ON message
BEGIN UPDATE account SET used = used + 512 + max(0, length(new.flags) - 80); END;

CREATE TRIGGER message_gone AFTER DELETE ON message
BEGIN UPDATE account SET used = used - 512 - max(0, length(old.flags) - 80); END;

CREATE TRIGGER message_flagged AFTER UPDATE OF flags ON message
BEGIN
    UPDATE account SET used = used
        + max(0, length(new.flags) - 80) - max(0, length(old.flags) - 80);
END;

CREATE TRIGGER reference_known AFTER INSERT ON reference
BEGIN UPDATE account SET used = used + 64 + length(CAST(new.message_id AS BLOB)); END;

CREATE TRIGGER reference_gone AFTER DELETE ON reference
BEGIN UPDATE account SET used = used - 64 - length(CAST(old.message_id AS BLOB)); END;
