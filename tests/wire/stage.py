"""Plays transcripts: text files with what one side says and what a machine makes of it.

The first line names the machine, see ``machines``. Then, in order of time::

    C: what the client says          S: what the server says
    D: what the driver tells the machine (wrong, later, accepted CAPABILITY..., leftover,
       closed, secured, upgraded, gone, unavailable, challenge TEXT, prove TEXT) or asks it (name)
    E: an event of the machine, for the driver
    # a remark

One of C and S is fed to the machine, the other one is what it must say. A line ends with CRLF
unless ``\\c`` stands at its end; ``\\xNN``, ``\\r``, ``\\n`` and ``\\\\`` are octets, and
``${A*9000}`` is A 9000 times.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mailward.wire.dialogue import (
    Accepted,
    Challenged,
    Dialogue,
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
    BearerToken,
    Closing,
    Credentials,
    Door,
    DoorEvent,
    Introduced,
    Misnamed,
    Obstacle,
    Offered,
    Opened,
    Proved,
    Reply,
    ScramProof,
    StartTls,
)
from mailward.wire.passage import Passing, Through, ToBackend, ToClient
from mailward.wire.secret import Secret

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
            shown += self._show(event)
        return shown

    def _show(self, event: DoorEvent) -> list[str]:  # noqa: PLR0911 -- one for each event
        match event:
            case Reply(reply):
                return self.say(reply)
            case Offered(credentials):
                return [f"E: Offered {show_credentials(credentials)}"]
            case Opened(opening):
                login = to_text(opening.login + b"\r\n")[0]
                return [f"E: Opened {opening.mechanism.value} {login}"]
            case Proved(proof):
                return [f"E: Proved {proof.text.reveal().decode()}"]
            case Acknowledged():
                return ["E: Acknowledged"]
            case StartTls(reply):
                return [*self.say(reply), "E: StartTls"]
            case Introduced(reply, address, port):
                return [f"E: Introduced {address} {port}", *self.say(reply)]
            case Misnamed(reply):
                return ["E: Misnamed", *self.say(reply)]
            case Closing(reply, why):
                return [*self.say(reply), f"E: Closing {why}"]

    def tell(self, word: str, arguments: list[str]) -> list[str]:
        door = self.door
        if word == "leftover":
            return [f"E: leftover {text}" for text in to_text(door.leftover())]
        if word == "name":
            return [f"E: name {text}" for text in to_text(door.client_name + b"\r\n")]
        if word == "challenge":
            return self.say(door.challenge(arguments[0].encode())) + self.feed(b"")
        if word == "secured":
            return self.say(door.secured()) + self.feed(b"")
        match word:
            case "wrong":
                reply = door.wrong()
            case "later":
                reply = door.later(Obstacle[arguments[0]])
            case _:
                reply = door.accepted(arguments)
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
                case Probed(capabilities, fault, doubt):
                    shown.append(f"E: Probed {'; '.join(capabilities)}")
                    shown += [f"E: Fault {fault}"] if fault else []
                    shown += [f"E: Doubt {doubt}"] if doubt else []
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
        shown: list[str] = []
        try:
            if self.side == "S":
                shown += [f"< {text}" for text in to_text(self.watch.from_backend(octets))]
                shown += [f"> {text}" for text in to_text(self.watch.released())]
            else:
                shown += [f"> {text}" for text in to_text(self.watch.from_client(octets))]
        except SecondLoginError as error:
            shown += [f"< {text}" for text in to_text(error.last_words)]
            return [*shown, f"E: second login: {error}{' (failed)' if error.failed else ''}"]
        return shown + [f"< {text}" for text in to_text(self.watch.answers())]

    def tell(self, word: str, arguments: list[str]) -> list[str]:
        raise ValueError(word)


class PassageStage(Stage):
    """Both sides are fed; ``>`` shows what the backend gets to see, ``<`` what the client."""

    fed, said = "CS", ""

    def __init__(self, machine: Passing, offer: list[str]) -> None:
        self.machine = machine
        self.machine.connected(offer, b"")
        self.side = "C"

    def opening(self) -> list[str]:
        return []

    def feed(self, octets: bytes) -> list[str]:
        if self.side == "C":
            self.machine.from_client(octets)
        else:
            self.machine.from_backend(octets)
        shown = []
        while (event := self.machine.next_event()) is not None:
            match event:
                case ToClient(told):
                    shown += [f"< {text}" for text in to_text(told)]
                case ToBackend(told):
                    shown += [f"> {text}" for text in to_text(told)]
                case StartTls(reply):
                    shown += [f"< {text}" for text in to_text(reply)] + ["E: StartTls"]
                case Closing(reply, why):
                    shown += [f"< {text}" for text in to_text(reply)] + [f"E: Closing {why}"]
                case Through(from_client):
                    shown += [f"> {text}" for text in to_text(from_client)]
                    shown.append("E: Through")
        return shown

    def tell(self, word: str, arguments: list[str]) -> list[str]:
        if word == "secured":
            self.machine.secured()
            return self.feed_nothing()
        said = {"gone": self.machine.backend_gone, "unavailable": self.machine.unavailable}[word]()
        return [f"< {text}" for text in to_text(said)]

    def feed_nothing(self) -> list[str]:
        self.side = "C"
        return self.feed(b"")


def show_credentials(credentials: Credentials | BearerToken) -> str:
    match credentials:
        case Credentials(_, login, password, authorization):
            parts = [login, password.reveal(), authorization]
        case BearerToken(_, login, token):
            parts = [login, token.reveal()]
    shown = [to_text(part + b"\r\n")[0] for part in parts if part]
    return " ".join([credentials.mechanism.value, *shown])
