"""What the connections share: all of them the house, those of one listener its entrance."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from mailward.backends.port import Backend, PassageBackend
from mailward.edges.complaints import Complaints
from mailward.edges.lobby import Lobby
from mailward.edges.tls import Keyring
from mailward.guard.service import Guard
from mailward.guard.tokens import Tokens
from mailward.rules.model import Address, Instant, Subject
from mailward.settings.configuration import DoorLimits, DoorTls

_log = logging.getLogger("mailward.session")

B = TypeVar("B", bound=Backend | PassageBackend)

Work = Callable[[], Coroutine[object, object, None]]


@dataclass(frozen=True, slots=True)
class House:
    """What every session of every door shares."""

    guard: Guard
    lobby: Lobby
    clock: Callable[[], Instant]
    tasks: asyncio.TaskGroup
    tokens: Tokens
    complaints: Complaints = field(default_factory=Complaints)

    def begin(self, work: Work, whose: str, end: Callable[[], None]) -> asyncio.Task[None]:
        """Do *work* for one connection beside all others; where it fails, *end* ends that one."""
        return self.tasks.create_task(_on_its_own(work, whose, end))

    def admits_one_more(
        self, address: Address, subject: Subject, *, is_direct: bool = False
    ) -> bool:
        """Whether *address*, counted as *subject*, may have one more connection waiting."""
        return self.lobby.has_room_for(subject) or self.guard.policy.exempts(
            address, is_direct=is_direct
        )


@dataclass(frozen=True, slots=True)
class Entrance(Generic[B]):
    """What the connections of one listener share, for as long as its configuration stays."""

    listener: str
    service: str
    backend: B
    limits: DoorLimits
    tls: DoorTls | None = None
    keyring: Keyring = field(default_factory=Keyring)


async def _on_its_own(work: Work, whose: str, end: Callable[[], None]) -> None:
    try:
        await work()
    except Exception:  # noqa: BLE001 -- in a TaskGroup it would end every session
        # One connection's fault is that connection's end, and nobody else's.
        _log.exception("%s ended by a fault of ours", whose)
        end()
