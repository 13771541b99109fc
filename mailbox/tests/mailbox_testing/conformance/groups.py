"""Groups of IMAP commands and what each server has to answer, from text files.

In a file, ``== NAME`` begins a group and ``#`` a line for people. ``C: COMMAND`` is what the
client says (``C2:``: a second client of the same account). ``<NAME>`` in it stands for a message
of :mod:`mailbox_testing.conformance.letters`, as a literal, and ``<NAME-size>`` for its octets.
Behind it come lines ``S: RESPONSE``, each of which has to be among the answers, ``N: RESPONSE``,
which must not, and the status: ``S: OK``, ``S: NO`` or ``S: BAD``, with a response code where
that matters. ``C: DONE`` ends an IDLE, and ``C: WAIT START`` reads up to a response that begins
so. A group begins with ``needs WORD...`` where it is for servers with these capabilities.
``dovecot: WHY`` tells that Dovecot 2.3 answers otherwise.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mailbox_testing.conformance.letters import LETTERS
from mailbox_testing.conformance.responses import Word, response_fits, words_of

FOLDER = Path(__file__).parents[2] / "conformance"
SECONDS = 20.0
_LITERAL_AT_END = re.compile(rb"\{(\d+)\}\r\n\Z")
_LETTER = re.compile(rb"<(?P<name>[a-z0-9-]+?)(?P<size>-size)?>")


@dataclass(frozen=True, slots=True)
class Step:
    """One command, and what is expected of its answer."""

    line: int
    client: int
    command: str
    expected: list[str] = field(default_factory=list)
    forbidden: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Group:
    """Commands that show one thing, for an account without mail."""

    name: str
    file: str
    needs: frozenset[str]
    dovecot: str
    """Why Dovecot 2.3 answers otherwise, if it does."""
    steps: list[Step]


class Client:
    """One connection, logged in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def say(self, octets: bytes) -> list[bytes]:
        """All responses to one command, which has no tag yet, the tagged one last."""
        self._writer.write(b"t " + octets + b"\r\n")
        return await self.responses(b"t ")

    def begin(self, octets: bytes) -> None:
        """Send *octets* as they are."""
        self._writer.write(octets)

    async def responses(self, last: bytes) -> list[bytes]:
        """All responses up to one that begins with *last*, or the end of the connection."""
        found: list[bytes] = []
        async with asyncio.timeout(SECONDS):
            while not found or not found[-1].startswith(last):
                response = await self._response()
                if not response:
                    break
                found.append(response)
        return found

    async def _response(self) -> bytes:
        octets = await self._reader.readline()
        while found := _LITERAL_AT_END.search(octets):
            octets += await self._reader.readexactly(int(found[1]))
            octets += await self._reader.readline()
        return octets

    def leave(self) -> None:
        self._writer.transport.abort()


Connect = Callable[[], Awaitable[Client]]


async def run(group: Group, connect: Connect) -> list[str]:
    """What was not as expected: one entry for each line of the group's file."""
    clients: dict[int, Client] = {}
    faults: list[str] = []
    try:
        for step in group.steps:
            if step.client not in clients:
                clients[step.client] = await connect()
            faults += await _try(group, step, clients[step.client])
    finally:
        for client in clients.values():
            client.leave()
    return faults


async def _try(group: Group, step: Step, client: Client) -> list[str]:
    octets = octets_of(step.command)
    match step.command.split():
        case ["IDLE"]:
            client.begin(b"t IDLE\r\n")
            answers = await client.responses(b"+")
        case ["DONE"]:
            client.begin(b"DONE\r\n")
            answers = await client.responses(b"t ")
        case ["WAIT", *start]:
            answers = await client.responses(" ".join(start).encode())
        case _:
            answers = await client.say(octets)
    seen = [words_of(answer) for answer in answers]
    return [
        f"{group.file}:{step.line}: {step.command[:70]}: {fault}; it was answered "
        + b"".join(answers).decode("utf-8", "replace")[:2_000]
        for fault in _faults(step, seen)
    ]


def _faults(step: Step, seen: list[list[Word]]) -> Iterator[str]:
    left = list(seen)
    for text in step.expected:
        wanted = _expected(text)
        found = next((one for one in left if response_fits(wanted, one)), None)
        if found is None:
            yield f"no {text}"
        else:
            left.remove(found)
    for text in step.forbidden:
        if any(response_fits(_expected(text), one) for one in seen):
            yield f"there is {text}"


def _expected(text: str) -> list[Word]:
    tag = "" if text.startswith(("*", "+")) else "t "
    return words_of(octets_of(tag + text))


def octets_of(text: str) -> bytes:
    """A line with its messages in it, as it goes over the wire."""

    def put(found: re.Match[bytes]) -> bytes:
        letter = LETTERS.get(found["name"].decode())
        if letter is None:
            return found[0]  # <0> of a partial
        if found["size"]:
            return b"%d" % len(letter)
        return b"{%d+}\r\n%b" % (len(letter), letter)

    return _LETTER.sub(put, text.encode())


def read_groups(file: Path) -> list[Group]:
    """The groups of one file."""
    groups: list[Group] = []
    lines = enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
    for number, line in lines:
        word, _, rest = line.partition(" ")
        match word:
            case "==":
                groups.append(Group(rest, file.name, frozenset(), "", []))
            case "needs":
                groups[-1] = _with(groups[-1], needs=frozenset(rest.split()))
            case "dovecot:":
                groups[-1] = _with(groups[-1], dovecot=rest)
            case "C:" | "C2:":
                groups[-1].steps.append(Step(number, 2 if word == "C2:" else 1, rest))
            case "S:":
                groups[-1].steps[-1].expected.append(rest)
            case "N:":
                groups[-1].steps[-1].forbidden.append(rest)
            case _ if line and not line.startswith("#"):
                raise ValueError(f"{file.name}:{number}: {line}")
    return groups


def _with(group: Group, *, needs: frozenset[str] | None = None, dovecot: str = "") -> Group:
    wanted = group.needs if needs is None else needs
    return Group(group.name, group.file, wanted, dovecot or group.dovecot, group.steps)


def groups() -> list[Group]:
    """All groups there are."""
    return [group for file in sorted(FOLDER.glob("*.txt")) for group in read_groups(file)]
