"""What is fuzzed: each parser with a driver that may raise nothing but what is documented.

A driver takes any octets. It asserts what holds for all of them, so that whoever throws octets at
it (Hypothesis in ``test_fuzz``, hours of it by ``at_length``) only has to look for an exception.
"""

from __future__ import annotations

import codecs
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path

from mailward.rules.addresses import AddressError, network_name, parse_address, parse_network
from mailward.rules.limits import LimitError, format_limit, parse_limit
from mailward.rules.logins import Naming
from mailward.rules.model import Instant
from mailward.rules.policy import Policy
from mailward.rules.subjects import SubjectError, subject_from_text
from mailward.settings.build import build, check_key
from mailward.settings.dialect import read_keys
from mailward.settings.errors import SettingsError
from mailward.settings.schema import SCHEMA
from mailward.wire.bearer import bearer_message, read_bearer
from mailward.wire.dialogue import (
    Accepted,
    Challenged,
    Dialogue,
    Origin,
    Probed,
    Rejected,
    SecondLoginError,
    Send,
    Unavailable,
    Upgrade,
    Watch,
)
from mailward.wire.door import (
    MAX_HELD_OCTETS,
    Acknowledged,
    BearerMechanism,
    BearerToken,
    Closing,
    Credentials,
    Door,
    Mechanism,
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
from mailward.wire.encoding import decode, from_sasl_name, to_sasl_name
from mailward.wire.imap.backend import ImapLogin
from mailward.wire.imap.door import ImapDoor
from mailward.wire.imap.watch import imap_watch
from mailward.wire.lines import literal_at_end
from mailward.wire.sasl import exchange_named
from mailward.wire.scram import (
    Fault,
    is_error,
    is_signature,
    read_client_final,
    read_client_first,
    server_nonce,
)
from mailward.wire.secret import Secret
from mailward.wire.smtp.backend import SmtpLogin
from mailward.wire.smtp.door import SubmissionDoor
from mailward.wire.smtp.watch import SubmissionWatch
from tests.wire.test_cuts import held

Driver = Callable[[bytes], None]
CORPUS = Path(__file__).parent / "corpus"

NOW = Instant(1_800_000_000.0)
MECHANISMS = ["PLAIN", "LOGIN", *(m.value for m in (*BearerMechanism, *ScramMechanism))]
ORIGIN = Origin((IPv4Address("203.0.113.9"), 50_000), (IPv4Address("192.0.2.1"), 143))
OPENINGS: tuple[Opening | None, ...] = (
    None,
    Credentials(Mechanism.LOGIN, b"joe", Secret(b"s3cret")),
    Credentials(Mechanism.PLAIN, b"joe", Secret(b"s3cret"), b"admin"),
    BearerToken(BearerMechanism.OAUTHBEARER, b"joe", Secret(b"t0k3n")),
    BearerToken(BearerMechanism.XOAUTH2, b"joe", Secret(b"t0k3n")),
    ScramOpening(ScramMechanism.SHA_256, b"user", b"rOprN", b"n,,n=user,r=rOprN"),
)


def corpus(name: str) -> list[bytes]:
    """The inputs in a corpus file: one a line, with the escapes of Python."""
    lines = (CORPUS / f"{name}.txt").read_text("ascii").splitlines()
    return [codecs.decode(line, "unicode_escape").encode("latin-1") for line in lines]


# -- wire ------------------------------------------------------------------------------------------


def in_pieces(octets: bytes) -> Iterator[bytes]:
    """As the network may bring it: all at once, or with a stop after each line."""
    if octets[:1] in b"aE*2":
        yield octets
    else:
        yield from octets.splitlines(keepends=True)


def knock(door: Door, octets: bytes) -> None:
    """A client says *octets*; every guess is wrong."""
    assert door.greeting().endswith(b"\r\n")
    for piece in in_pieces(octets):
        door.receive_data(piece)
        while (event := door.next_event()) is not None:
            match event:
                case Reply(reply) | Closing(reply):
                    assert reply == b"" or reply.endswith(b"\r\n")
                case Offered():
                    assert b"s3cret" not in repr(event).encode()
                    assert door.wrong().endswith(b"\r\n")
                case Opened(opening):
                    challenge = b"r=" + opening.nonce + b"srv,s=QUJD,i=4096"
                    assert door.challenge(challenge).endswith(b"\r\n")
                case Proved() | Acknowledged():
                    assert door.wrong().endswith(b"\r\n")
                case StartTls():
                    door.secured()
            if isinstance(event, Closing):
                return
        assert held(door) <= MAX_HELD_OCTETS + 100
    assert len(door.client_name) <= MAX_HELD_OCTETS


def imap_door(octets: bytes) -> None:
    knock(ImapDoor([f"AUTH={name}" for name in MECHANISMS], passwords=True, starttls=True), octets)


def submission_door(octets: bytes) -> None:
    offer = [f"AUTH {' '.join(MECHANISMS)}"]
    knock(SubmissionDoor(offer, hostname="mx", passwords=True, starttls=True), octets)


def answer(dialogue: Dialogue, octets: bytes) -> None:
    """A backend says *octets*."""
    answered = False
    for piece in in_pieces(octets):
        dialogue.receive_data(piece)
        while (event := dialogue.next_event()) is not None:
            assert not answered
            match event:
                case Send(sent):
                    assert sent.endswith(b"\r\n") or b"\r\n" in sent
                case Upgrade():
                    dialogue.upgraded()
                case Challenged(text):
                    assert text
                    dialogue.prove(ScramProof(Secret(b"c=biws,r=x,p=AA==")))
                case Accepted() | Rejected() | Unavailable() | Probed():
                    answered = True
        if answered:
            return
    dialogue.closed()


def imap_login(octets: bytes) -> None:
    for opening in OPENINGS:
        answer(ImapLogin(opening), octets)
        answer(ImapLogin(opening, starttls=True), octets)
        answer(ImapLogin(opening, origin=ORIGIN), octets)


def smtp_login(octets: bytes) -> None:
    for opening in OPENINGS:
        answer(SmtpLogin(opening, client_name=b"c.example"), octets)
        answer(SmtpLogin(opening, client_name=b"", starttls=True), octets)
        answer(SmtpLogin(opening, client_name=b"c", origin=ORIGIN), octets)


def pump(watch: Watch, octets: bytes, *, from_client: bool) -> None:
    """A session carries *octets*: no more than came goes on."""
    passed = b""
    with suppress(SecondLoginError):
        for piece in in_pieces(octets):
            passed += watch.from_client(piece) if from_client else watch.from_backend(piece)
    assert len(passed) <= len(octets)
    assert not from_client or octets.startswith(passed)


def imap_client(octets: bytes) -> None:
    watch = imap_watch(["UNAUTHENTICATE"])
    assert watch is not None
    pump(watch, octets, from_client=True)


def imap_backend(octets: bytes) -> None:
    watch = imap_watch(["UNAUTHENTICATE"])
    assert watch is not None
    watch.from_client(b"a IDLE\r\n")
    pump(watch, octets, from_client=False)


def submission_client(octets: bytes) -> None:
    pump(SubmissionWatch(takes_xclient=True), octets, from_client=True)


def submission_backend(octets: bytes) -> None:
    watch = SubmissionWatch()
    watch.from_client(b"EHLO c\r\n")
    pump(watch, octets, from_client=False)


def messages(octets: bytes) -> None:
    """Every reader of SASL messages, and what is read is written the same again."""
    assert decode(b64encode(octets)) == octets
    decode(octets)
    literal_at_end(octets)
    name = from_sasl_name(octets)
    assert name is None or from_sasl_name(to_sasl_name(name)) == name
    for bearer in BearerMechanism:
        read = read_bearer(bearer, octets)
        if isinstance(read, BearerToken):
            again = read_bearer(bearer, bearer_message(read))
            assert isinstance(again, BearerToken)
            assert (again.login, again.token.reveal()) == (read.login, read.token.reveal())
    for scram in ScramMechanism:
        is_signature(scram, octets)
        opening = read_client_first(scram, octets)
        if not isinstance(opening, Fault):
            assert opening.nonce in octets
        known = ScramOpening(scram, b"user", b"rOprN", b"n,,n=user,r=rOprN")
        nonce = server_nonce(known, octets)
        assert nonce is None or nonce.startswith(b"rOprN")
        read_client_final(known, b"rOprNsrv", octets)
    is_error(octets)
    for mechanism in MECHANISMS:
        exchange = exchange_named(mechanism.encode(), MECHANISMS)
        assert exchange is not None
        exchange.start(None)
        exchange.receive(b64encode(octets))
        exchange.receive(octets)


# -- settings --------------------------------------------------------------------------------------


def file(octets: bytes) -> None:
    """A configuration file: it is read, or every fault is told."""
    text = octets.decode("utf-8", "replace")
    with suppress(SettingsError):
        built = build(read_keys(text, "mail.toml"), {}, NOW, name="mail.toml")
        assert (built.configuration is None) == bool(built.file_faults)


def stored(octets: bytes) -> None:
    """A stored key and its value: what add-config takes a load takes too."""
    value = octets.decode("utf-8", "replace")
    for known in SCHEMA:
        key = known.pattern.replace("<name>", "n").replace("<id>", "n")
        with suppress(SettingsError):
            check_key(key, value)
        with suppress(SettingsError):
            check_key(f"{key}.{value}", "")
    build({}, {value: value, "server.security.fail2ban": value}, NOW)


def values(octets: bytes) -> None:
    """The readers of single values, and what they read is spelled so that it reads the same."""
    text = octets.decode("utf-8", "replace")
    with suppress(AddressError):
        parse_address(text)
    with suppress(AddressError):
        network = parse_network(text)
        assert parse_network(network_name(network)) == network
    with suppress(LimitError):
        limit = parse_limit(text)
        assert parse_limit(format_limit(limit)) == limit
    with suppress(SubjectError):
        subject_from_text(text, Policy())
    login = Naming().login(octets)
    assert login is None or Naming().login_from_text(login) == login


TARGETS: dict[str, tuple[Driver, str]] = {
    **{
        driver.__name__: (driver, driver.__name__)
        for driver in (
            imap_door,
            submission_door,
            imap_login,
            smtp_login,
            imap_client,
            imap_backend,
            submission_client,
            submission_backend,
            messages,
            file,
            values,
        )
    },
    "stored": (stored, "values"),
}
"""Each driver with the name of its corpus."""
