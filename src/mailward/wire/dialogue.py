"""The dialogue with the backend: what every machine that logs in promises the upstream.

It starts with the backend's greeting. The credentials leave in the one :class:`Send` that has
``deciding`` set; what follows is the backend's verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, unique
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from mailward.wire.door import ScramProof

MAX_BACKEND_LINE_OCTETS = 65_536  # no server's capability list comes near it


@dataclass(frozen=True, slots=True)
class Send:
    """Send this to the backend. *deciding*: from here on only the backend settles the attempt.

    *opening*: it may take as long for its SCRAM challenge as for an answer.
    """

    octets: bytes = field(repr=False)  # may hold the password
    deciding: bool = False
    opening: bool = False


@dataclass(frozen=True, slots=True)
class Challenged:
    """The backend's first SCRAM message, for the client: :meth:`Dialogue.prove` goes on."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Begin TLS on this connection, then tell the dialogue that it is :meth:`Dialogue.upgraded`."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The credentials are right. *leftover* came behind the answer and is the client's.

    *signature* is the backend's own proof, where the client waits for one (SCRAM).
    """

    capabilities: Sequence[str]
    leftover: bytes
    signature: bytes = b""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The credentials are wrong: the only answer that counts."""


@unique
class Trouble(Enum):
    """What an answer is about that does not say whether the credentials are right."""

    SERVER = "server"
    """The backend does not do its work, for this login or for any."""
    ACCOUNT = "account"
    """This account may not log in, or not in this way; other accounts may."""
    RIGHT = "right"
    """The credentials are right: the backend says so only behind its check of them."""
    MECHANISM = "mechanism"
    """The backend offers no mechanism that carries such credentials, but others."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Anything else. *why* is for the operator: fixed words and the code the backend gave."""

    why: str
    trouble: Trouble = Trouble.SERVER


@dataclass(frozen=True, slots=True)
class Probed:
    """The end of a dialogue without credentials: what the backend says it can do.

    *fault* is why nobody can log in there though it answers, *doubt* what else is seldom meant;
    both are for operators, and empty where all is well.
    """

    capabilities: Sequence[str]
    fault: str = ""
    doubt: str = ""


Answer = Accepted | Rejected | Unavailable | Probed
DialogueEvent = Send | Upgrade | Challenged | Answer


@dataclass(frozen=True, slots=True)
class Origin:
    """Both ends of the client's connection, as the dialogue is to tell them to the backend."""

    source: tuple[IPv4Address | IPv6Address, int]
    destination: tuple[IPv4Address | IPv6Address, int]


class Dialogue(Protocol):
    """One connection to the backend, from its greeting to its answer."""

    def receive_data(self, data: bytes) -> None:
        """Take in bytes of the backend."""
        ...

    def next_event(self) -> DialogueEvent | None:
        """The next event; after an answer there is none. Too long a line is Unavailable."""
        ...

    def upgraded(self) -> None:
        """TLS has begun. What came in between :class:`Upgrade` and this is Unavailable."""
        ...

    def prove(self, proof: ScramProof) -> None:
        """Send the client's answer to :class:`Challenged`: the deciding message."""
        ...

    def closed(self) -> Rejected | Unavailable:
        """What it means that the backend has closed the connection just now."""
        ...


class SecondLoginError(Exception):
    """Somebody tries to log in again inside a session; both sides are to be closed.

    *failed* says that a guess was made and was wrong, so it counts. *last_words* are for
    the client.
    """

    def __init__(self, what: str, *, failed: bool, last_words: bytes = b"") -> None:
        super().__init__(what)
        self.failed = failed
        self.last_words = last_words


class Watch(Protocol):
    """Stands in the byte pump after login and lets nobody log in a second time."""

    def from_client(self, data: bytes) -> bytes:
        """What of the client's bytes the backend may see now.

        Raises:
            SecondLoginError: the session has to end.
        """
        ...

    def answers(self) -> bytes:
        """What the client is answered by the watch itself.

        To be asked after every from_client and every released.
        """
        ...

    def from_backend(self, data: bytes) -> bytes:
        """What of the backend's bytes the client may see now.

        Raises:
            SecondLoginError: the session has to end.
        """
        ...

    def released(self) -> bytes:
        """What of the client's bytes that were held the backend may see now.

        To be asked after every from_backend.

        Raises:
            SecondLoginError: the session has to end.
        """
        ...

    def pass_unread(self) -> int:
        """How many of the client's next octets pass whatever they are.

        They are not to be shown to the watch any more: to it they are read.
        """
        ...

    @property
    def octets_at_once(self) -> int:
        """So many of the client's next octets take next to no time, whatever they are."""
        ...

    @property
    def is_waiting(self) -> bool:
        """Bytes of the client are held until the backend has replied: read no more of it."""
        ...
