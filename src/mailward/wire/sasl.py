"""Reads login name and password out of each mechanism's messages, and writes them anew.

Once for all protocols. What isn't canonical is refused: if door and backend could read two
different names in one message, one name would be counted and another one tried.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from mailward.wire.door import MAX_LOGIN_OCTETS, MAX_PASSWORD_OCTETS, Credentials, Mechanism
from mailward.wire.secret import Secret

CANCEL = b"*"
EMPTY_INITIAL = b"="  # RFC 4954 section 4, RFC 9051 section 6.2.2


@dataclass(frozen=True, slots=True)
class Challenge:
    """Send this (base64 already) and read another line."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Malformed:
    """The client's message is none. *why* is for the client, in fixed words."""

    why: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The client gave up."""


Step = Challenge | Malformed | Cancelled | Credentials


class Conversation(Protocol):
    """What one mechanism says and understands, without base64."""

    @property
    def opening(self) -> bytes:
        """The challenge where the client sent no initial response."""
        ...

    def read(self, message: bytes) -> bytes | Malformed | Credentials:
        """Take one message of the client; bytes are the next challenge."""
        ...


class Exchange:
    """One exchange as the door sees it: lines in, steps out."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    def start(self, initial: bytes | None) -> Step:
        """Begin; *initial* is the initial response as it stands in the command, if there is one."""
        if initial is None:
            return Challenge(b64encode(self._conversation.opening))
        return self._read(b"" if initial == EMPTY_INITIAL else initial)

    def receive(self, line: bytes) -> Step:
        """Take the line that answers a challenge."""
        return Cancelled() if line == CANCEL else self._read(line)

    def _read(self, text: bytes) -> Step:
        message = decode(text)
        if message is None:
            return Malformed("That is not base64")
        answer = self._conversation.read(message)
        return Challenge(b64encode(answer)) if isinstance(answer, bytes) else answer


def exchange_named(name: bytes) -> Exchange | None:
    """A new exchange of the mechanism called *name* (in any case), ``None`` for an unknown one."""
    match name.upper():
        case b"PLAIN":
            return Exchange(_Plain())
        case b"LOGIN":
            return Exchange(_Login())
        case _:
            return None


class _Plain:
    """PLAIN (RFC 4616): ``[authzid] NUL authcid NUL password``."""

    opening = b""

    def read(self, message: bytes) -> Malformed | Credentials:
        match message.split(b"\0"):
            case [authorization, login, password]:
                return credentials(Mechanism.PLAIN, login, password, authorization)
            case _:
                return Malformed("PLAIN takes exactly two NULs")


class _Login:
    """LOGIN (draft-murchison-sasl-login): the name, then the password."""

    opening = b"Username:"

    def __init__(self) -> None:
        self._login: bytes | None = None

    def read(self, message: bytes) -> bytes | Malformed | Credentials:
        if self._login is not None:
            return credentials(Mechanism.LOGIN, self._login, message)
        if fault := _fault_in_name(message):
            return Malformed(fault)
        self._login = message
        return b"Password:"


def credentials(
    mechanism: Mechanism, login: bytes, password: bytes, authorization: bytes = b""
) -> Credentials | Malformed:
    """Credentials, if every part is there, has no NUL in it and keeps its cap."""
    if fault := _fault_in_name(login):
        return Malformed(fault)
    if not password:
        return Malformed("The password is empty")
    if len(password) > MAX_PASSWORD_OCTETS or len(authorization) > MAX_LOGIN_OCTETS:
        return Malformed("The credentials are too long")
    if b"\0" in password:
        return Malformed("NUL is not allowed")
    return Credentials(mechanism, login, Secret(password), authorization)


def _fault_in_name(login: bytes) -> str:
    if not login:
        return "The login name is empty"
    if len(login) > MAX_LOGIN_OCTETS:
        return "The login name is too long"
    return "NUL is not allowed" if b"\0" in login else ""


def decode(text: bytes) -> bytes | None:
    """Strict base64: the one spelling of its octets and nothing else, or ``None``.

    >>> decode(b"YQ=="), decode(b"YR=="), decode(b"YQ"), decode(b"Y Q==")
    (b'a', None, None, None)
    """
    try:
        octets = b64decode(text, validate=True)
    except binascii.Error:
        return None
    # The last digit of a padded group has bits to spare: only one spelling leaves them zero.
    return octets if b64encode(octets) == text else None


def messages(offered: Credentials, mechanism: Mechanism) -> tuple[bytes, ...]:
    """What a client of *mechanism* sends, in base64; the last message is the deciding one.

    Raises:
        ValueError: *mechanism* is IMAP's command, which has no SASL messages.
    """
    password = offered.password.reveal()
    match mechanism:
        case Mechanism.PLAIN:
            return (b64encode(b"\0".join((offered.authorization, offered.login, password))),)
        case Mechanism.LOGIN:
            return b64encode(offered.login), b64encode(password)
        case Mechanism.COMMAND:
            raise ValueError("the LOGIN command is no SASL mechanism")


def carrier(offered: Credentials, available: Collection[Mechanism]) -> Mechanism | None:
    """The mechanism that brings *offered* to the backend: the client's own if it is available.

    An authorization identity fits into PLAIN alone.
    """
    for mechanism in (offered.mechanism, Mechanism.PLAIN, Mechanism.LOGIN, Mechanism.COMMAND):
        if mechanism in available and (mechanism is Mechanism.PLAIN or not offered.authorization):
            return mechanism
    return None
