"""What a door shows and says beyond its transcripts."""

from __future__ import annotations

import pytest

from mailward.wire.dialogue import SecondLoginError
from mailward.wire.door import Closing, Door
from mailward.wire.imap.door import ImapDoor, capabilities_after_login
from mailward.wire.imap.watch import imap_watch
from mailward.wire.managesieve.door import ManageSieveDoor
from mailward.wire.smtp.door import SubmissionDoor, mechanism_names

IMAP = ImapDoor((), passwords=True)
SUBMISSION = SubmissionDoor((), hostname="mail.example.org", passwords=True)
MANAGESIEVE = ManageSieveDoor((), passwords=True)


@pytest.mark.parametrize(
    ("door", "opening"),
    [(IMAP, b"* BYE "), (SUBMISSION, b"421 4."), (MANAGESIEVE, b"BYE ")],
)
def test_every_last_word_is_one_line_that_says_good_bye(door: Door, opening: bytes) -> None:
    for words in (
        door.banned(),
        door.crowded(),
        door.timed_out(),
        door.stopping(),
        door.too_many_failures(),
    ):
        assert words.startswith(opening)
        assert words.endswith(b"\r\n")
        assert words.count(b"\n") == 1


def test_who_is_crowded_out_over_imap_is_told_to_come_again() -> None:
    assert IMAP.crowded().startswith(b"* BYE [UNAVAILABLE] ")


def test_who_is_crowded_out_over_managesieve_is_told_to_come_again() -> None:
    assert MANAGESIEVE.crowded().startswith(b"BYE (TRYLATER) ")


def test_plaintext_behind_starttls_closes_managesieve() -> None:
    door = ManageSieveDoor((), passwords=True, starttls=True)
    door.receive_data(b'STARTTLS\r\nAUTHENTICATE "PLAIN"\r\n')
    closing = door.next_event()
    assert isinstance(closing, Closing)
    assert closing.why == "plaintext behind STARTTLS"


def test_no_session_is_told_of_what_would_hide_its_commands_or_end_its_login() -> None:
    capabilities = ["IMAP4rev1", "compress=deflate", "Unauthenticate"]
    assert capabilities_after_login(capabilities) == ("IMAP4rev1",)


@pytest.mark.parametrize(
    ("listed", "reads_lines"),
    [(["IMAP4rev1"], False), (["IMAP4rev1", "unauthenticate"], True), ([], True)],
)
def test_lines_of_the_backend_are_read_only_where_a_login_could_end(
    listed: list[str], reads_lines: bool
) -> None:
    watch = imap_watch(listed)
    watch.from_client(b"a IDLE\r\n")
    if reads_lines:
        with pytest.raises(SecondLoginError, match="a go-ahead nobody waits for"):
            watch.from_backend(b"+ idling\r\n+ again\r\n")
    else:
        assert watch.from_backend(b"+ idling\r\n+ again\r\n") == b"+ idling\r\n+ again\r\n"


def test_both_forms_of_the_auth_keyword_are_understood() -> None:
    assert mechanism_names(["AUTH PLAIN", "auth=login plain", "SIZE 1", ""]) == {"PLAIN", "LOGIN"}


def test_a_door_without_a_backend_offers_what_it_can_carry() -> None:
    assert b"AUTH=PLAIN AUTH=LOGIN" in ImapDoor((), passwords=True).greeting()
    assert b"LOGINDISABLED" not in ImapDoor((), passwords=True).greeting()
    assert b"AUTH=" not in ImapDoor((), passwords=False).greeting()
