"""The fuzz drivers of the embedded mail server: sessions after login, and scripts."""

from __future__ import annotations

from contextlib import suppress

from mailward_mailbox.delivery.envelope import Delivered, Elsewhere
from mailward_mailbox.managesieve.commands import STRINGS, Command, Commands, Malformed
from mailward_mailbox.room import Room
from mailward_mailbox.sieve.parser import parse
from mailward_mailbox.sieve.run import Filed, Rejected, RunError, decide
from mailward_mailbox.sieve.tokens import SieveError
from mailward_mailbox.submission.session import SubmissionSession, Submitted

from mailward.wire.door import Closing, Reply
from mailward.wire.lines import LineError

MAX_OCTETS = 64
_ROOM_OCTETS = 256
_MESSAGE = (
    b"From: a@b\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\nContent-Type: multipart/mixed; boundary=b\r\n"
    b"\r\n--b\r\n\r\nbody\r\n--b--\r\n"
)


def embedded_submission(octets: bytes) -> None:
    """However they are cut, the same is said, and all room is given back."""
    whole, pieces = _submit(octets, len(octets) or 1), _submit(octets, 1)
    assert whole == pieces


def _submit(octets: bytes, size: int) -> list[bytes]:
    room = Room(_ROOM_OCTETS)
    session = SubmissionSession("mx.example", b"me", Elsewhere, MAX_OCTETS, room)
    said: list[bytes] = []
    for at in range(0, len(octets), size):
        session.receive_data(octets[at : at + size])
        while (event := session.next_event()) is not None:
            match event:
                case Reply(reply) | Closing(reply):
                    assert reply.endswith(b"\r\n")
                    said.append(reply)
                case Submitted(envelope, content):
                    message = content.take()
                    assert envelope.recipients
                    assert len(message) <= MAX_OCTETS
                    assert message.count(b"\r") == message.count(b"\n") == message.count(b"\r\n")
                    said += [message, session.settled(Delivered(), "7")]
    session.close()
    assert room.take(_ROOM_OCTETS)
    return said


def embedded_managesieve(octets: bytes) -> None:
    """However they are cut, the same commands come of them, each with its arguments."""
    assert _commands(octets, len(octets) or 1) == _commands(octets, 1)


def _commands(octets: bytes, size: int) -> list[Command | Malformed | str]:
    commands = Commands()
    found: list[Command | Malformed | str] = []
    for at in range(0, len(octets), size):
        commands.receive_data(octets[at : at + size])
        try:
            while (command := commands.next()) is not None:
                if isinstance(command, Command):
                    least, most = STRINGS[command.name]
                    assert least <= len(command.strings) <= most
                found.append(command)
        except LineError as error:
            return [*found, str(error)]
    return found


def sieve_script(octets: bytes) -> None:
    """What can be read can be run, or says why not."""
    with suppress(SieveError):
        parse(octets)
        with suppress(RunError):
            match decide(octets, "a@b", "c@d", _MESSAGE):
                case Filed(mailboxes):
                    assert len(set(mailboxes)) == len(mailboxes)
                case Rejected():
                    pass


def sieve_message(octets: bytes) -> None:
    """No message breaks a script."""
    script = (
        b'require ["body", "envelope"]; if anyof (header :matches ["subject", "from"] "*a?b*",'
        b' address :domain "from" "b", exists "x", size :over 1M, body :contains "zzz",'
        b' body :content "text" "q", body :raw :is "r") { discard; }'
    )
    with suppress(RunError):
        decide(script, "a@b", "c@d", octets)
