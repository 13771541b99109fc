"""Plays transcripts: text files with what one side says and what a machine makes of it.

The first line names the machine. Then, in order of time::

    C: what the client says          S: what the server says
    D: what the driver tells the machine (wrong, later, accepted CAPABILITY..., leftover,
       closed, upgraded, challenge TEXT, prove TEXT) or asks it (name)
    E: an event of the machine, for the driver
    # a remark

One of C and S is fed to the machine, the other one is what it must say. A line ends with CRLF
unless ``\\c`` stands at its end; ``\\xNN``, ``\\r``, ``\\n`` and ``\\\\`` are octets, and
``${A*9000}`` is A 9000 times.
"""

from __future__ import annotations

import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TypedDict

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
    ScramProof,
    StartTls,
)
from mailward.wire.imap.backend import ImapLogin
from mailward.wire.imap.door import ImapDoor
from mailward.wire.imap.watch import imap_watch
from mailward.wire.scram import Fault, read_client_first
from mailward.wire.secret import Secret
from mailward.wire.smtp.backend import SmtpLogin
from mailward.wire.smtp.door import SubmissionDoor, takes_xclient
from mailward.wire.smtp.watch import SubmissionWatch

TRANSCRIPTS = Path(__file__).parent.parent / "transcripts"
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})|\\([rn\\])")
_REPEATED = re.compile(r"\$\{(.+?)\*([0-9]+)\}")
_NAMED = {"r": "\r", "n": "\n", "\\": "\\"}


@dataclass
class Script:
    machine: str
    lines: list[str] = field(default_factory=list)


def read_scripts(path: Path) -> Iterator[Script]:
    """The scripts of one file; each begins with its machine, in brackets."""
    script: Script | None = None
    for line in path.read_text("utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        whole = _REPEATED.sub(lambda found: found[1] * int(found[2]), line)
        if whole.startswith("["):
            if script is not None:
                yield script
            script = Script(whole.strip("[]"))
        elif script is not None:
            script.lines.append(whole)
    if script is not None:
        yield script


def to_octets(text: str) -> bytes:
    def replace(found: re.Match[str]) -> str:
        return chr(int(found[1], 16)) if found[1] else _NAMED[found[2]]

    ending = "" if text.endswith("\\c") else "\r\n"
    return (_ESCAPE.sub(replace, text.removesuffix("\\c")) + ending).encode("latin-1")


def to_text(octets: bytes) -> list[str]:
    """One text for each line of *octets*, as a transcript shows it."""
    texts = []
    for piece in octets.splitlines(keepends=True) if octets else []:
        body, ending = (piece[:-2], "") if piece.endswith(b"\r\n") else (piece, "\\c")
        texts.append("".join(map(_shown, body)) + ending)
    return texts


def _shown(octet: int) -> str:
    if octet in b"\r\n\\":
        return {0x0D: "\\r", 0x0A: "\\n", 0x5C: "\\\\"}[octet]
    return chr(octet) if 0x20 <= octet < 0x7F else f"\\x{octet:02x}"


class Stage(ABC):
    """A machine with its script: who is fed, and what is shown."""

    fed: str
    said: str

    @abstractmethod
    def opening(self) -> list[str]: ...

    @abstractmethod
    def feed(self, octets: bytes) -> list[str]: ...

    @abstractmethod
    def tell(self, word: str, arguments: list[str]) -> list[str]: ...

    def say(self, octets: bytes) -> list[str]:
        return [f"{self.said}: {text}" for text in to_text(octets)]


class DoorStage(Stage):
    fed, said = "C", "S"

    def __init__(self, door: Door) -> None:
        self.door = door

    def opening(self) -> list[str]:
        return self.say(self.door.greeting())

    def feed(self, octets: bytes) -> list[str]:
        self.door.receive_data(octets)
        shown = []
        while (event := self.door.next_event()) is not None:
            match event:
                case Reply(reply):
                    shown += self.say(reply)
                case Offered(credentials):
                    shown.append(f"E: Offered {show_credentials(credentials)}")
                case Opened(opening):
                    login = to_text(opening.login + b"\r\n")[0]
                    shown.append(f"E: Opened {opening.mechanism.value} {login}")
                case Proved(proof):
                    shown.append(f"E: Proved {proof.text.reveal().decode()}")
                case Acknowledged():
                    shown.append("E: Acknowledged")
                case StartTls(reply):
                    shown += [*self.say(reply), "E: StartTls"]
                case Closing(reply, why):
                    shown += [*self.say(reply), f"E: Closing {why}"]
        return shown

    def tell(self, word: str, arguments: list[str]) -> list[str]:
        door = self.door
        if word == "leftover":
            return [f"E: leftover {text}" for text in to_text(door.leftover())]
        if word == "name":
            return [f"E: name {text}" for text in to_text(door.client_name + b"\r\n")]
        if word == "challenge":
            return self.say(door.challenge(arguments[0].encode())) + self.feed(b"")
        answer = {"wrong": door.wrong, "later": door.later}.get(word)
        reply = answer() if answer else door.accepted(arguments)
        return self.say(reply) + self.feed(b"")


class DialogueStage(Stage):
    fed, said = "S", "C"

    def __init__(self, dialogue: Dialogue) -> None:
        self.dialogue = dialogue
        self.leftover = b""
        self.is_over = False

    def opening(self) -> list[str]:
        return []

    def feed(self, octets: bytes) -> list[str]:
        if self.is_over:
            self.leftover += octets
            return []
        self.dialogue.receive_data(octets)
        shown = []
        while (event := self.dialogue.next_event()) is not None:
            match event:
                case Send(sent, deciding, opening):
                    shown += self.say(sent) + (["E: deciding"] if deciding else [])
                    shown += ["E: opening"] if opening else []
                case Challenged(text):
                    shown.append(f"E: Challenged {text.decode()}")
                    return shown
                case Upgrade():
                    shown.append("E: Upgrade")
                case Accepted(capabilities, leftover, signature):
                    words = [*capabilities, signature.decode()]
                    shown.append(f"E: Accepted {' '.join(words)}".rstrip())
                    self.leftover, self.is_over = leftover, True
                case Rejected():
                    shown.append("E: Rejected")
                case Unavailable(why):
                    shown.append(f"E: Unavailable {why}")
                case Probed(capabilities):
                    shown.append(f"E: Probed {'; '.join(capabilities)}")
        return shown

    def tell(self, word: str, arguments: list[str]) -> list[str]:
        if word == "leftover":
            return [f"E: leftover {text}" for text in to_text(self.leftover)]
        if word == "upgraded":
            self.dialogue.upgraded()
            return self.feed(b"")
        if word == "prove":
            self.dialogue.prove(ScramProof(Secret(arguments[0].encode())))
            return self.feed(b"")
        match self.dialogue.closed():
            case Rejected():
                return ["E: Rejected"]
            case Unavailable(why):
                return [f"E: Unavailable {why}"]


class WatchStage(Stage):
    """Both sides are fed; ``>`` shows what the backend gets to see, ``<`` what the client."""

    fed, said = "CS", ""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.side = "C"

    def opening(self) -> list[str]:
        return []

    def feed(self, octets: bytes) -> list[str]:
        try:
            if self.side == "C":
                return [f"> {text}" for text in to_text(self.watch.from_client(octets))]
            return [f"< {text}" for text in to_text(self.watch.from_backend(octets))]
        except SecondLoginError as error:
            return [f"E: second login: {error}{' (failed)' if error.failed else ''}"]

    def tell(self, word: str, arguments: list[str]) -> list[str]:
        raise ValueError(word)


def show_credentials(credentials: Credentials | BearerToken) -> str:
    match credentials:
        case Credentials(_, login, password, authorization):
            parts = [login, password.reveal(), authorization]
        case BearerToken(_, login, token):
            parts = [login, token.reveal()]
    shown = [to_text(part + b"\r\n")[0] for part in parts if part]
    return " ".join([credentials.mechanism.value, *shown])


def stage(machine: str) -> Stage:
    """The machine that a script's first line names."""
    name, *words = shlex.split(machine)
    options = dict(word.partition("=")[::2] for word in words)
    passwords = options.get("passwords", "yes") == "yes"
    offer = [item.strip() for item in options.get("offer", "").split(";") if item.strip()]
    match name:
        case "imap-door":
            return DoorStage(ImapDoor(" ".join(offer).split(), passwords=passwords))
        case "submission-door":
            return DoorStage(
                SubmissionDoor(offer, hostname="mail.example.org", passwords=passwords)
            )
        case "imap-login":
            return DialogueStage(ImapLogin(_credentials(options), **_approach(options)))
        case "smtp-login":
            client_name = options.get("name", "").encode()
            return DialogueStage(
                SmtpLogin(_credentials(options), client_name=client_name, **_approach(options))
            )
        case "imap-watch":
            watch = imap_watch(" ".join(offer).split())
            assert watch is not None
            return WatchStage(watch)
        case "submission-watch":
            return WatchStage(SubmissionWatch(takes_xclient=takes_xclient(offer)))
        case _:
            raise ValueError(machine)


class Approach(TypedDict):
    starttls: bool
    origin: Origin | None


def _approach(options: dict[str, str]) -> Approach:
    """How the backend is come by: ``tls=starttls``, and the client's address in ``from``."""
    origin = None
    if "from" in options:
        origin = Origin((ip_address(options["from"]), 50_000), (ip_address("192.0.2.1"), 143))
    return Approach(starttls=options.get("tls") == "starttls", origin=origin)


def _credentials(options: dict[str, str]) -> Opening | None:
    if "scram" in options:
        opening = read_client_first(ScramMechanism(options["by"]), options["scram"].encode())
        assert not isinstance(opening, Fault)
        return opening
    if "login" not in options:
        return None
    login = to_octets(options["login"] + "\\c")
    if "token" in options:
        return BearerToken(BearerMechanism(options["by"]), login, Secret(options["token"].encode()))
    password = to_octets(options["password"] + "\\c")
    return Credentials(
        Mechanism(options["by"]), login, Secret(password), options.get("as", "").encode()
    )


def play(script: Script, step: int) -> list[str]:
    """What really happens in *script* if its lines are fed *step* octets at a time."""
    actor = stage(script.machine)
    shown = actor.opening()
    for line in script.lines:
        kind, _, text = line.partition(": ")
        if kind == "D":
            word, *arguments = text.split()
            shown += [line, *actor.tell(word, arguments)]
        elif kind and kind in actor.fed:
            shown.append(line)
            octets = to_octets(text)
            if isinstance(actor, WatchStage):
                actor.side = kind
                shown += actor.feed(octets)
            else:
                for at in range(0, len(octets), step):
                    shown += actor.feed(octets[at : at + step])
    return shown
