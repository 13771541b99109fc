"""The mechanisms through door and dialogue: cuts, junk, secrets, and both machines together."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailward.wire.dialogue import (
    Accepted,
    Challenged,
    Dialogue,
    DialogueEvent,
    Probed,
    Rejected,
    Send,
    Unavailable,
    Upgrade,
)
from mailward.wire.door import (
    Acknowledged,
    BearerMechanism,
    BearerToken,
    Closing,
    Door,
    Introduced,
    Misnamed,
    Offered,
    Opened,
    Opening,
    Proved,
    Reply,
    ScramMechanism,
    ScramOpening,
    ScramProof,
    StartTls,
)
from mailward.wire.imap.backend import ImapLogin
from mailward.wire.imap.door import ImapDoor
from mailward.wire.managesieve.backend import ManageSieveLogin
from mailward.wire.managesieve.door import ManageSieveDoor
from mailward.wire.secret import Secret
from mailward.wire.smtp.backend import SmtpLogin
from mailward.wire.smtp.door import SubmissionDoor

OFFERED = [*(m.value for m in ScramMechanism), *(m.value for m in BearerMechanism)]
CAPABILITIES = ["IMAP4rev1", *(f"AUTH={name}" for name in OFFERED)]
KEYWORDS = [f"AUTH {' '.join(OFFERED)}"]
SIEVE = [f"SASL {' '.join(OFFERED)}"]

# RFC 7677 section 3.
NONCE = b"rOprNGfwEbeRWgbNEkqO"
BOTH = NONCE + b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
FIRST = b"n,,n=user,r=" + NONCE
CHALLENGE = b"r=" + BOTH + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
PROOF = b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
FINAL = b"c=biws,r=" + BOTH + b"," + PROOF
SIGNATURE = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
OPENING = ScramOpening(ScramMechanism.SHA_256, b"user", NONCE, FIRST)
TOKEN = b"correcthorse-token"


def imap_door() -> Door:
    return ImapDoor(CAPABILITIES, passwords=True)


def submission_door() -> Door:
    door = SubmissionDoor(KEYWORDS, hostname="mail.example.org", passwords=True)
    door.receive_data(b"EHLO c.example\r\n")
    door.next_event()
    return door


def managesieve_door() -> Door:
    return ManageSieveDoor(SIEVE, passwords=True)


def bearer(mechanism: BearerMechanism) -> BearerToken:
    return BearerToken(mechanism, b"user", Secret(TOKEN))


DOORS: dict[str, Callable[[], Door]] = {
    "imap": imap_door,
    "submission": submission_door,
    "managesieve": managesieve_door,
}
DIALOGUES: dict[str, Callable[[Opening], Dialogue]] = {
    "imap": ImapLogin,
    "submission": lambda opening: SmtpLogin(opening, client_name=b"c.example"),
    "managesieve": ManageSieveLogin,
}
GREETINGS = {
    "imap": b"* OK [CAPABILITY %b] x\r\n" % " ".join(CAPABILITIES).encode(),
    "submission": b"220 x\r\n",
    "managesieve": b'"SASL" "%b"\r\nOK\r\n' % " ".join(OFFERED).encode(),
}
OPENINGS = [OPENING, *map(bearer, BearerMechanism)]

DOOR_WORDS = st.sampled_from(
    [b"a AUTHENTICATE SCRAM-SHA-256 ", b"AUTH SCRAM-SHA-256 ", b"a AUTHENTICATE XOAUTH2 ",
     b"AUTH OAUTHBEARER", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b64encode(FIRST), b64encode(FINAL),
     b64encode(b"user=joe\1auth=Bearer abc\1\1"), b"*", b"=", b" ", b"a NOOP", b"\xff",
     b'AUTHENTICATE "SCRAM-SHA-256" ', b'AUTHENTICATE "XOAUTH2"', b'"%b"' % b64encode(FIRST),
     b'"%b"' % b64encode(FINAL), b"{3+}"]
)  # fmt: skip
BACKEND_WORDS = st.sampled_from(
    [b"* OK [CAPABILITY SASL-IR AUTH=SCRAM-SHA-256 AUTH=XOAUTH2] x", b"220 x", b"250 AUTH XOAUTH2",
     b"250 AUTH SCRAM-SHA-256", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"+ ", b"334 ",
     b64encode(CHALLENGE), b64encode(SIGNATURE), b64encode(b"e=invalid-proof"), b"m2 OK x",
     b"m2 NO x", b"m2 BAD x", b"* BYE x", b"235 x", b"535 x", b"501 x", b"\xff",
     b'"SASL" "SCRAM-SHA-256 XOAUTH2"', b"OK", b'"%b"' % b64encode(CHALLENGE), b"NO",
     b'OK (SASL "%b")' % b64encode(SIGNATURE)]
)  # fmt: skip
CUTS = st.lists(st.integers(0, 600), max_size=8)


def junk(words: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.lists(words | st.binary(max_size=6), max_size=24).map(b"".join)


def pieces(octets: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(octets)) for cut in cuts), len(octets)]
    return [octets[start:end] for start, end in pairwise(edges)]


def ask(door: Door, parts: list[bytes]) -> Iterator[bytes]:
    """All that the door does: challenged once, every proof is right, every token wrong."""
    for part in parts:
        door.receive_data(part)
        while (event := door.next_event()) is not None:
            yield repr(event).encode()
            match event:
                case Opened():
                    yield door.challenge(CHALLENGE)
                case Proved():
                    yield door.challenge(SIGNATURE)
                case Acknowledged():
                    yield door.accepted(["X"])
                case Offered():
                    yield door.wrong()
                case Reply() | Closing() | StartTls() | Introduced() | Misnamed():
                    pass


def converse(dialogue: Dialogue, parts: list[bytes]) -> Iterator[DialogueEvent]:
    for part in parts:
        dialogue.receive_data(part)
        while (event := dialogue.next_event()) is not None:
            yield event
            if isinstance(event, Challenged):
                dialogue.prove(ScramProof(Secret(FINAL)))


@pytest.mark.parametrize("make", DOORS.values(), ids=DOORS)
@given(octets=junk(DOOR_WORDS), cuts=CUTS)
def test_a_door_sees_the_same_however_the_bytes_are_cut(
    make: Callable[[], Door], octets: bytes, cuts: list[int]
) -> None:
    assert [*ask(make(), pieces(octets, cuts))] == [*ask(make(), [octets])]


@pytest.mark.parametrize("opening", OPENINGS, ids=lambda opening: opening.mechanism.value)
@pytest.mark.parametrize("make", DIALOGUES.values(), ids=DIALOGUES)
@given(octets=junk(BACKEND_WORDS), cuts=CUTS)
def test_a_dialogue_says_the_same_however_the_bytes_are_cut(
    make: Callable[[Opening], Dialogue], opening: Opening, octets: bytes, cuts: list[int]
) -> None:
    # Whatever follows the answer is the relay's: how much of it is here depends on the cut.
    assert [
        repr(event).partition("leftover")[0]
        for event in converse(make(opening), pieces(octets, cuts))
    ] == [repr(event).partition("leftover")[0] for event in converse(make(opening), [octets])]


@pytest.mark.parametrize("opening", OPENINGS, ids=lambda opening: opening.mechanism.value)
@pytest.mark.parametrize("make", DIALOGUES.values(), ids=DIALOGUES)
@given(octets=junk(BACKEND_WORDS))
def test_nothing_is_called_wrong_or_right_that_the_backend_was_not_sent(
    make: Callable[[Opening], Dialogue], opening: Opening, octets: bytes
) -> None:
    sent: list[Send] = []
    for event in converse(make(opening), [octets]):
        match event:
            case Send():
                sent.append(event)
            case Accepted():
                assert any(send.deciding for send in sent)
            case Rejected():
                assert any(send.deciding or send.opening for send in sent)
            case Upgrade() | Challenged() | Unavailable() | Probed():
                pass


@pytest.mark.parametrize("kind", DOORS)
@pytest.mark.parametrize("opening", OPENINGS, ids=lambda opening: opening.mechanism.value)
def test_a_backend_gets_what_the_client_meant(kind: str, opening: Opening) -> None:
    """A door of ours stands for the backend, one exchange through."""
    dialogue, backend = DIALOGUES[kind](opening), DOORS[kind]()
    dialogue.receive_data(GREETINGS[kind])
    got: list[object] = []
    while True:
        match event := dialogue.next_event():
            case Send(octets):
                backend.receive_data(octets)
                for reply in let_in(backend, got):
                    dialogue.receive_data(reply)
            case Challenged(text):
                assert text == CHALLENGE
                dialogue.prove(ScramProof(Secret(FINAL)))
            case Accepted(signature=signature):
                is_scram = isinstance(opening, ScramOpening)
                assert signature == (SIGNATURE if is_scram else b"")
                break
            case _:
                raise AssertionError(event)
    match opening, got:
        case BearerToken(login=login), [BearerToken() as offered]:
            assert (offered.login, offered.token.reveal()) == (login, TOKEN)
        case ScramOpening(), [ScramOpening() as opened, ScramProof() as proof]:
            assert opened == opening
            assert proof.text.reveal() == FINAL
        case _:
            raise AssertionError(got)


def let_in(backend: Door, got: list[object]) -> Iterator[bytes]:
    while (event := backend.next_event()) is not None:
        match event:
            case Reply(octets):
                yield octets
            case Offered(credentials):
                got.append(credentials)
                yield backend.accepted(["IMAP4rev1"])
            case Opened(opening):
                got.append(opening)
                yield backend.challenge(CHALLENGE)
            case Proved(proof):
                got.append(proof)
                yield backend.challenge(SIGNATURE)
            case Acknowledged():
                yield backend.accepted(["IMAP4rev1"])
            case Closing() | StartTls() | Introduced() | Misnamed():
                raise AssertionError(event)


def begin(door: Door, mechanism: bytes) -> bytes:
    """The command that begins an exchange."""
    match door:
        case ImapDoor():
            return b"a AUTHENTICATE " + mechanism
        case ManageSieveDoor():
            return b'AUTHENTICATE "%b"' % mechanism
        case _:
            return b"AUTH " + mechanism


@pytest.mark.parametrize("make", DOORS.values(), ids=DOORS)
@pytest.mark.parametrize("mechanism", BearerMechanism)
def test_no_door_shows_a_token(make: Callable[[], Door], mechanism: BearerMechanism) -> None:
    message = b"user=joe\1auth=Bearer " + TOKEN + b"\1\1"
    if mechanism is BearerMechanism.OAUTHBEARER:
        message = b"n,a=joe,\1auth=Bearer " + TOKEN + b"\1\1"
    door = make()
    command = begin(door, mechanism.value.encode())
    for line in (command, b64encode(message) + b"=", command, b64encode(message)):
        door.receive_data(line + b"\r\n")
        assert_hidden(door, message)
        while (event := door.next_event()) is not None:
            assert_hidden(event, message)


@pytest.mark.parametrize("make", DOORS.values(), ids=DOORS)
def test_no_door_shows_a_proof(make: Callable[[], Door]) -> None:
    door = make()
    quote = b'"' if isinstance(door, ManageSieveDoor) else b""
    first, final = (quote + b64encode(message) + quote for message in (FIRST, FINAL))
    door.receive_data(begin(door, b"SCRAM-SHA-256") + b" " + first + b"\r\n")
    assert isinstance(door.next_event(), Opened)
    door.challenge(CHALLENGE)
    door.receive_data(final + b"\r\n")
    event = door.next_event()
    assert isinstance(event, Proved)
    for thing in (door, event, event.proof):
        assert_hidden(thing, PROOF)


@pytest.mark.parametrize("opening", OPENINGS, ids=lambda opening: opening.mechanism.value)
@pytest.mark.parametrize("kind", DIALOGUES)
def test_no_dialogue_shows_a_token_or_a_proof(kind: str, opening: Opening) -> None:
    dialogue = DIALOGUES[kind](opening)
    heard = {
        "imap": b"* OK [CAPABILITY %b] x\r\n+ \r\n+ %b\r\nm2 NO x\r\n",
        "submission": b"220 x\r\n250-x\r\n250 %b\r\n334 %b\r\n535 no\r\n",
        "managesieve": b'"SASL" "%b"\r\nOK\r\n"%b"\r\nNO\r\n',
    }[kind]
    offer = {"imap": CAPABILITIES, "submission": KEYWORDS, "managesieve": OFFERED}[kind]
    for event in converse(dialogue, [heard % (" ".join(offer).encode(), b64encode(CHALLENGE))]):
        assert_hidden(event, PROOF)
        assert_hidden(event, TOKEN)
    assert_hidden(dialogue, TOKEN)


def assert_hidden(thing: object, secret: bytes) -> None:
    """Nothing in *thing* prints *secret*, in base64 or as it is."""
    text = "\n".join(inside(thing))
    assert secret.decode("latin-1") not in text
    assert TOKEN.decode() not in text
    assert b64encode(secret).decode().rstrip("=")[:-1] not in text


def inside(thing: object, depth: int = 6) -> Iterator[str]:
    yield repr(thing)
    names = [*getattr(thing, "__dict__", {}), *getattr(type(thing), "__slots__", ())]
    if depth and type(thing).__module__.startswith("mailward") and not isinstance(thing, Secret):
        for name in names:
            value = getattr(thing, name, None)
            if type(value).__module__.startswith("mailward"):
                yield from inside(value, depth - 1)
