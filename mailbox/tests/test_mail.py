"""The mail of an account: what is stored stays, as a whole, and everybody sees the same."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
from mailward_mailbox.instant import Instant
from mailward_mailbox.mail.account import AccountMail
from mailward_mailbox.mail.file import MailFile
from mailward_mailbox.mail.model import (
    MAX_MAILBOXES,
    BrokenError,
    Fresh,
    MailboxExistsError,
    MailError,
    NoRoomError,
    NoSuchMailboxError,
    UnfitError,
)
from mailward_mailbox.mail.store import MAX_IDLE, MailStore

NOON = Instant(1_790_000_000.0)
SEEN = frozenset({"\\Seen"})
LETTER = Fresh(b"Message-ID: <1@example>\r\nSubject: hello\r\n\r\nhow are you?\r\n")


class Clock:
    now = NOON

    def __call__(self) -> Instant:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[MailStore]:
    store = MailStore(tmp_path / "mail", clock)
    yield store
    await store.close()


@pytest.fixture
async def mail(store: MailStore) -> AsyncIterator[AccountMail]:
    async with store.open("alice") as mail:
        yield mail


def inbox(mail: AccountMail) -> str:
    return mail.mailbox("INBOX").id


async def reread(store: MailStore) -> AccountMail:
    """The same account, from its file."""
    other = MailStore(store.path("alice").parent, store._clock)  # noqa: SLF001 -- a second daemon's
    async with other.open("alice") as mail:
        await other.close()
        return mail


def state(mail: AccountMail) -> object:
    """All that there is to know of it."""
    return mail.modseq, [
        (one.id, one.name, one.uid_validity, one.next_uid, one.is_subscribed, one.messages)
        for one in mail.mailboxes()
    ]


async def test_an_account_begins_with_the_usual_mailboxes(mail: AccountMail) -> None:
    roles = {one.name: one.role for one in mail.mailboxes()}
    usual = {"Drafts": "drafts", "Sent": "sent", "Junk": "junk", "Trash": "trash"}
    assert roles == {"INBOX": "inbox", **usual}
    assert mail.mailboxes()[0].name == "INBOX"


async def test_what_is_in_memory_is_what_is_in_the_file(
    store: MailStore, mail: AccountMail
) -> None:
    box = inbox(mail)
    for _ in range(5):
        await mail.append(box, LETTER)
    work = await mail.create("work/2026")
    await mail.copy(box, [1, 2], work.id)
    await mail.copy(box, [3], mail.mailbox("Trash").id, move=True)
    await mail.set_flags(box, {1: SEEN, 2: frozenset({"work", "\\Flagged"})})
    await mail.destroy(box, [5])
    await mail.rename("work", "jobs")
    await mail.subscribe("jobs", is_subscribed=False)
    await mail.remove("Junk")
    await mail.claim_recent(box)
    assert state(await reread(store)) == state(mail)
    assert set((await reread(store)).emails) == set(mail.emails)
    assert (await reread(store)).threads == mail.threads


async def test_a_message_has_a_uid_that_never_comes_back(mail: AccountMail) -> None:
    box = inbox(mail)
    uids = []
    for _ in range(3):
        message = await mail.append(box, LETTER)
        uids.append(message.uid)
        await mail.destroy(box, [message.uid])
    assert uids == [1, 2, 3]
    assert mail.by_id[box].next_uid == 4


async def test_every_change_has_a_higher_number(mail: AccountMail) -> None:
    box = inbox(mail)
    numbers = [mail.modseq]
    for change in (
        mail.append(box, LETTER),
        mail.set_flags(box, {1: SEEN}),
        mail.create("a"),
        mail.rename("a", "b"),
        mail.destroy(box, [1]),
        mail.remove("b"),
    ):
        await change
        numbers.append(mail.modseq)
    assert all(before < after for before, after in pairwise(numbers))


async def test_who_waits_for_a_change_is_told(mail: AccountMail) -> None:
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(5):
        waiting = [tasks.create_task(mail.changed(mail.modseq)) for _ in range(3)]
        await asyncio.sleep(0)
        await mail.append(inbox(mail), LETTER)
    assert [one.result() for one in waiting] == [mail.modseq] * 3


async def test_a_change_is_seen_though_who_asked_for_it_has_left(
    store: MailStore, mail: AccountMail
) -> None:
    before = mail.modseq
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(5):
        asking = tasks.create_task(mail.append(inbox(mail), LETTER))
        await asyncio.sleep(0)
        asking.cancel()
        await mail.changed(before)
    assert list(mail.mailbox("INBOX").messages) == [1]
    assert state(await reread(store)) == state(mail)


async def test_a_copy_is_the_same_email_and_a_second_delivery_is_another(mail: AccountMail) -> None:
    box = inbox(mail)
    first, second = await mail.append(box, LETTER), await mail.append(box, LETTER)
    ((_, copied),) = await mail.copy(box, [first.uid], mail.mailbox("Sent").id)
    assert copied.email == first.email != second.email
    assert copied.blob == first.blob == second.blob
    assert set(mail.emails[first.email]) == {(box, 1), (mail.mailbox("Sent").id, 1)}


async def test_answers_are_in_the_thread_of_what_they_answer(mail: AccountMail) -> None:
    box = inbox(mail)
    first = await mail.append(box, LETTER)
    answer = await mail.append(
        box, Fresh(b"message-id: <2@x>\r\nReferences:\r\n <0@x>\r\n <1@example>\r\n\r\n<9@x>")
    )
    third = await mail.append(box, Fresh(b"In-Reply-To: <2@x>\r\n\r\n"))
    other = await mail.append(box, Fresh(b"Message-ID: <9@x>\r\n\r\n"))
    nobody = await mail.append(box, Fresh(b"no header at all"))
    assert first.thread == answer.thread == third.thread
    assert len({first.thread, other.thread, nobody.thread}) == 3


async def test_what_stands_nowhere_any_more_is_gone_for_good(mail: AccountMail) -> None:
    box = inbox(mail)
    message = await mail.append(box, LETTER)
    await mail.copy(box, [1], mail.mailbox("Sent").id)
    await mail.destroy(box, [1])
    assert await mail.blob(message.blob) == LETTER.octets
    await mail.remove("Sent")
    assert await mail.blob(message.blob) is None
    assert not mail.emails
    assert not mail.threads


async def test_an_upload_stays_for_an_hour_though_nobody_uses_it(
    tmp_path: Path, clock: Clock
) -> None:
    for later, is_there in ((3599, True), (3601, False)):
        clock.now = NOON
        store = MailStore(tmp_path / str(later), clock)
        async with store.open("alice") as mail:
            blob = await mail.put_blob(b"octets")
        await store.close()
        clock.now = Instant(NOON + later)
        store = MailStore(tmp_path / str(later), clock)
        async with store.open("alice") as mail:
            assert (await mail.blob(blob) is not None) == is_there
        await store.close()


async def test_an_upload_that_is_a_message_too_stays_with_it(mail: AccountMail) -> None:
    blob = await mail.put_blob(LETTER.octets)
    message = await mail.append(inbox(mail), LETTER)
    await mail.destroy(inbox(mail), [message.uid])
    assert await mail.blob(blob) == LETTER.octets


async def test_several_are_stored_as_a_whole_or_not_at_all(
    store: MailStore, mail: AccountMail
) -> None:
    before = state(mail)
    too_long = Fresh(b"x" * 26_214_401)
    for wrong in ((inbox(mail), too_long), ("nowhere", LETTER)):
        with pytest.raises(MailError):
            await mail.append_all([(inbox(mail), LETTER), wrong])
    assert state(mail) == before == state(await reread(store))


async def test_a_full_disk_leaves_nothing_half_written(store: MailStore, mail: AccountMail) -> None:
    await mail.append(inbox(mail), LETTER)
    before = state(mail)
    await asyncio.wrap_future(
        mail._thread.submit(mail._file._database.execute, "PRAGMA max_page_count = 40")  # noqa: SLF001 -- a disk that is full at that size
    )
    with pytest.raises(NoRoomError):
        await mail.append(inbox(mail), Fresh(b"x" * 1_000_000))
    assert state(mail) == before == state(await reread(store))
    await mail.append(inbox(mail), LETTER)
    assert list(mail.mailbox("INBOX").messages) == [1, 2]


async def test_a_disk_that_is_full_now_and_then_is_logged_once(
    store: MailStore, mail: AccountMail, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.wrap_future(
        mail._thread.submit(mail._file._database.execute, "PRAGMA max_page_count = 40")  # noqa: SLF001 -- a disk that is full at that size
    )
    for number in range(5):
        with pytest.raises(NoRoomError):
            await mail.append(inbox(mail), Fresh(b"x" * 1_000_000))
        assert ["its disk is full" in fault for fault in store.faults()] == [True]
        await mail.append(inbox(mail), Fresh(b"%d" % number))
        assert not store.faults()
    assert len(caplog.messages) == 1


async def test_a_file_that_is_read_only_is_told_as_broken(store: MailStore, tmp_path: Path) -> None:
    (tmp_path / "mail").mkdir()
    store.path("alice").write_bytes(b"no database" * 1000)
    for _ in range(2):
        with pytest.raises(BrokenError, match="alice"):
            async with store.open("alice"):
                pass
    store.path("alice").unlink()
    async with store.open("alice") as mail:
        assert mail.mailboxes()


async def test_the_mail_of_one_account_is_never_opened_as_anothers(
    store: MailStore, tmp_path: Path, clock: Clock
) -> None:
    before = MailStore(tmp_path / "mail", clock)
    async with before.open("alice"):
        pass
    await before.close()
    store.path("alice").rename(store.path("bob"))
    with pytest.raises(BrokenError, match="another account"):
        async with store.open("bob"):
            pass


async def test_all_who_use_an_account_share_one_object(store: MailStore) -> None:
    async with store.open("alice") as one, store.open("alice") as two, store.open("bob") as other:
        assert one is two
        assert one is not other


async def test_many_accounts_are_open_only_while_they_are_used(store: MailStore) -> None:
    for number in range(MAX_IDLE + 20):
        async with store.open(f"a{number}") as mail:
            await mail.append(inbox(mail), LETTER)
    assert len(store._shared) == MAX_IDLE  # noqa: SLF001 -- what is held
    async with store.open("a0") as mail:
        assert len(mail.mailbox("INBOX").messages) == 1


@pytest.mark.parametrize(
    "name", ["", "/", "a//b", "/a", "a/", "x" * 256, "a*", "a%", "a\nb", "a\0", "\ud800"]
)
async def test_a_mailbox_cannot_have_every_name(mail: AccountMail, name: str) -> None:
    with pytest.raises(UnfitError):
        await mail.create(name)


async def test_the_inbox_is_one_in_any_case_and_stays(mail: AccountMail) -> None:
    assert mail.mailbox("inbox") is mail.mailbox("Inbox")
    with pytest.raises(MailboxExistsError):
        await mail.create("inbox")
    with pytest.raises(UnfitError):
        await mail.remove("INBOX")
    await mail.append(inbox(mail), LETTER)
    await mail.rename("INBOX", "old")
    assert not mail.mailbox("INBOX").messages
    assert len(mail.mailbox("old").messages) == 1


async def test_a_mailbox_takes_those_below_it_along(mail: AccountMail) -> None:
    await mail.create("a/b/c")
    with pytest.raises(UnfitError):
        await mail.rename("a", "a/x")
    with pytest.raises(MailboxExistsError):
        await mail.rename("a", "Sent")
    await mail.rename("a", "x/y")
    names = {one.name for one in mail.mailboxes()}
    assert {"x", "x/y", "x/y/b", "x/y/b/c"} <= names
    assert not any(name.startswith("a") for name in names)
    with pytest.raises(NoSuchMailboxError):
        mail.mailbox("a")


async def test_of_two_who_remove_a_mailbox_at_once_one_is_told_that_it_is_gone(
    mail: AccountMail,
) -> None:
    await mail.create("a")
    done = await asyncio.gather(mail.remove("a"), mail.remove("a"), return_exceptions=True)
    assert [type(one) for one in done] == [type(None), NoSuchMailboxError]
    before = mail.modseq
    await mail.create("a")
    assert mail.modseq > before


async def test_mailboxes_are_bounded(tmp_path: Path) -> None:
    file = MailFile(tmp_path / "x.db", "x", NOON)
    with pytest.raises(UnfitError, match="delete some"):
        file.create([f"m{number}" for number in range(MAX_MAILBOXES)], is_subscribed=True)
    assert len(file.load()[1]) == 5
    file.close()


async def test_scripts_are_stored_and_one_of_them_is_active(
    store: MailStore, mail: AccountMail
) -> None:
    await mail.put_script("one", b"keep;")
    await mail.put_script("two", b"discard;")
    assert await mail.active_script() is None
    assert await mail.activate_script("one")
    assert await mail.activate_script("two")
    assert [(one.name, one.is_active) for one in await mail.scripts()] == [
        ("one", False),
        ("two", True),
    ]
    assert not await mail.activate_script("three")
    assert await mail.active_script() == b"discard;"
    await mail.put_script("two", b"keep;")
    assert active_in(store.path("alice")) == b"keep;"
    assert await mail.rename_script("two", "three")
    assert await mail.script("two") is None
    assert await mail.activate_script(None)
    assert await mail.active_script() is None
    assert await mail.delete_script("three")
    assert not await mail.delete_script("three")


def active_in(file: Path) -> bytes:
    """The text of the active script, as the disk has it."""
    database = sqlite3.connect(file)
    (text,) = database.execute("SELECT text FROM script WHERE is_active").fetchone()
    database.close()
    return bytes(text)


async def test_a_piece_of_a_message_is_read_without_the_rest(mail: AccountMail) -> None:
    message = await mail.append(inbox(mail), LETTER)
    assert await mail.piece(message.blob, 0, 10) == LETTER.octets[:10]
    assert await mail.piece(message.blob, 20, 1_000) == LETTER.octets[20:]
    assert await mail.piece(message.blob, 1_000, 1) == b""
    assert await mail.piece("none", 0, 1) is None
    assert await mail.blobs([message.blob, "none"], 4) == {message.blob: LETTER.octets[:4]}
