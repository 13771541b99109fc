"""What a door decodes and a dialogue encodes is the same login and password, octet by octet."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailward.wire.dialogue import Accepted, Dialogue, Send
from mailward.wire.door import (
    MAX_LOGIN_OCTETS,
    MAX_PASSWORD_OCTETS,
    Credentials,
    Door,
    Mechanism,
    Offered,
    Reply,
)
from mailward.wire.imap.backend import ImapLogin
from mailward.wire.imap.door import ImapDoor
from mailward.wire.managesieve.backend import ManageSieveLogin
from mailward.wire.managesieve.door import ManageSieveDoor
from mailward.wire.secret import Secret
from mailward.wire.smtp.backend import SmtpLogin
from mailward.wire.smtp.door import SubmissionDoor

ALLOWED = st.integers(1, 255).map(lambda octet: bytes([octet]))
SPECIAL = st.sampled_from([b'"', b"\\", b"{3}", b"\r\n", b" ", b"(", b"*", b"a b", b"\xc3\xa9"])
NAMES = st.lists(ALLOWED | SPECIAL, min_size=1, max_size=300).map(b"".join)
SECRETS = NAMES | st.integers(1, MAX_PASSWORD_OCTETS).map(lambda count: b"\xe9" * count)
OFFERS = [
    "IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=LOGIN",
    "IMAP4rev1 AUTH=PLAIN LOGINDISABLED",
    "IMAP4rev1 AUTH=LOGIN LOGINDISABLED",
    "IMAP4rev1",
    "IMAP4rev1 LITERAL+",
    "IMAP4rev1 LITERAL-",
]
MECHANISMS = st.sampled_from(Mechanism)


class ImapServer:
    """A backend that lets everybody in: a door of ours with an offer of its own."""

    def __init__(self, offer: str) -> None:
        self.door: Door = ImapDoor((), passwords=True)
        self.opening = b"* OK [CAPABILITY %b] ready\r\n" % offer.encode()


class SmtpServer:
    def __init__(self, mechanisms: str) -> None:
        self.mechanisms = mechanisms.encode()
        self.door: Door = SubmissionDoor((), hostname="backend.example", passwords=True)
        self.opening = b"220 ready\r\n"


class ManageSieveServer:
    def __init__(self, mechanisms: str) -> None:
        self.door: Door = ManageSieveDoor((), passwords=True)
        self.opening = b'"SASL" "%b"\r\nOK\r\n' % mechanisms.encode()


Server = ImapServer | SmtpServer | ManageSieveServer


def log_in(dialogue: Dialogue, server: Server) -> tuple[Credentials, list[Send]]:
    """Carry *dialogue* to its end against *server*; what the server understood, what was sent."""
    understood: list[Credentials] = []
    sent: list[Send] = []
    dialogue.receive_data(server.opening)
    while (event := dialogue.next_event()) is not None:
        match event:
            case Send(octets):
                sent.append(event)
                server.door.receive_data(octets)
                for answer in answers(server, understood):
                    dialogue.receive_data(answer)
            case Accepted():
                assert len(understood) == 1
                return understood[0], sent
            case _:
                raise AssertionError(event)
    raise AssertionError("no answer")


def answers(server: Server, understood: list[Credentials]) -> Iterable[bytes]:
    while (event := server.door.next_event()) is not None:
        match event:
            case Offered(Credentials() as credentials):
                understood.append(credentials)
                yield server.door.accepted(("IMAP4rev1",))  # only IMAP says it
            case Reply(octets) if isinstance(server, SmtpServer):
                own = b"AUTH " + server.mechanisms + b"\r\n"
                yield octets.replace(b"AUTH PLAIN LOGIN\r\n", own)
            case Reply(octets):
                yield octets
            case _:
                raise AssertionError(event)


def same(got: Credentials, meant: Credentials) -> bool:
    return (got.login, got.password.reveal(), got.authorization) == (
        meant.login,
        meant.password.reveal(),
        meant.authorization,
    )


@pytest.mark.parametrize("offer", OFFERS)
@given(mechanism=MECHANISMS, login=NAMES, password=SECRETS)
def test_an_imap_backend_gets_what_the_client_meant(
    offer: str, mechanism: Mechanism, login: bytes, password: bytes
) -> None:
    meant = Credentials(mechanism, login, Secret(password))
    got, sent = log_in(ImapLogin(meant), ImapServer(offer))
    assert same(got, meant)
    assert [event.deciding for event in sent] == [False] * (len(sent) - 1) + [True]


@pytest.mark.parametrize("mechanisms", ["PLAIN", "LOGIN", "PLAIN LOGIN"])
@given(mechanism=MECHANISMS, login=NAMES, password=SECRETS)
def test_a_submission_backend_gets_what_the_client_meant(
    mechanisms: str, mechanism: Mechanism, login: bytes, password: bytes
) -> None:
    meant = Credentials(mechanism, login, Secret(password))
    got, sent = log_in(SmtpLogin(meant, client_name=b"c.example"), SmtpServer(mechanisms))
    assert same(got, meant)
    assert [event.deciding for event in sent] == [False] * (len(sent) - 1) + [True]
    assert all(len(event.octets) <= 512 for event in sent if event.octets.startswith(b"AUTH"))


@pytest.mark.parametrize("mechanisms", ["PLAIN", "LOGIN", "PLAIN LOGIN"])
@given(mechanism=MECHANISMS, login=NAMES, password=SECRETS)
def test_a_managesieve_backend_gets_what_the_client_meant(
    mechanisms: str, mechanism: Mechanism, login: bytes, password: bytes
) -> None:
    meant = Credentials(mechanism, login, Secret(password))
    got, sent = log_in(ManageSieveLogin(meant), ManageSieveServer(mechanisms))
    assert same(got, meant)
    assert [event.deciding for event in sent] == [False] * (len(sent) - 1) + [True]


@given(login=NAMES, password=NAMES, authorization=NAMES)
def test_an_authorization_identity_is_carried_in_plain(
    login: bytes, password: bytes, authorization: bytes
) -> None:
    meant = Credentials(Mechanism.PLAIN, login, Secret(password), authorization)
    assert same(log_in(ImapLogin(meant), ImapServer(OFFERS[0]))[0], meant)
    dialogue = SmtpLogin(meant, client_name=b"c.example")
    assert same(log_in(dialogue, SmtpServer("LOGIN PLAIN"))[0], meant)
    assert same(log_in(ManageSieveLogin(meant), ManageSieveServer("LOGIN PLAIN"))[0], meant)


@pytest.mark.parametrize(
    ("login", "password", "is_taken"),
    [
        (MAX_LOGIN_OCTETS, MAX_PASSWORD_OCTETS, True),
        (MAX_LOGIN_OCTETS + 1, 1, False),
        (1, MAX_PASSWORD_OCTETS + 1, False),
    ],
)
def test_names_and_passwords_are_taken_up_to_their_caps(
    login: int, password: int, is_taken: bool
) -> None:
    message = b64encode(b"\0" + b"n" * login + b"\0" + b"p" * password)
    for door, command, quote in (
        (ImapDoor((), passwords=True), b"a AUTHENTICATE PLAIN\r\n", b""),
        (SubmissionDoor((), hostname="m", passwords=True), b"EHLO c\r\nAUTH PLAIN\r\n", b""),
        (ManageSieveDoor((), passwords=True), b'AUTHENTICATE "PLAIN"\r\n', b'"'),
    ):
        door.receive_data(command + quote + message + quote + b"\r\n")
        events = []
        while (event := door.next_event()) is not None:
            events.append(event)
        assert isinstance(events[-1], Offered) is is_taken
