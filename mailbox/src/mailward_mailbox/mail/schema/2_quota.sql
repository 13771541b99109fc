-- How much of its quota an account uses: the octets of messages, uploads and scripts, each once.

ALTER TABLE account ADD COLUMN used INTEGER NOT NULL DEFAULT 0;

UPDATE account SET used =
    (SELECT coalesce(sum(length(octets)), 0) FROM blob)
    + (SELECT coalesce(sum(length(text)), 0) FROM script);

CREATE TRIGGER blob_added AFTER INSERT ON blob
BEGIN UPDATE account SET used = used + length(new.octets); END;

CREATE TRIGGER blob_gone AFTER DELETE ON blob
BEGIN UPDATE account SET used = used - length(old.octets); END;

CREATE TRIGGER script_added AFTER INSERT ON script
BEGIN UPDATE account SET used = used + length(new.text); END;

CREATE TRIGGER script_changed AFTER UPDATE OF text ON script
BEGIN UPDATE account SET used = used + length(new.text) - length(old.text); END;

CREATE TRIGGER script_gone AFTER DELETE ON script
BEGIN UPDATE account SET used = used - length(old.text); END;

-- So that uploads whose time is over, and references of threads that are gone, are found at once.

CREATE INDEX blob_kept ON blob (kept_until) WHERE kept_until > 0;
CREATE INDEX message_thread ON message (thread);
CREATE INDEX reference_thread ON reference (thread);
