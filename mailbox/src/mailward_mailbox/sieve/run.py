"""What a script makes of a message."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from mailward_mailbox.sieve.matching import Effort, EffortError, fits
from mailward_mailbox.sieve.message import Looked
from mailward_mailbox.sieve.parser import parse
from mailward_mailbox.sieve.script import (
    AddressIs,
    AddressPart,
    AllOf,
    Always,
    AnyOf,
    Block,
    BodyIs,
    Discard,
    EnvelopeIs,
    Exists,
    FileInto,
    HeaderIs,
    If,
    Keep,
    Not,
    Reject,
    Size,
    Stop,
    Test,
)

INBOX = "INBOX"
MAX_CACHED_OCTETS = 8_192
"""What is longer is read anew for each message, or it would take too much memory."""
MAX_MAILBOXES = 16
"""Into so many a script may put one message."""


class RunError(Exception):
    """A script went wrong with this message."""


@dataclass(frozen=True, slots=True)
class Filed:
    """It belongs into these mailboxes; into none: it is discarded."""

    mailboxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rejected:
    """Its sender is to be told *why* it is not taken."""

    why: str


Decision = Filed | Rejected


def decide(script: bytes, sender: str, recipient: str, octets: bytes) -> Decision:
    """Run *script*; *sender* and *recipient* are those of the envelope.

    Raises:
        SieveError: it cannot be read.
        RunError: it takes too much, or says things that exclude one another.
    """
    block = _parsed(script) if len(script) <= MAX_CACHED_OCTETS else parse(script)
    try:
        return _Run(sender, recipient, octets).decide(block)
    except EffortError as error:
        raise RunError(str(error)) from None


_parsed = lru_cache(maxsize=256)(parse)
"""A script stays the same for many messages."""


class _Run:
    def __init__(self, sender: str, recipient: str, octets: bytes) -> None:
        self._envelope = {"from": sender, "to": recipient}
        self._effort = Effort()
        self._message = Looked(octets, self._effort)
        self._mailboxes: dict[str, None] = {}
        self._keeps = True
        """The implicit keep (RFC 5228 section 2.10.2): until something else is done with it."""
        self._rejection: str | None = None

    def decide(self, block: Block) -> Decision:
        self._do(block)
        if self._rejection is not None:
            if self._mailboxes:
                raise RunError("it is both rejected and kept")  # RFC 5429 section 2.4
            return Rejected(self._rejection)
        if self._keeps:
            self._mailboxes[INBOX] = None
        return Filed(tuple(self._mailboxes))

    def _do(self, block: Block) -> bool:
        """Do what the commands say; whether to go on behind them."""
        for command in block:
            match command:
                case If(branches):
                    chosen = next((then for test, then in branches if self._holds(test)), ())
                    if not self._do(chosen):
                        return False
                case Stop():
                    return False
                case Keep():
                    self._mailboxes[INBOX] = None
                case Discard():
                    self._keeps = False
                case FileInto(mailbox):
                    self._keeps = False
                    self._mailboxes[mailbox] = None
                case Reject(why):
                    self._keeps = False
                    self._rejection = why
            if len(self._mailboxes) > MAX_MAILBOXES:
                raise RunError("it goes into too many mailboxes")
        return True

    def _holds(self, test: Test) -> bool:  # noqa: PLR0911 -- one for each test
        self._effort.spend(0)
        match test:
            case Always(holds):
                return holds
            case Not(other):
                return not self._holds(other)
            case AllOf(tests):
                return all(map(self._holds, tests))
            case AnyOf(tests):
                return any(map(self._holds, tests))
            case Exists(names):
                return all(map(self._message.has, names))
            case Size(is_over, octets):
                size = self._message.size
                return size > octets if is_over else size < octets
            case HeaderIs() | AddressIs() | EnvelopeIs() | BodyIs():
                return any(fits(test.matcher, one, self._effort) for one in self._values(test))

    def _values(self, test: HeaderIs | AddressIs | EnvelopeIs | BodyIs) -> Iterator[str]:
        """What a key may fit."""
        match test:
            case HeaderIs(names):
                for name in names:
                    yield from self._message.values(name)
            case AddressIs(part, names):
                for name in names:
                    for address in self._message.addresses(name):
                        yield _part(part, address)
            case EnvelopeIs(part, names):
                for name in names:
                    yield _part(part, self._envelope[name])
            case BodyIs(transform, types):
                yield from self._message.body(transform, types)


def _part(part: AddressPart, address: str) -> str:
    """A part of *address*.

    >>> [_part(part, "a@b@example") for part in (AddressPart.LOCAL, AddressPart.DOMAIN)]
    ['a@b', 'example']
    >>> [_part(part, "root") for part in (AddressPart.LOCAL, AddressPart.DOMAIN)]
    ['root', '']
    """
    local, at, domain = address.rpartition("@")
    match part:
        case AddressPart.ALL:
            return address
        case AddressPart.LOCAL:
            return local if at else domain
        case AddressPart.DOMAIN:
            return domain if at else ""
