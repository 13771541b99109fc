"""Who receives the connections of a listener: sessions of mail, passages, visits of operators."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

from mailward.backends.port import Backend, PassageBackend, WebBackend
from mailward.edges.asker import Terms
from mailward.edges.caller import Caller
from mailward.edges.house import B, Entrance, House
from mailward.edges.passage import Passage
from mailward.edges.session import DoorSession
from mailward.edges.tls import Keyring
from mailward.edges.visit import Speak, Visit
from mailward.settings.configuration import DoorLimits, DoorTls
from mailward.wire.door import Door
from mailward.wire.passage import Passing


@dataclass(frozen=True, slots=True)
class _ClientReception(Generic[B]):
    """For whoever is to be brought to a *backend* (its name)."""

    house: House
    entrance: Entrance[B]
    backend: str
    proxy_protocol: bool

    @property
    def listener(self) -> str:
        return self.entrance.listener

    @property
    def service(self) -> str:
        return self.entrance.service

    @property
    def state(self) -> str:
        return self.entrance.backend.state

    @property
    def limits(self) -> DoorLimits:
        return self.entrance.limits

    def handshake(self) -> ssl.SSLContext | None:
        """What TLS begins with, if it begins with the connection."""
        return _context(self.entrance.tls, self.entrance.keyring)


@dataclass(frozen=True, slots=True)
class MailReception(_ClientReception[Backend]):
    """For mail clients: *make_door* makes what speaks with them."""

    make_door: Callable[[Entrance[Backend], Caller], Door]

    def crowded(self, caller: Caller) -> bytes:
        """What is said to somebody for whom there is no room."""
        if self.handshake() is not None:
            return b""
        return self.make_door(self.entrance, caller).crowded()

    def receive(self, caller: Caller) -> DoorSession:
        door = self.make_door(self.entrance, caller)
        return DoorSession(self.house, self.entrance, door, caller)


@dataclass(frozen=True, slots=True)
class PassageReception(_ClientReception[PassageBackend]):
    """For whoever passes without a login: *make_machine* makes what looks at what he says."""

    make_machine: Callable[[Caller], Passing]

    def crowded(self, caller: Caller) -> bytes:
        return b"" if self.handshake() is not None else self.make_machine(caller).crowded()

    def receive(self, caller: Caller) -> Passage:
        return Passage(self.house, self.entrance, self.make_machine(caller), caller)


@dataclass(frozen=True, slots=True)
class VisitReception:
    """For HTTP: *speak* speaks with whoever comes; *before* is the backend, if there is one."""

    house: House
    listener: str
    service: str
    speak: Speak
    limits: DoorLimits
    terms: Terms
    tls: DoorTls | None
    keyring: Keyring
    proxy_protocol: bool = False
    before: WebBackend | None = None
    full: bytes = b""
    """What is said to somebody for whom there is no room."""

    @property
    def backend(self) -> str:
        """Empty for operators: they talk with us."""
        return "" if self.before is None else self.before.name

    @property
    def state(self) -> str:
        return "open" if self.before is None else self.before.state

    def handshake(self) -> ssl.SSLContext | None:
        return _context(self.tls, self.keyring)

    def crowded(self, _: Caller) -> bytes:
        return b"" if self.handshake() is not None else self.full

    def receive(self, caller: Caller) -> Visit:
        return Visit(
            *(self.house, self.listener, self.service, self.speak, self.limits, self.terms, caller)
        )


Reception = MailReception | PassageReception | VisitReception
Session = DoorSession | Passage | Visit


def _context(tls: DoorTls | None, keyring: Keyring) -> ssl.SSLContext | None:
    return keyring.context(tls.certificate) if tls is not None and tls.implicit else None
