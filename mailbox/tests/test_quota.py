"""The quota of an account: what is counted, and how each protocol says that a mailbox is full."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from mailbox_testing.doors import Premises
from mailbox_testing.hall import open_jmap
from mailbox_testing.lines import house, messages, session
from mailward_mailbox.instant import Instant
from mailward_mailbox.mail.account import UPLOAD_SECONDS, AccountMail
from mailward_mailbox.mail.file import MailFile
from mailward_mailbox.mail.model import Fresh, MailError, OverQuotaError
from mailward_mailbox.mail.store import MailStore

NOON = Instant(1_790_000_000.0)
QUOTA = 100_000
ROW = 512
"""What a message counts for beside its octets, which count once for all of its copies."""


class Settings:
    now = NOON
    quota: int | None = QUOTA


@pytest.fixture
def settings() -> Settings:
    return Settings()


@pytest.fixture
async def store(tmp_path: Path, settings: Settings) -> AsyncIterator[MailStore]:
    store = MailStore(tmp_path / "mail", lambda: settings.now, quota=lambda: settings.quota)
    yield store
    await store.close()


@pytest.fixture
async def mail(store: MailStore) -> AsyncIterator[AccountMail]:
    async with store.open("alice") as mail:
        yield mail


def inbox(mail: AccountMail) -> str:
    return mail.mailbox("INBOX").id


def letter(octets: int, filling: bytes = b"x") -> Fresh:
    """A message that counts for so many octets, its row included."""
    return Fresh(b"\r\n" + filling * (octets - ROW - 2))


async def test_what_would_go_beyond_the_quota_is_refused_as_a_whole(mail: AccountMail) -> None:
    await mail.append(inbox(mail), letter(60_000))
    with pytest.raises(OverQuotaError) as raised:
        await mail.append_all(
            [(inbox(mail), letter(1_000, b"y")), (inbox(mail), letter(60_000, b"z"))]
        )
    assert not raised.value.is_too_large
    assert mail.usage() == 60_000
    assert mail.quota == QUOTA
    assert list(mail.mailbox("INBOX").messages) == [1]
    await mail.append(inbox(mail), letter(40_000, b"y"))
    assert mail.usage() == QUOTA
    with pytest.raises(OverQuotaError):
        await mail.append(inbox(mail), letter(ROW + 3, b"z"))


async def test_a_message_that_is_larger_than_the_quota_never_fits(mail: AccountMail) -> None:
    with pytest.raises(OverQuotaError) as raised:
        await mail.append(inbox(mail), letter(QUOTA + 1))
    assert raised.value.is_too_large
    assert not mail.usage()


async def test_a_copy_needs_little_room_and_the_last_of_them_gives_all_back(
    mail: AccountMail,
) -> None:
    await mail.append(inbox(mail), letter(90_000))
    trash = mail.mailbox("Trash").id
    await mail.copy(inbox(mail), [1], trash)
    await mail.append(trash, letter(90_000))  # the same octets once more
    assert mail.usage() == 90_000 + 2 * ROW
    await mail.destroy(inbox(mail), [1])
    await mail.destroy(trash, [1])
    assert mail.usage() == 90_000
    await mail.destroy(trash, [2])
    assert not mail.usage()


async def test_copies_of_one_small_message_fill_a_mailbox(mail: AccountMail) -> None:
    await mail.append(inbox(mail), letter(ROW + 10))
    for _ in range(7):
        await mail.copy(inbox(mail), list(mail.mailbox("INBOX").messages), inbox(mail))
    with pytest.raises(OverQuotaError):
        await mail.copy(inbox(mail), list(mail.mailbox("INBOX").messages), inbox(mail))
    assert len(mail.mailbox("INBOX").messages) == 128


async def test_there_are_only_so_many_messages(
    mail: AccountMail, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailward_mailbox.mail.account.MAX_MESSAGES", 3)
    settings.quota = None
    await mail.append_all([(inbox(mail), letter(ROW + 10))] * 2)
    with pytest.raises(OverQuotaError):
        await mail.copy(inbox(mail), [1, 2], mail.mailbox("Trash").id)
    await mail.copy(inbox(mail), [1, 2], mail.mailbox("Trash").id, move=True)
    with pytest.raises(OverQuotaError):
        await mail.append_all([(inbox(mail), letter(ROW + 10))] * 2)


async def test_flags_of_the_system_are_set_in_a_full_mailbox_and_long_keywords_are_not(
    mail: AccountMail,
) -> None:
    await mail.append(inbox(mail), letter(QUOTA))
    await mail.set_flags(inbox(mail), {1: frozenset({"\\Seen", "\\Deleted", "$Forwarded"})})
    with pytest.raises(OverQuotaError):
        await mail.set_flags(inbox(mail), {1: frozenset({"k" * 100})})


async def test_a_mailbox_that_is_too_full_since_the_quota_is_lower_can_be_read_and_emptied(
    mail: AccountMail, settings: Settings
) -> None:
    message = await mail.append(inbox(mail), letter(QUOTA))
    settings.quota = 1_000
    assert await mail.blob(message.blob)
    await mail.set_flags(inbox(mail), {1: frozenset({"\\Seen"})})
    await mail.copy(inbox(mail), [1], mail.mailbox("Trash").id, move=True)
    with pytest.raises(OverQuotaError):
        await mail.append(inbox(mail), letter(ROW + 3))
    await mail.destroy(mail.mailbox("Trash").id, [1])
    await mail.append(inbox(mail), letter(ROW + 3))


async def test_uploads_and_scripts_count_and_an_upload_that_is_over_makes_room(
    mail: AccountMail, settings: Settings
) -> None:
    await mail.put_blob(b"x" * 90_000)
    with pytest.raises(OverQuotaError):
        await mail.put_blob(b"y" * 90_000)
    with pytest.raises(OverQuotaError):
        await mail.put_script("long", b"#" * 20_000)
    await mail.put_script("short", b"#" * 10_000)
    await mail.put_script("short", b"#" * 1_000)
    assert mail.usage() == 91_000
    settings.now = Instant(settings.now + UPLOAD_SECONDS + 1)
    await mail.put_blob(b"y" * 90_000)
    assert mail.usage() == 91_000
    await mail.delete_script("short")
    assert mail.usage() == 90_000


async def test_without_a_quota_all_is_counted_all_the_same(
    mail: AccountMail, settings: Settings
) -> None:
    settings.quota = None
    await mail.append(inbox(mail), letter(2 * QUOTA))
    assert (mail.usage(), mail.quota) == (2 * QUOTA, None)


async def test_whatever_is_done_the_count_is_the_sum_of_what_is_there(
    store: MailStore, mail: AccountMail, settings: Settings
) -> None:
    dice = random.Random(14)
    settings.quota = 20_000
    boxes = [one.id for one in mail.mailboxes()]
    for step in range(400):
        box, other = dice.choice(boxes), dice.choice(boxes)
        uids = list(mail.by_id[box].messages)
        some = dice.sample(uids, min(len(uids), 3))
        settings.now = Instant(settings.now + 60)
        try:
            match step % 6:
                case 0 | 1:
                    octets = b"Message-ID: <%d>\r\n\r\n" % dice.randint(1, 50)
                    await mail.append(box, Fresh(octets * dice.randint(1, 200)))
                case 2:
                    await mail.put_blob(bytes(dice.randint(1, 3_000)))
                case 3:
                    await mail.copy(box, some, other, move=dice.random() < 0.5)
                case 4:
                    await mail.destroy(box, some)
                case _:
                    await mail.put_script(f"s{dice.randint(1, 3)}", bytes(dice.randint(1, 3_000)))
        except OverQuotaError:
            pass
        assert mail.usage() <= settings.quota
    used, path = mail.usage(), store.path("alice")
    with closing(MailFile(path, "alice", NOON)) as file:
        number = file._number  # noqa: SLF001 -- what is there
        blobs = number("SELECT sum(length(octets)) FROM blob")
        scripts = number("SELECT sum(length(text)) FROM script")
        messages = number("SELECT count(*) FROM message")
        names = number("SELECT coalesce(sum(64 + length(message_id)), 0) FROM reference")
        assert used == blobs + scripts + ROW * messages + names == file.used


async def test_references_go_with_the_last_message_of_their_thread(
    store: MailStore, mail: AccountMail
) -> None:
    """Else a client could fill the disk with messages that it deletes again."""
    for number in range(5):
        named = b" ".join(b"<%d.%d@example>" % (number, n) for n in range(100))
        await mail.append(inbox(mail), Fresh(b"References: %b\r\n\r\n" % named))
    await mail.destroy(inbox(mail), [2, 3, 4, 5])
    with closing(MailFile(store.path("alice"), "alice", NOON)) as file:
        assert file._number("SELECT count(*) FROM reference") == 100  # noqa: SLF001 -- what is there
    reply = Fresh(b"References: <0.7@example>\r\n\r\n")
    answer = await mail.append(inbox(mail), reply)
    assert answer.thread == mail.mailbox("INBOX").messages[1].thread


# -- how it is said ----------------------------------------------------------------------------


def limit(here: Premises, octets: int) -> None:
    here.server.settings = replace(here.server.settings, quota=octets)


async def test_imap_says_overquota(tmp_path: Path) -> None:
    async with house(tmp_path, "alice") as here:
        limit(here, 1_500)
        alice = await here.session()
        assert b"t OK" in await alice.command(b"APPEND INBOX {600+}\r\n" + b"x" * 600)
        assert b"t NO [OVERQUOTA]" in await alice.command(b"APPEND INBOX {600+}\r\n" + b"y" * 600)
        assert b"t OK" in await alice.command(b"NOOP")


async def test_a_sender_is_told_whether_it_is_worth_another_try(tmp_path: Path) -> None:
    async with house(tmp_path, "alice", "bob") as here:
        limit(here, 10_000)
        async with session(here, here.server.submission) as alice:
            for size, answer in (
                (6_000, b"250"),
                (6_001, b"452 4.2.2 The mailbox is full, try again later\r\n"),
                (12_000, b"552 5.2.2 The mailbox has no room for so large a message\r\n"),
            ):
                assert (await alice.ask(b"MAIL FROM:<alice>\r\n")).startswith(b"250")
                assert (await alice.ask(b"RCPT TO:<bob>\r\n")).startswith(b"250")
                assert (await alice.ask(b"DATA\r\n")).startswith(b"354")
                lines = b"\r\n" + b"x" * 70 * (size // 72) + b"\r\n.\r\n"
                assert (await alice.ask(lines)).startswith(answer)
        assert len(await messages(here, "bob")) == 1


async def test_managesieve_says_quota_maxsize(tmp_path: Path) -> None:
    async with house(tmp_path, "alice") as here:
        limit(here, 1_000)
        async with session(here, here.server.managesieve) as alice:
            script = b"keep; #" + b"x" * 600
            put = b'PUTSCRIPT "%b" {%d+}\r\n%b'
            assert (await alice.command(put % (b"a", len(script), script))).startswith(b"OK")
            full = b'NO (QUOTA/MAXSIZE) "The mailbox is full"\r\n'
            assert await alice.command(put % (b"b", len(script), script)) == full
            assert await alice.command(b'HAVESPACE "b" 600') == full
            assert (await alice.command(b'HAVESPACE "b" 300')).startswith(b"OK")
            # A shorter one in the place of another needs no room.
            assert (await alice.command(put % (b"a", 5, b"keep;"))).startswith(b"OK")


async def test_jmap_says_over_quota(tmp_path: Path) -> None:
    async with open_jmap(tmp_path) as jmap:
        embedded = jmap.server
        embedded.settings = replace(embedded.settings, quota=1_500)
        blob = await jmap.upload(b"Subject: x\r\n\r\n" + b"x" * 900)
        box = await jmap.mailbox("INBOX")
        emails = {"k": {"blobId": blob, "mailboxIds": {box: True}}}
        answer = await jmap.call("Email/import", emails=emails)
        assert "k" in answer["created"]
        draft = {
            "mailboxIds": {box: True},
            "textBody": [{"partId": "1", "type": "text/plain"}],
            "bodyValues": {"1": {"value": "y" * 500}},
        }
        answer = await jmap.call("Email/set", create={"d": draft})
        assert answer["notCreated"]["d"]["type"] == "overQuota"
        with pytest.raises(AssertionError):
            await jmap.upload(b"z" * 500)


def test_an_upload_of_an_account_over_quota_raises_what_sessions_expect() -> None:
    assert issubclass(OverQuotaError, MailError)
