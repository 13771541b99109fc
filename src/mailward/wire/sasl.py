"""Reads login name and password out of each mechanism's messages, and writes them anew.

Once for all protocols. What isn't canonical is refused: if door and backend could read two
different names in one message, one name would be counted and another one tried. SCRAM alone is
passed on as it came, since the client's proof covers its octets.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Protocol

from mailward.wire.bearer import bearer_message, read_bearer
from mailward.wire.door import (
    MAX_LOGIN_OCTETS,
    MAX_PASSWORD_OCTETS,
    Acknowledged,
    BearerMechanism,
    BearerToken,
    Credentials,
    Mechanism,
    ScramMechanism,
    ScramOpening,
    ScramProof,
)
from mailward.wire.encoding import decode
from mailward.wire.scram import Fault, read_client_final, read_client_first, server_nonce
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


Understood = Credentials | BearerToken | ScramOpening | ScramProof | Acknowledged
Step = Challenge | Malformed | Cancelled | Understood


class Conversation(Protocol):
    """What one mechanism says and understands, without base64."""

    @property
    def opening(self) -> bytes:
        """The challenge where the client sent no initial response."""
        ...

    @property
    def is_proved(self) -> bool:
        """Whether the client has sent its proof: its next line only says that it goes on."""
        ...

    def read(self, message: bytes) -> bytes | Malformed | Understood:
        """Take one message of the client; bytes are the next challenge."""
        ...

    def tell(self, challenge: bytes) -> None:
        """Take the backend's own *challenge*, which the client's next message answers."""
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
        """Take the line that answers a challenge.

        Behind the server's signature any line goes on. RFC 5802 wants an empty one, but PEAR's
        Net_SMTP sends NOOP there, which Dovecot and Postfix take, and the guess is over by then.
        """
        if line == CANCEL:
            return Cancelled()
        return Acknowledged() if self._conversation.is_proved else self._read(line)

    def tell(self, challenge: bytes) -> Challenge:
        """Pass on what the backend says."""
        self._conversation.tell(challenge)
        return Challenge(b64encode(challenge))

    def _read(self, text: bytes) -> Step:
        message = decode(text)
        if message is None:
            return Malformed("That is not base64")
        answer = self._conversation.read(message)
        return Challenge(b64encode(answer)) if isinstance(answer, bytes) else answer


def others_offered(names: Collection[str]) -> tuple[str, ...]:
    """What a door offers besides PLAIN and LOGIN before a backend that offers *names*.

    >>> others_offered({"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "XOAUTH2", "GSSAPI"})
    ('XOAUTH2',)
    """
    return tuple(m.value for m in (*ScramMechanism, *BearerMechanism) if is_offered(m, names))


def is_offered(mechanism: BearerMechanism | ScramMechanism, names: Collection[str]) -> bool:
    """Whether a backend that offers *names* can be reached by *mechanism* through a door.

    Where a form with channel binding stands beside it, a client that could bind channels takes
    its absence here for an attack, and says so to the backend (RFC 5802 section 6).
    """
    return mechanism.value in names and f"{mechanism.value}-PLUS" not in names


def can_log_in(names: Collection[str]) -> bool:
    """Whether anything that a door takes can be carried to a backend that offers *names*."""
    passwords = {Mechanism.PLAIN.value, Mechanism.LOGIN.value}
    return not passwords.isdisjoint(names) or bool(others_offered(names))


class _Unchallenged:
    """A mechanism whose challenges are the door's own."""

    is_proved = False

    def tell(self, challenge: bytes) -> None:
        raise ValueError("the backend has no challenge in this mechanism")


class _Plain(_Unchallenged):
    """PLAIN (RFC 4616): ``[authzid] NUL authcid NUL password``."""

    opening = b""

    def read(self, message: bytes) -> Malformed | Credentials:
        match message.split(b"\0"):
            case [authorization, login, password]:
                return credentials(Mechanism.PLAIN, login, password, authorization)
            case _:
                return Malformed("PLAIN takes exactly two NULs")


class _Login(_Unchallenged):
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


class _Bearer(_Unchallenged):
    """OAUTHBEARER and XOAUTH2: one message. A refusal is told without their error challenge."""

    opening = b""

    def __init__(self, mechanism: BearerMechanism) -> None:
        self._mechanism = mechanism

    def read(self, message: bytes) -> Malformed | BearerToken:
        found = read_bearer(self._mechanism, message)
        return found if isinstance(found, BearerToken) else Malformed(found)


class _Scram:
    """SCRAM (RFC 5802): the backend answers the first message, and proves itself at the end."""

    opening = b""

    def __init__(self, mechanism: ScramMechanism) -> None:
        self._mechanism = mechanism
        self._opened: ScramOpening | None = None
        self._nonce: bytes | None = None
        self.is_proved = False

    def read(self, message: bytes) -> Malformed | ScramOpening | ScramProof:
        if self._opened is None:
            opened = read_client_first(self._mechanism, message)
            if isinstance(opened, Fault):
                return Malformed(opened.why)
            self._opened = opened
            return opened
        proof = read_client_final(self._opened, self._nonce or b"", message)
        if isinstance(proof, Fault):
            return Malformed(proof.why)
        self.is_proved = True
        return proof

    def tell(self, challenge: bytes) -> None:
        if self._opened is not None and not self.is_proved:
            self._nonce = server_nonce(self._opened, challenge)


_CONVERSATIONS: Mapping[str, Callable[[], Conversation]] = MappingProxyType(
    {
        Mechanism.PLAIN.value: _Plain,
        Mechanism.LOGIN.value: _Login,
        **{bearer.value: partial(_Bearer, bearer) for bearer in BearerMechanism},
        **{scram.value: partial(_Scram, scram) for scram in ScramMechanism},
    }
)


def exchange_named(name: bytes, others: Collection[str]) -> Exchange | None:
    """A new exchange of the mechanism called *name* (in any case), ``None`` for an unknown one.

    *others* are those that are offered besides PLAIN and LOGIN.
    """
    wanted = name.upper().decode("ascii", "replace")
    if wanted not in {Mechanism.PLAIN.value, Mechanism.LOGIN.value, *others}:
        return None
    return Exchange(_CONVERSATIONS[wanted]())


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


def first_message(offered: BearerToken | ScramOpening) -> bytes:
    """What a client of its mechanism begins with, in base64."""
    match offered:
        case BearerToken():
            return b64encode(bearer_message(offered))
        case ScramOpening(text=text):
            return b64encode(text)


def carrier(offered: Credentials, available: Collection[Mechanism]) -> Mechanism | None:
    """The mechanism that brings *offered* to the backend: the client's own if it is available.

    An authorization identity fits into PLAIN alone.
    """
    for mechanism in (offered.mechanism, Mechanism.PLAIN, Mechanism.LOGIN, Mechanism.COMMAND):
        if mechanism in available and (mechanism is Mechanism.PLAIN or not offered.authorization):
            return mechanism
    return None
