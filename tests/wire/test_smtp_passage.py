from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailward.wire.door import MAX_HELD_OCTETS, Closing, StartTls
from mailward.wire.passage import Straight, Through, ToBackend, ToClient, Wordless
from mailward.wire.smtp.passage import SmtpPassage
from tests.wire.test_cuts import CUTS, held, pieces

OFFER = ["PIPELINING", "CHUNKING"]
COMMANDS = st.sampled_from(
    [b"EHLO c", b"HELO c", b"NOOP", b"RSET", b"AUTH PLAIN x", b"STARTTLS", b"XCLIENT A=b",
     b"VRFY u", b"RCPT TO:<b>", b"DATA", b"junk", b"", b"HELP", b"auth login"]
)  # fmt: skip


def passage(*, starttls: bool = True) -> SmtpPassage:
    machine = SmtpPassage(hostname="mx.test", starttls=starttls, literal=b"[192.0.2.7]")
    machine.connected(OFFER, b"220 mx.test ESMTP\r\n")
    return machine


class Backend:
    """Answers every command it sees; *seen* are those, *told* is what the client has seen."""

    def __init__(self, machine: SmtpPassage) -> None:
        self.machine = machine
        self.seen: list[bytes] = []
        self.told = b""
        self.through: Through | None = None
        self.is_over = False

    def hear(self, data: bytes) -> None:
        self.machine.from_client(data)
        while (event := self.machine.next_event()) is not None:
            match event:
                case ToClient(octets):
                    self.told += octets
                case ToBackend(octets):
                    self.seen.append(octets.partition(b" ")[0].strip().upper())
                    keywords = b"250-AUTH PLAIN\r\n250-STARTTLS\r\n" * (self.seen[-1] == b"EHLO")
                    first = b"250-mx.test\r\n" if keywords else b""
                    self.machine.from_backend(first + keywords + b"250 PIPELINING\r\n")
                case StartTls(octets):
                    self.told += octets
                    self.machine.secured()
                case Closing(octets):
                    self.told += octets
                    self.is_over = True
                case Through():
                    self.through = event
                    self.is_over = True


@given(commands=st.lists(COMMANDS, max_size=9), cuts=CUTS)
def test_every_command_is_answered_once_and_in_order_however_it_is_cut(
    commands: list[bytes], cuts: list[int]
) -> None:
    whole = Backend(passage(starttls=False))
    whole.hear(b"")
    for command in commands:
        whole.hear(command + b"\r\n")
    cut = Backend(passage(starttls=False))
    for piece in pieces(b"".join(command + b"\r\n" for command in commands), cuts):
        cut.hear(piece)
    assert (whole.told, whole.seen) == (cut.told, cut.seen)
    answers = [line for line in cut.told.splitlines() if line[3:4] == b" "]
    assert len(answers) == 1 + len(commands)


@given(commands=st.lists(COMMANDS, max_size=9), cuts=CUTS)
def test_the_backend_never_sees_a_login_or_another_name(
    commands: list[bytes], cuts: list[int]
) -> None:
    backend = Backend(passage())
    for piece in pieces(b"".join(command + b"\r\n" for command in commands), cuts):
        backend.hear(piece)
    assert not set(backend.seen) & {b"AUTH", b"STARTTLS", b"XCLIENT", b"DATA", b"RCPT", b"JUNK"}
    assert b"AUTH PLAIN" not in backend.told.partition(b"ESMTP")[2]


@given(rest=st.binary(max_size=400), cuts=CUTS)
def test_from_mail_on_every_octet_passes(rest: bytes, cuts: list[int]) -> None:
    backend = Backend(passage())
    backend.machine = machine = SmtpPassage(
        hostname="mx.test", starttls=False, literal=b"[192.0.2.7]"
    )
    machine.connected(OFFER, b"220 mx.test\r\n")
    backend.hear(b"HELO c\r\n")
    assert backend.through is None
    mail = b"MAIL FROM:<a@\xc3\xa9.example>\r\n"
    passed = b""
    for piece in pieces(mail + rest, cuts):
        if backend.through is None:
            backend.hear(piece)
            passed += b"" if backend.through is None else backend.through.from_client
        else:
            passed += piece
    assert passed == mail + rest


@pytest.mark.parametrize("size", [MAX_HELD_OCTETS + 10, 300_000])
def test_no_more_is_held_than_may_be(size: int) -> None:
    machine = passage()
    assert machine.next_event() == ToClient(b"220 mx.test ESMTP\r\n")
    machine.from_client(b"EHLO c\r\n" + b"NOOP\r\n" * (size // 6))
    assert machine.next_event() == ToBackend(b"EHLO c\r\n")
    for _ in range(10):
        machine.from_client(b"x" * 60_000)
    assert held(machine) <= MAX_HELD_OCTETS + 100
    assert machine.next_event() == Closing(
        b"421 4.7.0 mx.test Too much sent ahead\r\n", "too much sent ahead"
    )


@pytest.mark.parametrize("behind", [b"EHLO c\r\n", b"M", b"\x16\x03\x01"])
def test_what_stands_behind_starttls_in_plaintext_closes(behind: bytes) -> None:
    machine = passage()
    machine.from_client(b"STARTTLS\r\n" + behind)
    assert machine.next_event() == ToClient(b"220 mx.test ESMTP\r\n")
    assert machine.next_event() == Closing(
        b"421 4.7.0 mx.test Plaintext behind STARTTLS\r\n", "plaintext behind STARTTLS"
    )
    assert machine.next_event() is None


def test_a_reply_without_end_is_not_collected_for_ever() -> None:
    machine = passage()
    machine.from_client(b"EHLO c\r\n")
    assert isinstance(machine.next_event(), ToClient)
    assert isinstance(machine.next_event(), ToBackend)
    machine.from_backend(b"250-x\r\n" * 300)
    closing = machine.next_event()
    assert isinstance(closing, Closing)
    assert closing.why == "the backend talks nonsense"


def test_no_password_that_is_tried_prints() -> None:
    backend = Backend(passage())
    backend.hear(b"EHLO c\r\nAUTH PLAIN AGpvZQBzM2NyZXQ=\r\n")
    assert b"AGpvZQ" not in backend.told
    backend.hear(b"MAIL FROM:<>\r\nAUTH PLAIN AGpvZQBzM2NyZXQ=\r\n")
    assert backend.through is not None
    assert "AGpvZQ" not in repr(backend.through) + repr(backend.machine)


def test_a_straight_passage_looks_at_nothing() -> None:
    machine = Straight()
    machine.from_client(b"\x16\x03\x01")
    assert machine.next_event() is None
    machine.connected((), b"+OK ready\r\n")
    assert machine.next_event() == Through(b"\x16\x03\x01", b"+OK ready\r\n", None)
    assert machine.next_event() is None
    assert (machine.banned(), machine.unavailable(), machine.backend_gone()) == (b"", b"", b"")


def test_a_wordless_dialogue_is_over_at_once_and_keeps_what_came_meanwhile() -> None:
    dialogue = Wordless()
    dialogue.receive_data(b"220 early\r\n")
    accepted = dialogue.next_event()
    assert getattr(accepted, "leftover", None) == b"220 early\r\n"
    assert dialogue.next_event() is None
