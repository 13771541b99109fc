"""The door's side of a protocol before login: what every machine promises the driver.

Bytes go in by ``receive_data``, events come out of ``next_event``, replies are returned as bytes.
A machine knows no socket and no clock, and never sees a ban: the driver tells it what to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, unique
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from mailward.wire.secret import Secret

MAX_COMMAND_OCTETS = 8_192  # RFC 7162 section 4 asks IMAP servers for at least 8,192
MAX_SASL_OCTETS = 16_384  # RFC 4954 section 4 asks for 12,288
MAX_LOGIN_OCTETS = 1_024
MAX_PASSWORD_OCTETS = 4_096
MAX_TOKEN_OCTETS = 8_192  # what MAX_SASL_OCTETS carries, and room for a name
MAX_HELD_OCTETS = 20_480  # all that one connection may make us hold before login


@unique
class Mechanism(Enum):
    """How the client offered its password."""

    PLAIN = "PLAIN"
    LOGIN = "LOGIN"
    COMMAND = "command"
    """IMAP's LOGIN command (RFC 9051 section 6.2.3)."""


@unique
class BearerMechanism(Enum):
    """How the client offered its token."""

    OAUTHBEARER = "OAUTHBEARER"
    """RFC 7628."""
    XOAUTH2 = "XOAUTH2"


@unique
class ScramMechanism(Enum):
    """How the client proves that it knows a password (RFC 5802; SHA-256: RFC 7677)."""

    SHA_256 = "SCRAM-SHA-256"
    SHA_1 = "SCRAM-SHA-1"


@unique
class Obstacle(Enum):
    """Why a login is not possible now. The value is what mail programs show to their users.

    None of the texts depends on whether there is such an account.
    """

    TOO_MANY_FAILURES = (
        b"Too many wrong passwords for this account; it is locked for a while, try again later"
    )
    LOCKED = b"This account is locked; ask your administrator"
    UNAVAILABLE = b"The mail server is not available, try again later"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A whole deciding message, decoded strictly. *authorization* is who the login acts for."""

    mechanism: Mechanism
    login: bytes
    password: Secret
    authorization: bytes = b""


@dataclass(frozen=True, slots=True)
class BearerToken:
    """A whole deciding message. OAUTHBEARER may leave *login* empty: the token says who it is."""

    mechanism: BearerMechanism
    login: bytes
    token: Secret


@dataclass(frozen=True, slots=True)
class ScramOpening:
    """SCRAM's client-first: who wants to log in. *text* is all of it, to be passed verbatim.

    *authorization* is as with :class:`Credentials`.
    """

    mechanism: ScramMechanism
    login: bytes
    nonce: bytes
    text: bytes = field(repr=False)
    authorization: bytes = b""


@dataclass(frozen=True, slots=True)
class ScramProof:
    """SCRAM's client-final, the deciding message, to be passed verbatim.

    Whoever sees it can try passwords on it at home: it is as secret as one.
    """

    text: Secret


Opening = Credentials | BearerToken | ScramOpening
"""What a dialogue with the backend begins with."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Send this and go on."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Offered:
    """Credentials are in hand: nothing more is read until one of the answers is called for."""

    credentials: Credentials | BearerToken


@dataclass(frozen=True, slots=True)
class Opened:
    """A SCRAM exchange has begun: nothing more is read until its challenge or an answer is told.

    While it goes on, a :class:`Reply` says that the client has given it up.
    """

    opening: ScramOpening


@dataclass(frozen=True, slots=True)
class Proved:
    """The deciding message of a SCRAM exchange is in hand; what follows is as with Offered."""

    proof: ScramProof


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The client has seen the backend's own proof and wants to go on: it is to be accepted."""


@dataclass(frozen=True, slots=True)
class StartTls:
    """Send this, then begin TLS; nothing more is read until the door is told it is secured."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Closing:
    """Send this, then close. *why* is a word for the log, without any of the client's bytes."""

    octets: bytes
    why: str


@dataclass(frozen=True, slots=True)
class Introduced:
    """A peer that is believed says who its client is: send *octets* if that one may come in."""

    octets: bytes
    address: IPv4Address | IPv6Address
    port: int | None


@dataclass(frozen=True, slots=True)
class Misnamed:
    """A peer that is believed names its client in a way that nobody can read: send *octets*."""

    octets: bytes


DoorEvent = (
    Reply | Offered | Opened | Proved | Acknowledged | Closing | StartTls | Introduced | Misnamed
)


class Door(Protocol):
    """One connection before login. Made anew for each."""

    def greeting(self) -> bytes:
        """What is said first."""
        ...

    def receive_data(self, data: bytes) -> None:
        """Take in bytes of the client; how they are cut makes no difference."""
        ...

    def next_event(self) -> DoorEvent | None:
        """The next event, or ``None`` when more bytes (or an answer) are needed first.

        What the client sent beyond every cap comes out as :class:`Closing`.
        """
        ...

    def secured(self) -> bytes:
        """TLS has begun: all that was said before is forgotten, and passwords are welcome.

        What comes back is what has to be said then without being asked; a greeting says it, too.
        """
        ...

    def wrong(self) -> bytes:
        """The answer to wrong credentials; the client may try again."""
        ...

    def later(self, why: Obstacle) -> bytes:
        """The answer to credentials that nobody looks at now; they may be right."""
        ...

    def challenge(self, text: bytes) -> bytes:
        """What hands the backend's SCRAM message *text* to the client, who has to answer it."""
        ...

    def accepted(self, capabilities: Sequence[str]) -> bytes:
        """The answer to a login that succeeded, with what the backend said it can do now."""
        ...

    def leftover(self) -> bytes:
        """After :meth:`accepted`: the bytes behind the credentials, which are the backend's."""
        ...

    def banned(self) -> bytes:
        """What is said to an address that is banned while connected, before closing."""
        ...

    def crowded(self) -> bytes:
        """What is said instead of the greeting where its address has too many waiting."""
        ...

    def timed_out(self) -> bytes:
        """What is said when the login time is over, before closing."""
        ...

    def stopping(self) -> bytes:
        """What is said when this door shuts, before closing."""
        ...

    def too_many_failures(self) -> bytes:
        """What follows the last refusal of a connection, before closing."""
        ...

    @property
    def client_name(self) -> bytes:
        """How the client named itself (EHLO's argument); empty where a protocol has no such."""
        ...
