"""What the connections share: all of them the house, those of one listener its entrance."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from mailward.backends.port import Backend
from mailward.edges.complaints import Complaints
from mailward.edges.lobby import Lobby
from mailward.edges.tls import Keyring
from mailward.guard.service import Guard
from mailward.guard.tokens import Tokens
from mailward.rules.model import Address, Instant, Subject
from mailward.settings.configuration import DoorLimits, DoorTls


@dataclass(frozen=True, slots=True)
class House:
    """What every session of every door shares."""

    guard: Guard
    lobby: Lobby
    clock: Callable[[], Instant]
    tasks: asyncio.TaskGroup
    tokens: Tokens
    complaints: Complaints = field(default_factory=Complaints)

    def admits_one_more(
        self, address: Address, subject: Subject, *, is_direct: bool = False
    ) -> bool:
        """Whether *address*, counted as *subject*, may have one more connection waiting."""
        return self.lobby.has_room_for(subject) or self.guard.policy.exempts(
            address, is_direct=is_direct
        )


@dataclass(frozen=True, slots=True)
class Entrance:
    """What the sessions of one listener share, for as long as its configuration stays."""

    listener: str
    service: str
    backend: Backend
    limits: DoorLimits
    tls: DoorTls | None = None
    keyring: Keyring = field(default_factory=Keyring)
