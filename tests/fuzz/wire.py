"""The fuzz drivers of wire: doors, dialogues, watches, passages and SASL messages."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address

from mailward.wire.bearer import bearer_message, read_bearer
from mailward.wire.dialogue import (
    MAX_BACKEND_LINE_OCTETS,
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
    Introduced,
    Mechanism,
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
from mailward.wire.encoding import decode, from_sasl_name, to_sasl_name
from mailward.wire.imap.backend import ImapLogin
from mailward.wire.imap.door import ImapDoor
from mailward.wire.imap.watch import imap_watch
from mailward.wire.lines import literal_at_end
from mailward.wire.managesieve.backend import ManageSieveLogin
from mailward.wire.managesieve.door import ManageSieveDoor
from mailward.wire.managesieve.watch import ManageSieveWatch
from mailward.wire.passage import Through, ToBackend, ToClient
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
from mailward.wire.smtp.arrival import SmtpArrival
from mailward.wire.smtp.backend import SmtpLogin
from mailward.wire.smtp.door import SubmissionDoor
from mailward.wire.smtp.passage import SmtpPassage
from mailward.wire.smtp.watch import SubmissionWatch
from tests.fuzz.timsieved import NEVER_TWICE, Timsieved
from tests.wire.test_cuts import held
from tests.wire.test_smtp_commands import SAFE, Server, converse

MECHANISMS = ["PLAIN", "LOGIN", *(m.value for m in (*BearerMechanism, *ScramMechanism))]
LITERAL = b"[192.0.2.7]"
ORIGIN = Origin((IPv4Address("203.0.113.9"), 50_000), (IPv4Address("192.0.2.1"), 143))
OPENINGS: tuple[Opening | None, ...] = (
    None,
    Credentials(Mechanism.LOGIN, b"joe", Secret(b"s3cret")),
    Credentials(Mechanism.PLAIN, b"joe", Secret(b"s3cret"), b"admin"),
    BearerToken(BearerMechanism.OAUTHBEARER, b"joe", Secret(b"t0k3n")),
    BearerToken(BearerMechanism.XOAUTH2, b"joe", Secret(b"t0k3n")),
    ScramOpening(ScramMechanism.SHA_256, b"user", b"rOprN", b"n,,n=user,r=rOprN"),
)


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
                case Introduced(reply) | Misnamed(reply):
                    assert reply.endswith(b"\r\n")
            if isinstance(event, Closing):
                return
        assert held(door) <= MAX_HELD_OCTETS + 100
    assert len(door.client_name) <= MAX_HELD_OCTETS


def imap_door(octets: bytes) -> None:
    offer = [f"AUTH={name}" for name in MECHANISMS]
    knock(ImapDoor(offer, passwords=True, starttls=True, believes=True), octets)


def submission_door(octets: bytes) -> None:
    offer = [f"AUTH {' '.join(MECHANISMS)}"]
    door = SubmissionDoor(offer, hostname="mx", passwords=True, starttls=True, believes=True)
    knock(door, octets)


def cross(octets: bytes, *, from_client: bool) -> None:
    """One side says *octets* at port 25, the other what is usual; nobody logs in."""
    machine = SmtpPassage(hostname="mx", starttls=True, literal=LITERAL)
    machine.connected((), b"220 mx\r\n" if from_client else b"")
    if not from_client:
        machine.from_client(b"EHLO c\r\n")
    for piece in in_pieces(octets):
        (machine.from_client if from_client else machine.from_backend)(piece)
        while (event := machine.next_event()) is not None:
            match event:
                case ToClient(told) | StartTls(told) | Closing(told):
                    assert told.endswith(b"\r\n")
                case ToBackend(sent):
                    assert sent.endswith(b"\r\n")
                    assert not sent.upper().startswith((b"AUTH", b"STARTTLS", b"X"))
                    machine.from_backend(b"250 ok\r\n" * from_client)
                case Through(passed):
                    assert from_client
                    assert passed.upper().startswith(b"MAIL")
                    assert octets.find(passed[:4]) >= 0
            if isinstance(event, StartTls):
                machine.secured()
            if isinstance(event, Closing | Through):
                return
        assert held(machine) <= MAX_HELD_OCTETS + MAX_BACKEND_LINE_OCTETS + 100


def smtp_passage_client(octets: bytes) -> None:
    cross(octets, from_client=True)


def smtp_passage_backend(octets: bytes) -> None:
    cross(octets, from_client=False)


def smtp_arrival(octets: bytes) -> None:
    answer(SmtpArrival(starttls=True, origin=None), octets)
    answer(SmtpArrival(starttls=False, origin=ORIGIN), octets)


def managesieve_door(octets: bytes) -> None:
    knock(ManageSieveDoor([f"SASL {' '.join(MECHANISMS)}"], passwords=True, starttls=True), octets)
    knock(ManageSieveDoor((), passwords=True, believes=True), octets)


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


def managesieve_login(octets: bytes) -> None:
    for opening in OPENINGS:
        answer(ManageSieveLogin(opening), octets)
        answer(ManageSieveLogin(opening, starttls=True), octets)
        answer(ManageSieveLogin(opening, origin=ORIGIN), octets)


def pump(watch: Watch, octets: bytes, *, from_client: bool) -> None:
    """A session carries *octets*: no more than came goes on."""
    passed = b""
    with suppress(SecondLoginError):
        for piece in in_pieces(octets):
            passed += watch.from_client(piece) if from_client else watch.from_backend(piece)
    assert len(passed) <= len(octets)
    assert not from_client or octets.startswith(passed)


def imap_client(octets: bytes) -> None:
    """No line that passes, if it is none of a literal, begins what would log in anew."""
    for listed in (["UNAUTHENTICATE"], ["IMAP4rev1"]):
        watch, passed = imap_watch(listed), b""
        with suppress(SecondLoginError):
            for piece in in_pieces(octets):
                passed += watch.from_client(piece)
                watch.from_backend(b"+ go on\r\n" * watch.is_waiting)
                passed += watch.released()
        assert len(passed) <= len(octets) + passed.count(b"X-REFUSED") * 9 + 9
        if b"{" not in octets:
            assert not re.search(rb"(?mi)^\S+ +(?:UNAUTHENTICATE|LOGIN|AUTHENTICATE)\b", passed)


def imap_backend(octets: bytes) -> None:
    for listed in (["UNAUTHENTICATE"], ["IMAP4rev1"]):
        watch = imap_watch(listed)
        watch.from_client(b"a IDLE\r\n")
        pump(watch, octets, from_client=False)


def submission_client(octets: bytes) -> None:
    """A client of a server that answers each command as it likes; none of them begins anew."""
    for takes_data in (True, False):
        server = Server(lenient=False, takes_data=takes_data)
        watch = SubmissionWatch(chunking=True, literal=LITERAL)
        converse(server, watch, list(in_pieces(octets)))
        assert set(server.verbs) <= SAFE


def submission_backend(octets: bytes) -> None:
    watch = SubmissionWatch(chunking=True, literal=LITERAL)
    watch.from_client(b"EHLO c\r\n")
    pump(watch, octets, from_client=False)


def managesieve_client(octets: bytes) -> None:
    """What passes is read without an error by the server that is most easily misled."""
    watch, passed = ManageSieveWatch(), b""
    with suppress(SecondLoginError):
        for piece in in_pieces(octets):
            passed += watch.from_client(piece)
            assert all(line.startswith(b"NO ") for line in watch.answers().splitlines())
    assert not {b"?", *NEVER_TWICE} & set(Timsieved(passed).commands())


def managesieve_backend(octets: bytes) -> None:
    watch = ManageSieveWatch()
    watch.from_client(b"CAPABILITY\r\nNOOP\r\n")
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
