"""The machine of submission after login, for transcripts."""

from __future__ import annotations

from mailward_mailbox.accounts.file import Account
from mailward_mailbox.delivery.delivery import NO_RELAY, NOBODY
from mailward_mailbox.delivery.envelope import (
    Delivered,
    Elsewhere,
    Here,
    Recipient,
    Refused,
)
from mailward_mailbox.room import Room
from mailward_mailbox.submission.session import SubmissionSession, Submitted

from mailward.wire.door import Closing, Reply
from tests.wire.stage import Stage, to_octets, to_text

MAX_OCTETS = 100


def find(address: str) -> Recipient | Refused:
    """Everybody at here.example has an account but nobody@; others are reached by a relay."""
    local, _, domain = address.rpartition("@")
    match domain:
        case "here.example":
            account = Account(local, local, "", None)
            return NOBODY if local == "nobody" else Here(address, account)
        case "there.example":
            return Elsewhere(address)
        case _:
            return NO_RELAY


class SubmissionStage(Stage):
    fed, said = "C", "S"

    def __init__(self, room_octets: int) -> None:
        self.room = Room(room_octets)
        self.session = SubmissionSession("mail.example.org", b"me", find, MAX_OCTETS, self.room)

    def opening(self) -> list[str]:
        return []

    def feed(self, octets: bytes) -> list[str]:
        self.session.receive_data(octets)
        shown = []
        while (event := self.session.next_event()) is not None:
            match event:
                case Reply(reply):
                    shown += self.say(reply)
                case Submitted(envelope, content, client_name):
                    to = " ".join(recipient.address for recipient in envelope.recipients)
                    utf8 = " in UTF-8" if envelope.is_utf8 else ""
                    shown.append(f"E: {client_name.decode()}: <{envelope.sender}> to {to}{utf8}")
                    shown += [f"E: | {text}" for text in to_text(content.take())]
                case Closing(reply):
                    shown += [*self.say(reply), "E: Closing"]
        return shown

    def tell(self, word: str, arguments: list[str]) -> list[str]:
        match word:
            case "delivered":
                reply = self.session.settled(Delivered(), arguments[0])
            case "refused":
                code, status, *why = arguments
                text = to_octets(" ".join(why) + "\\c").decode()
                reply = self.session.settled(Refused(int(code), status, text), "")
            case "silent":
                reply = self.session.timed_out()
            case _:
                reply = self.session.locked_out()
        return self.say(reply) + self.feed(b"")
