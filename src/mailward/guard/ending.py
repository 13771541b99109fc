"""What ends with bans that an operator asks for: the sessions of the logins, and of addresses."""

from __future__ import annotations

from collections.abc import Sequence

from mailward.guard.service import Guard
from mailward.guard.sessions import LoggedIn
from mailward.rules.model import Instant, Login, Subject, SubjectKind


class Ending:
    """The sessions of the subjects that are included, looked for before the bans and after them.

    They may be gone when it is their turn: the doors follow the bans, too. They count all the same.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._logins: list[Subject] = []
        self._addresses: list[Subject] = []
        self._of_logins: dict[LoggedIn, None] = {}
        self._of_addresses: dict[LoggedIn, None] = {}

    def include(self, subjects: Sequence[Subject], *, close: bool) -> None:
        """Sessions of a login end in any case, those of an address with *close*, unless allowed."""
        self._logins += (one for one in subjects if one.kind is SubjectKind.LOGIN)
        if close:
            self._addresses += (one for one in subjects if one.kind is SubjectKind.ADDRESS)

    async def look(self) -> None:
        """Find those that there are now."""
        sessions = self._guard.sessions
        self._of_logins.update(dict.fromkeys(await sessions.of(self._logins)))
        self._of_addresses.update(dict.fromkeys(await sessions.of(self._addresses)))

    @property
    def names(self) -> set[Login]:
        """The logins and mailboxes of the sessions that were found."""
        return {name for one in self._of_logins for name in one.names}

    async def end(self, now: Instant) -> int:
        """End them; how many they were."""
        await self._guard.sessions.forget(self._logins, now)
        await self.look()
        banned = {
            one: None
            for one in self._of_addresses
            if self._guard.admit(one.address, now, is_direct=one.is_direct) is not None
        }
        found = list(self._of_logins | banned)
        ended = await self._guard.sessions.end(found)
        self._guard.sessions.tell([*self._logins, *self._addresses], ended, now)
        return len(found)
