"""Where the network cuts the bytes never matters, and junk never hurts."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailward.wire.dialogue import Dialogue, DialogueEvent, Origin, SecondLoginError, Watch
from mailward.wire.door import (
    MAX_HELD_OCTETS,
    Closing,
    Credentials,
    Door,
    DoorEvent,
    Mechanism,
    Offered,
)
from mailward.wire.imap.backend import ImapLogin
from mailward.wire.imap.door import ImapDoor
from mailward.wire.imap.watch import imap_watch
from mailward.wire.managesieve.backend import ManageSieveLogin
from mailward.wire.managesieve.door import ManageSieveDoor
from mailward.wire.managesieve.watch import ManageSieveWatch
from mailward.wire.secret import Secret
from mailward.wire.smtp.backend import SmtpLogin
from mailward.wire.smtp.door import SubmissionDoor
from mailward.wire.smtp.watch import SubmissionWatch

ORIGIN = Origin((IPv4Address("203.0.113.9"), 50_000), (IPv4Address("192.0.2.1"), 143))
JOE = Credentials(Mechanism.LOGIN, b"joe", Secret(b"s3cret"))
PLAIN = b"AGpvZQBzM2NyZXQ="


def imap_door() -> Door:
    return ImapDoor((), passwords=True)


def submission_door() -> Door:
    return SubmissionDoor((), hostname="mail.example.org", passwords=True)


def imap_login() -> Dialogue:
    return ImapLogin(JOE)


def imap_login_told() -> Dialogue:
    return ImapLogin(JOE, origin=ORIGIN)


def smtp_login_told() -> Dialogue:
    return SmtpLogin(JOE, client_name=b"c.example", origin=ORIGIN)


def smtp_login() -> Dialogue:
    return SmtpLogin(JOE, client_name=b"c.example")


def imap_session() -> Watch:
    return imap_watch(["UNAUTHENTICATE"])


def light_imap_session() -> Watch:
    return imap_watch(["IMAP4rev1"])


def submission_session() -> Watch:
    return SubmissionWatch(chunking=True, literal=b"[192.0.2.7]")


def managesieve_door() -> Door:
    return ManageSieveDoor((), passwords=True, believes=True)


def managesieve_login() -> Dialogue:
    return ManageSieveLogin(JOE)


def managesieve_login_told() -> Dialogue:
    return ManageSieveLogin(JOE, origin=ORIGIN)


def managesieve_session() -> Watch:
    return ManageSieveWatch()


DOORS: dict[str, Callable[[], Door]] = {
    "imap": imap_door,
    "submission": submission_door,
    "managesieve": managesieve_door,
}
DIALOGUES = {
    "imap": imap_login,
    "smtp": smtp_login,
    "imap-id": imap_login_told,
    "xclient": smtp_login_told,
    "managesieve": managesieve_login,
    "managesieve-xclient": managesieve_login_told,
}
WATCHES = {
    "imap": imap_session,
    "light-imap": light_imap_session,
    "submission": submission_session,
    "managesieve": managesieve_session,
}

# Words that mean something somewhere, so that junk gets past the first line.
WORDS = st.sampled_from(
    [
        b"\r\n", b"\r\n", b"\r\n", b"\r", b"\n", b" ", b"a1 ", b"a1 ", b"* ", b"+ ", b"\0", b'"',
        b"\\", b"(", b")", b"LOGIN ", b"joe ", b'"joe" ', b"{3}\r\n", b"{3+}\r\n", b"{4096}\r\n",
        b"{4294967295+}\r\n", b"joe", b"AUTHENTICATE PLAIN ", b"AUTHENTICATE LOGIN", PLAIN, b"=",
        b"*", b"NOOP", b"ID NIL", b"EHLO c.example", b"AUTH PLAIN ", b"AUTH LOGIN ", b"AUTH LOGIN",
        b"am9l", b"UNAUTHENTICATE", b"IDLE", b"DONE", b"OK [CAPABILITY AUTH=LOGIN] ",
        b"x COMPRESS DEFLATE\r\n", b"y LOGIN ",
        b"OK [CAPABILITY ID AUTH=LOGIN] ", b"m5 OK ", b"250 XCLIENT ADDR", b"220 ready",
        b"250-AUTH LOGIN", b"250 AUTH LOGIN", b"250-STARTTLS", b"334 ", b"235 ", b"535 ", b"554 no",
        b"m2 OK ", b"m2 NO ", b"m2 NO [ALERT] ", b"* BYE ", b"* 1 FETCH {3}\r\n", b"\xff\x80",
        b'AUTHENTICATE "PLAIN"', b'AUTHENTICATE "LOGIN" ', b'"%b"' % PLAIN, b'"am9l"', b'"*"',
        b"CAPABILITY\r\n", b'PUTSCRIPT "a" ', b'RENAMESCRIPT "a"', b'NOOP "a"', b'OK "a"\r\n',
        b"OK\r\n", b"NO (TRYLATER)", b'"SASL" "PLAIN"\r\n', b'"SASL" "LOGIN"\r\n', b'"XCLIENT"\r\n',
        b"XCLIENT ADDR=192.0.2.1\r\n", b"STARTTLS\r\n", b'"STARTTLS"\r\n', b'BYE "a"\r\n',
    ]
)  # fmt: skip
JUNK = st.lists(WORDS | st.binary(max_size=12), max_size=40).map(b"".join)
CUTS = st.lists(st.integers(0, 600), max_size=8)


def pieces(octets: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(octets)) for cut in cuts), len(octets)]
    return [octets[start:end] for start, end in pairwise(edges)]


def ask(door: Door, parts: list[bytes]) -> list[DoorEvent | bytes]:
    """Every event; wrong credentials are told so at once, and the fourth login is right."""
    events: list[DoorEvent | bytes] = []
    logins = 0
    for part in parts:
        door.receive_data(part)
        while (event := door.next_event()) is not None:
            events.append(repr(event).encode() if isinstance(event, Offered) else event)
            if isinstance(event, Offered):
                logins += 1
                events.append(door.accepted(["X"]) if logins == 4 else door.wrong())
    return events


def converse(dialogue: Dialogue, parts: list[bytes]) -> list[DialogueEvent]:
    events: list[DialogueEvent] = []
    for part in parts:
        dialogue.receive_data(part)
        while (event := dialogue.next_event()) is not None:
            events.append(event)
    return events


def watch_over(watch: Watch, parts: list[bytes], *, backend: bool) -> tuple[bytes, bytes, str]:
    """What passes, what the watch answers by itself, and why the session ends."""
    passed = answered = b""
    for part in parts:
        try:
            passed += watch.from_backend(part) if backend else watch.from_client(part)
        except SecondLoginError as error:
            return passed, answered, str(error)
        answered += watch.answers()
    return passed, answered, ""


def passing_unread(watch: Watch, parts: list[bytes]) -> tuple[bytes, bytes, str]:
    """The same of the client's octets, but the watch is not shown what it need not see."""
    passed = answered = b""
    unread = 0
    for part in parts:
        rest = part
        while rest:
            passed += rest[:unread]
            rest, unread = rest[unread:], max(0, unread - len(rest))
            if not rest:
                break
            try:
                passed += watch.from_client(rest[:1])
            except SecondLoginError as error:
                return passed, answered, str(error)
            rest = rest[1:]
            answered += watch.answers()
            unread = watch.pass_unread()
    return passed, answered, ""


@pytest.mark.parametrize("make", DOORS.values(), ids=DOORS)
@given(octets=JUNK, cuts=CUTS)
def test_a_door_sees_the_same_however_the_bytes_are_cut(
    make: Callable[[], Door], octets: bytes, cuts: list[int]
) -> None:
    assert ask(make(), pieces(octets, cuts)) == ask(make(), [octets])


@pytest.mark.parametrize("make", DIALOGUES.values(), ids=DIALOGUES)
@given(octets=JUNK, cuts=CUTS)
def test_a_dialogue_says_the_same_however_the_bytes_are_cut(
    make: Callable[[], Dialogue], octets: bytes, cuts: list[int]
) -> None:
    # Whatever follows the answer is the relay's: how much of it is here depends on the cut.
    assert [repr(event).partition("leftover")[0] for event in converse(make(), [octets])] == [
        repr(event).partition("leftover")[0] for event in converse(make(), pieces(octets, cuts))
    ]


@pytest.mark.parametrize("backend", [True, False], ids=["backend", "client"])
@pytest.mark.parametrize("make", WATCHES.values(), ids=WATCHES)
@given(octets=JUNK, cuts=CUTS)
def test_a_watch_ends_a_session_at_the_same_place_however_the_bytes_are_cut(
    make: Callable[[], Watch], backend: bool, octets: bytes, cuts: list[int]
) -> None:
    whole, answered, why = watch_over(make(), [octets], backend=backend)
    cut, cut_answered, cut_why = watch_over(make(), pieces(octets, cuts), backend=backend)
    assert cut_why == why
    # What stood before the end of the session may have passed already, but nothing else.
    assert cut == whole or (why and cut.startswith(whole))
    assert cut_answered == answered or (why and cut_answered.startswith(answered))


@pytest.mark.parametrize("make", WATCHES.values(), ids=WATCHES)
@given(octets=JUNK, cuts=CUTS)
def test_a_watch_says_the_same_where_it_leaves_literals_unread(
    make: Callable[[], Watch], octets: bytes, cuts: list[int]
) -> None:
    whole, answered, why = watch_over(make(), [octets], backend=False)
    unread, unread_answered, unread_why = passing_unread(make(), pieces(octets, cuts))
    assert unread_why == why
    assert unread == whole or (why and unread.startswith(whole))
    assert unread_answered == answered or (why and unread_answered.startswith(answered))


@pytest.mark.parametrize("make", DOORS.values(), ids=DOORS)
@given(parts=st.lists(JUNK | st.integers(0, 30_000).map(lambda n: b"A" * n), max_size=8))
def test_junk_never_makes_a_door_hold_more_than_its_cap(
    make: Callable[[], Door], parts: list[bytes]
) -> None:
    door = make()
    for part in parts:
        door.receive_data(part)
        while door.next_event() is not None:
            pass
        assert held(door) <= MAX_HELD_OCTETS + 128  # the tag that the answer needs


def held(door: object) -> int:
    """All bytes inside a door, wherever they are kept."""
    found = 0
    seen: set[int] = set()
    waiting: list[object] = [door]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, bytes | bytearray):
            found += len(thing)
        elif isinstance(thing, list):
            waiting += thing
        elif type(thing).__module__.startswith("mailward.wire"):
            names = [*getattr(thing, "__dict__", {}), *getattr(thing, "__slots__", ())]
            own = [name for name in names if name not in {"_capabilities", "_keywords"}]
            waiting += [getattr(thing, name) for name in own]
    return found


@pytest.mark.parametrize("make", DOORS.values(), ids=DOORS)
def test_a_flood_behind_the_credentials_is_not_held_and_closes_after_the_answer(
    make: Callable[[], Door],
) -> None:
    door = make()
    match door:
        case SubmissionDoor():
            door.receive_data(b"EHLO c\r\nAUTH PLAIN " + PLAIN + b"\r\n")
        case ManageSieveDoor():
            door.receive_data(b'AUTHENTICATE "PLAIN" "%b"\r\n' % PLAIN)
        case _:
            door.receive_data(b"a LOGIN joe s3cret\r\n")
    while not isinstance(door.next_event(), Offered):
        pass
    for _ in range(100):
        door.receive_data(b"b NOOP\r\n" * 8_000)
        assert door.next_event() is None
        assert held(door) <= MAX_HELD_OCTETS + 100
    door.wrong()
    closing = door.next_event()
    assert isinstance(closing, Closing)
    assert closing.why == "too much sent ahead"
    assert held(door) < 100


def test_a_flood_behind_credentials_that_are_right_closes_too() -> None:
    door = imap_door()
    door.receive_data(b"a LOGIN joe s3cret\r\n" + b"b NOOP\r\n" * 8_000)
    assert isinstance(door.next_event(), Offered)
    door.accepted([])
    assert isinstance(door.next_event(), Closing)


def test_many_tiny_literals_cannot_pile_up() -> None:
    door = imap_door()
    door.receive_data(b"a ID (" + b"{0+}\r\n " * 5_000)
    closing = door.next_event()
    assert isinstance(closing, Closing)
    assert closing.why == "literal too large"


@pytest.mark.parametrize(
    ("watch", "head"),
    [
        (imap_session(), b"a APPEND INBOX {4294967295+}\r\n"),
        (light_imap_session(), b"a APPEND INBOX ~{4294967295+}\r\n"),
        (managesieve_session(), b'PUTSCRIPT "mine" {4294967295+}\r\n'),
    ],
)
def test_a_literal_of_4_gb_streams_through_a_session(watch: Watch, head: bytes) -> None:
    assert watch.from_client(head) == head
    block = b"b UNAUTHENTICATE\r\n" * 1_000
    for _ in range(20):
        assert watch.from_client(block) == block
