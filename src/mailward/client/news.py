"""What is told, what is answered, and how it fails."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple


class GuardError(Exception):
    """The guard did not do what it was asked to."""


class UnreachableError(GuardError):
    """There was no answer in time: the guard is down, or far. The caller decides what follows."""


class RefusedError(GuardError):
    """The guard refused, and will again: wrong credentials, or values that make no sense."""


class Seen(NamedTuple):
    """One login that was seen to fail, or to succeed.

    *at* is when (it has to know its zone); ``None`` means now. *id* makes that it counts once,
    however often it is told; ``None`` lets the client make one up. *service* is that of the client
    where it is ``None``.
    """

    address: str
    login: str | None = None
    at: datetime | None = None
    id: str | None = None
    service: str | None = None


class Told(NamedTuple):
    """What became of one that was told. *banned* are its address and login, if they are now.

    *why* says what was wrong with one that was refused.
    """

    result: Literal["accepted", "repeated", "refused"]
    banned: tuple[str, ...]
    id: str
    why: str | None = None
