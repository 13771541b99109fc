"""A password is in no repr of any machine, event or error."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator

import pytest

from mailward.wire.dialogue import Dialogue
from mailward.wire.door import Credentials, Door, Mechanism, Offered
from mailward.wire.imap.backend import ImapLogin
from mailward.wire.imap.door import ImapDoor
from mailward.wire.managesieve.backend import ManageSieveLogin
from mailward.wire.managesieve.door import ManageSieveDoor
from mailward.wire.secret import Secret
from mailward.wire.smtp.backend import SmtpLogin
from mailward.wire.smtp.door import SubmissionDoor

PASSWORD = b"correcthorse"
PLAIN = b64encode(b"\0joe\0" + PASSWORD)
ENCODED = b64encode(PASSWORD)


def inside(thing: object, depth: int = 6) -> Iterator[str]:
    """The reprs of *thing* and of everything it is made of, as a crash report would print them."""
    yield repr(thing)
    names = [*getattr(thing, "__dict__", {}), *getattr(type(thing), "__slots__", ())]
    if depth and type(thing).__module__.startswith("mailward") and not isinstance(thing, Secret):
        for name in names:
            value = getattr(thing, name, None)
            if type(value).__module__.startswith("mailward"):
                yield from inside(value, depth - 1)


def shows_password(thing: object) -> bool:
    return any(
        secret.decode() in text for text in inside(thing) for secret in (PASSWORD, ENCODED, PLAIN)
    )


@pytest.mark.parametrize(
    ("door", "spoken"),
    [
        (ImapDoor((), passwords=True), [b"a LOGIN joe " + PASSWORD]),
        (ImapDoor((), passwords=True), [b"a LOGIN joe {12}", PASSWORD]),
        (ImapDoor((), passwords=True), [b"a LOGIN joe {12}", PASSWORD + b" more"]),
        (ImapDoor((), passwords=True), [b"a LOGIN joe " + PASSWORD + b" more"]),
        (ImapDoor((), passwords=True), [b"a LOGIN joe {4294967295+}", PASSWORD]),
        (ImapDoor((), passwords=False), [b"a LOGIN joe " + PASSWORD]),
        (ImapDoor((), passwords=True), [b"a AUTHENTICATE PLAIN " + PLAIN]),
        (ImapDoor((), passwords=True), [b"a AUTHENTICATE PLAIN " + PLAIN + b"="]),
        (ImapDoor((), passwords=True), [b"a AUTHENTICATE LOGIN", b"am9l", ENCODED]),
        (ImapDoor((), passwords=True), [ENCODED, PLAIN, PASSWORD]),
        (ImapDoor((), passwords=True), [b"a AUTHENTICATE PLAIN", PLAIN + b"\n"]),
        (SubmissionDoor((), hostname="m", passwords=True), [b"EHLO c", b"AUTH PLAIN " + PLAIN]),
        (SubmissionDoor((), hostname="m", passwords=True), [b"EHLO c", b"AUTH PLAIN", PLAIN]),
        (SubmissionDoor((), hostname="m", passwords=True), [b"EHLO c", b"AUTH LOGIN =", ENCODED]),
        (
            SubmissionDoor((), hostname="m", passwords=True),
            [b"EHLO c", b"AUTH LOGIN", b"am9l", ENCODED],
        ),
        (SubmissionDoor((), hostname="m", passwords=True), [ENCODED, PASSWORD]),
        (ManageSieveDoor((), passwords=True), [b'AUTHENTICATE "PLAIN" "%b"' % PLAIN]),
        (ManageSieveDoor((), passwords=True), [b'AUTHENTICATE "PLAIN" "%b" x' % PLAIN]),
        (ManageSieveDoor((), passwords=True), [b'AUTHENTICATE "PLAIN" {28+}', PLAIN]),
        (ManageSieveDoor((), passwords=True), [b'AUTHENTICATE "PLAIN" {29+}', PLAIN]),
        (ManageSieveDoor((), passwords=True), [b'AUTHENTICATE "PLAIN"', b'"%b"' % PLAIN]),
        (ManageSieveDoor((), passwords=True), [b'AUTHENTICATE "PLAIN"', PLAIN, PASSWORD]),
        (
            ManageSieveDoor((), passwords=True),
            [b'AUTHENTICATE "LOGIN"', b'"am9l"', b"{16+}", ENCODED],
        ),
        (ManageSieveDoor((), passwords=False), [b'AUTHENTICATE "PLAIN" "%b"' % PLAIN]),
    ],
)
def test_no_door_shows_a_password(door: Door, spoken: list[bytes]) -> None:
    for line in spoken:
        door.receive_data(line + b"\r\n")
        assert not shows_password(door)
        while (event := door.next_event()) is not None:
            assert not shows_password(event)
            assert not shows_password(door)
            if isinstance(event, Offered):
                assert isinstance(event.credentials, Credentials)
                assert event.credentials.password.reveal() == PASSWORD


@pytest.mark.parametrize("mechanism", Mechanism)
@pytest.mark.parametrize(
    "offer", [b"AUTH=PLAIN SASL-IR LOGINDISABLED", b"AUTH=LOGIN LOGINDISABLED", b"LITERAL+", b"X"]
)
def test_no_imap_dialogue_shows_a_password(mechanism: Mechanism, offer: bytes) -> None:
    dialogue = ImapLogin(Credentials(mechanism, b"joe", Secret(PASSWORD)))
    heard = [b"* OK [CAPABILITY %b] ready" % offer, b"+ ", b"+ ", b"+ "]
    assert_dialogue_keeps_it(dialogue, heard)


@pytest.mark.parametrize("mechanism", Mechanism)
@pytest.mark.parametrize("offer", [b"AUTH PLAIN", b"AUTH LOGIN", b"SIZE"])
def test_no_submission_dialogue_shows_a_password(mechanism: Mechanism, offer: bytes) -> None:
    dialogue = SmtpLogin(Credentials(mechanism, b"joe", Secret(PASSWORD)), client_name=b"c.example")
    assert_dialogue_keeps_it(dialogue, [b"220 ready", b"250-m\r\n250 " + offer, b"334 ", b"334 "])


@pytest.mark.parametrize("mechanism", [Mechanism.PLAIN, Mechanism.LOGIN])
@pytest.mark.parametrize("offer", [b"PLAIN", b"LOGIN", b""])
def test_no_managesieve_dialogue_shows_a_password(mechanism: Mechanism, offer: bytes) -> None:
    dialogue = ManageSieveLogin(Credentials(mechanism, b"joe", Secret(PASSWORD)))
    assert_dialogue_keeps_it(dialogue, [b'"SASL" "%b"\r\nOK' % offer, b'""', b'""'])


def assert_dialogue_keeps_it(dialogue: Dialogue, heard: list[bytes]) -> None:
    for line in heard:
        dialogue.receive_data(line + b"\r\n")
        while (event := dialogue.next_event()) is not None:
            assert not shows_password(event)
            assert not shows_password(dialogue)
    assert not shows_password(dialogue.closed())
