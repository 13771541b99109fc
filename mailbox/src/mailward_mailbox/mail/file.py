"""The file that one account's mail is in. Every call is for the one thread that it belongs to.

A transaction is on the disk (synchronous=FULL) before anybody is told of it, and one that fails
leaves nothing behind: the message and its place in the mailbox are one commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path

from mailward_mailbox.instant import Instant, dated
from mailward_mailbox.mail.database import Database
from mailward_mailbox.mail.model import (
    INBOX,
    MAX_MAILBOXES,
    Changed,
    DamagedError,
    Flags,
    Fresh,
    Mailbox,
    MailboxExistsError,
    Message,
    NoSuchMailboxError,
    Script,
    UnfitError,
)
from mailward_mailbox.mail.references import references
from mailward_mailbox.mail.rows import flags_text, new_id, read_mailbox, read_message
from mailward_mailbox.storage import bring_up_to_date, check_version

APPLICATION_ID = int.from_bytes(b"mwml", "big")
MAX_LOG_OCTETS = 4_194_304
"""SQLite's log of one file; it is cut to that when its content has been written back."""
_PACKAGE = "mailward_mailbox.mail"
_FIRST_MAILBOXES = (
    (INBOX, "inbox"),
    ("Drafts", "drafts"),
    ("Sent", "sent"),
    ("Junk", "junk"),
    ("Trash", "trash"),
)


class MailFile(Database):
    """The mail of account *owner* at *path*, made with mode 0600 where there is none.

    Raises:
        BrokenError: it cannot be opened, it is another account's, or a newer version wrote it.
    """

    def __init__(
        self,
        path: Path,
        owner: str,
        now: Instant,
        quota: Callable[[], int | None] = lambda: None,
    ) -> None:
        super().__init__(path, quota)
        with self._trouble():
            try:
                self._prepare(owner, now)
            except BaseException:
                self.close()
                raise

    # -- reading -------------------------------------------------------------------------------

    def load(self) -> tuple[int, list[Mailbox]]:
        """The number of the last change, and everything that is not content."""
        with self._trouble():
            modseq = self._modseq()
            mailboxes = {row[0]: read_mailbox(row) for row in self._rows("SELECT * FROM mailbox")}
            for row in self._rows("SELECT * FROM message ORDER BY mailbox, uid"):
                message = read_message(row)
                mailboxes[message.mailbox].messages[message.uid] = message
        return modseq, list(mailboxes.values())

    def blob(self, blob: str) -> bytes | None:
        with self._trouble():
            found = self._row("SELECT octets FROM blob WHERE id = ?", blob)
        return None if found is None else bytes(found[0])

    def blobs(self, blobs: Iterable[str], at_most: int | None) -> dict[str, bytes]:
        read = self.blob if at_most is None else partial(self.piece, first=0, octets=at_most)
        found = {blob: read(blob) for blob in blobs}
        return {blob: octets for blob, octets in found.items() if octets is not None}

    def piece(self, blob: str, first: int, octets: int) -> bytes | None:
        """So many octets from *first* on; only the pages that hold them are read."""
        with self._trouble():
            row = self._row("SELECT rowid FROM blob WHERE id = ?", blob)
            if row is None:
                return None
            with self._database.blobopen("blob", "octets", row[0], readonly=True) as opened:
                opened.seek(min(first, len(opened)))
                return opened.read(octets)

    def scripts(self) -> list[Script]:
        with self._trouble():
            rows = self._rows("SELECT name, is_active FROM script ORDER BY name")
            return [Script(name, bool(is_active)) for name, is_active in rows]

    def script(self, name: str | None) -> bytes | None:
        """The text of a script, or (``None``) of the active one."""
        with self._trouble():
            found = (
                self._row("SELECT text FROM script WHERE is_active")
                if name is None
                else self._row("SELECT text FROM script WHERE name = ?", name)
            )
        return None if found is None else bytes(found[0])

    # -- messages ------------------------------------------------------------------------------

    def append(self, placed: Sequence[tuple[str, Fresh]], now: Instant) -> Changed:
        """Store each message in the mailbox whose id stands with it; all of them or none."""
        with self._change() as modseq:
            self._drop_uploads(now)
            put = []
            for mailbox, fresh in placed:
                blob = self._put_blob(fresh.octets, 0.0)
                put.append(
                    self._place(
                        Message(
                            mailbox,
                            0,
                            new_id("M"),
                            self._thread(fresh.octets),
                            blob,
                            len(fresh.octets),
                            dated(now if fresh.received is None else fresh.received),
                            fresh.flags,
                            modseq,
                        )
                    )
                )
            return self._changed(modseq, put=put)

    def copy(self, mailbox: str, uids: Iterable[int], destination: str, *, move: bool) -> Changed:
        """Put what is still there of *uids* into *destination*, in their order."""
        with self._change() as modseq:
            there = self._messages(mailbox, uids)
            put = [
                self._place(replace(message, mailbox=destination, modseq=modseq))
                for message in there
            ]
            gone = self._take_out(mailbox, there) if move else []
            changed = self._changed(modseq, put=put, gone=gone)
            return replace(changed, origins=[message.uid for message in there])

    def set_flags(self, mailbox: str, flags: Mapping[int, Flags]) -> Changed:
        with self._change() as modseq:
            put = [
                replace(message, flags=flags[message.uid], modseq=modseq)
                for message in self._messages(mailbox, flags)
                if message.flags != flags[message.uid]
            ]
            self._database.executemany(
                "UPDATE message SET flags = ?, modseq = ? WHERE mailbox = ? AND uid = ?",
                [(flags_text(one.flags), modseq, mailbox, one.uid) for one in put],
            )
            return self._changed(modseq, put=put)

    def destroy(self, mailbox: str, uids: Iterable[int], now: Instant) -> Changed:
        with self._change() as modseq:
            there = self._messages(mailbox, uids)
            gone = self._take_out(mailbox, there)
            self._drop_content(there, now)
            return self._changed(modseq, gone=gone)

    def claim_recent(self, mailbox: str) -> Changed:
        """Some session is told of everything that is in the mailbox now."""
        with self._change() as modseq:
            self._run("UPDATE mailbox SET recent_from = next_uid WHERE id = ?", mailbox)
            return Changed(modseq, mailboxes=[self._mailbox(mailbox)])

    def put_blob(self, octets: bytes, kept_until: Instant, now: Instant) -> str:
        with self._transaction():
            self._drop_uploads(now)
            return self._put_blob(octets, kept_until)

    def drop_uploads(self, now: Instant) -> None:
        """Forget the uploads that nothing refers to in time."""
        with self._transaction():
            self._drop_uploads(now)

    # -- mailboxes -----------------------------------------------------------------------------

    def create(self, names: Sequence[str], *, is_subscribed: bool) -> Changed:
        """Make those of *names* that are missing; one that was subscribed to is so again."""
        with self._change() as modseq:
            missing = [name for name in names if not self._id_of(name)]
            made = [
                self._create(name, None, modseq, is_subscribed=is_subscribed) for name in missing
            ]
            return Changed(modseq, mailboxes=made)

    def rename(self, names: Mapping[str, str]) -> Changed:
        """Give mailboxes, by their ids, other names."""
        with self._change() as modseq:
            for mailbox, name in names.items():
                if self._id_of(name):
                    raise MailboxExistsError(f"there is a mailbox {name} already")
                self._run(
                    "UPDATE mailbox SET name = ?, modseq = ? WHERE id = ?", name, modseq, mailbox
                )
            return Changed(modseq, mailboxes=[self._mailbox(mailbox) for mailbox in names])

    def remove(self, mailbox: str, now: Instant) -> Changed:
        """Destroy a mailbox and all that is in it."""
        with self._change() as modseq:
            self._mailbox(mailbox)  # two may remove it at once
            there = [
                read_message(row)
                for row in self._rows("SELECT * FROM message WHERE mailbox = ?", mailbox)
            ]
            gone = self._take_out(mailbox, there)
            self._drop_content(there, now)
            self._run("DELETE FROM mailbox WHERE id = ?", mailbox)
            return Changed(modseq, mailboxes_gone=[mailbox], gone=gone)

    def subscribe(self, mailbox: str, *, is_subscribed: bool) -> Changed:
        with self._change() as modseq:
            self._run(
                "UPDATE mailbox SET is_subscribed = ?, modseq = ? WHERE id = ?",
                *(is_subscribed, modseq, mailbox),
            )
            return Changed(modseq, mailboxes=[self._mailbox(mailbox)])

    def lost_subscriptions(self) -> list[str]:
        """Names that are subscribed to though there is no such mailbox any more."""
        return [name for (name,) in self._rows("SELECT name FROM subscription ORDER BY name")]

    def forget_subscription(self, name: str) -> bool:
        """Whether it was there."""
        with self._transaction():
            return self._run("DELETE FROM subscription WHERE name = ?", name) > 0

    # -- scripts -------------------------------------------------------------------------------

    def put_script(self, name: str, text: bytes) -> None:
        with self._transaction():
            self._run(
                "INSERT INTO script VALUES (?, ?, 0)"
                " ON CONFLICT (name) DO UPDATE SET text = excluded.text",
                *(name, text),
            )

    def activate(self, name: str | None) -> bool:
        """Make *name* the active script, ``None``: none; whether it is there."""
        with self._transaction():
            if name is not None and not self._row("SELECT 1 FROM script WHERE name = ?", name):
                return False
            self._run("UPDATE script SET is_active = (name IS ?)", name)
            return True

    def rename_script(self, name: str, new: str) -> bool:
        """Whether it was there. There must be none of the *new* name."""
        with self._transaction():
            return self._run("UPDATE script SET name = ? WHERE name = ?", new, name) > 0

    def delete_script(self, name: str) -> bool:
        """Whether it was there."""
        with self._transaction():
            return self._run("DELETE FROM script WHERE name = ?", name) > 0

    # -- inside --------------------------------------------------------------------------------

    def _prepare(self, owner: str, now: Instant) -> None:
        check_version(self._database, self._path, _PACKAGE)
        # Nothing is written to a file that is there already: it can be read on a full disk.
        pragmas = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON")
        for pragma in (*pragmas, f"journal_size_limit = {MAX_LOG_OCTETS}"):
            self._database.execute(f"PRAGMA {pragma}")
        bring_up_to_date(self._database, self._path, _PACKAGE, partial(self._fill, owner, now))
        if self._row("SELECT id FROM account") != (owner,):
            raise DamagedError(f"{self._path} holds the mail of another account")
        self.used = self._number("SELECT used FROM account")

    def _fill(self, owner: str, now: Instant) -> None:
        self._run(f"PRAGMA application_id = {APPLICATION_ID}")
        self._run("INSERT INTO account (id, modseq, began) VALUES (?, 1, ?)", owner, int(now))
        for name, role in _FIRST_MAILBOXES:
            self._create(name, role, 1, is_subscribed=True)

    def _create(self, name: str, role: str | None, modseq: int, *, is_subscribed: bool) -> Mailbox:
        if self._number("SELECT count(*) FROM mailbox") >= MAX_MAILBOXES:
            raise UnfitError(f"there are {MAX_MAILBOXES} mailboxes already; delete some")
        # RFC 9051 section 2.3.1.1: a name that comes back never comes back with the same value.
        began = self._number("SELECT began FROM account")
        uid_validity = (began + modseq) & 0xFFFF_FFFF or 1
        mailbox = new_id("F")
        row = (mailbox, name, role, uid_validity, 1, 1, is_subscribed, modseq)
        self._run("INSERT INTO mailbox VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *row)
        return self._mailbox(mailbox)

    def _id_of(self, name: str) -> str | None:
        found = self._row("SELECT id FROM mailbox WHERE name = ?", name)
        return None if found is None else str(found[0])

    def _mailbox(self, mailbox: str) -> Mailbox:
        row = self._row("SELECT * FROM mailbox WHERE id = ?", mailbox)
        if row is None:
            raise NoSuchMailboxError("there is no such mailbox any more")
        return read_mailbox(row)

    def _messages(self, mailbox: str, uids: Iterable[int]) -> list[Message]:
        found = []
        for uid in sorted(uids):
            row = self._row("SELECT * FROM message WHERE mailbox = ? AND uid = ?", mailbox, uid)
            if row is not None:
                found.append(read_message(row))
        return found

    def _place(self, message: Message) -> Message:
        """Put it into its mailbox, under the next UID."""
        message = replace(message, uid=self._mailbox(message.mailbox).next_uid)
        self._run(
            "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(message.mailbox, message.uid, message.email, message.thread, message.blob),
            *(message.size, message.received, flags_text(message.flags), message.modseq),
        )
        self._run(
            "UPDATE mailbox SET next_uid = ?, modseq = ? WHERE id = ?",
            *(message.uid + 1, message.modseq, message.mailbox),
        )
        return message

    def _take_out(self, mailbox: str, messages: Iterable[Message]) -> list[tuple[str, int]]:
        gone = [(mailbox, message.uid) for message in messages]
        self._database.executemany("DELETE FROM message WHERE mailbox = ? AND uid = ?", gone)
        return gone

    def _put_blob(self, octets: bytes, kept_until: Instant | float) -> str:
        blob = sha256(octets).hexdigest()
        self._run(
            "INSERT INTO blob VALUES (?, ?, ?) ON CONFLICT (id)"
            " DO UPDATE SET kept_until = max(kept_until, excluded.kept_until)",
            *(blob, octets, kept_until),
        )
        return blob

    def _drop_uploads(self, now: Instant) -> None:
        self._run(
            "DELETE FROM blob WHERE kept_until > 0 AND kept_until <= ?"
            " AND NOT EXISTS (SELECT 1 FROM message WHERE message.blob = blob.id)",
            now,
        )

    def _drop_content(self, messages: Sequence[Message], now: Instant) -> None:
        """Forget what belonged to *messages*, which are gone, and to no other."""
        self._database.executemany(
            "DELETE FROM blob WHERE id = ? AND kept_until <= ?"
            " AND NOT EXISTS (SELECT 1 FROM message WHERE message.blob = blob.id)",
            [(blob, now) for blob in {message.blob for message in messages}],
        )
        self._database.executemany(
            "DELETE FROM reference WHERE thread = ?1"
            " AND NOT EXISTS (SELECT 1 FROM message WHERE message.thread = ?1)",
            [(thread,) for thread in {message.thread for message in messages}],
        )

    def _thread(self, octets: bytes) -> str:
        """The thread of the first message that is named and known, else a new one."""
        names = references(octets)
        thread = None
        for name in names:
            if known := self._row("SELECT thread FROM reference WHERE message_id = ?", name):
                thread = str(known[0])
                break
        thread = thread or new_id("T")
        self._database.executemany(
            "INSERT OR IGNORE INTO reference VALUES (?, ?)", [(name, thread) for name in names]
        )
        return thread

    def _changed(
        self, modseq: int, put: Sequence[Message] = (), gone: Sequence[tuple[str, int]] = ()
    ) -> Changed:
        touched = {message.mailbox for message in put} | {mailbox for mailbox, _ in gone}
        self._database.executemany(
            "UPDATE mailbox SET modseq = ? WHERE id = ?", [(modseq, one) for one in touched]
        )
        next_uids = {one: self._mailbox(one).next_uid for one in touched}
        return Changed(modseq, put=put, gone=gone, next_uids=next_uids)
