"""What ends with bans that an operator asks for: the sessions of the logins, and of addresses."""

from __future__ import annotations

from collections.abc import Sequence

from mailward.guard.service import Guard
from mailward.guard.sessions import LoggedIn
from mailward.rules.model import Instant, Login, Subject, SubjectKind


class Ending:
    """The sessions of *subjects*, looked for before the bans and after them.

    Those of a login end in any case, those of an address with *close*, unless it is allowed. They
    may be gone when it is their turn: the doors follow the bans, too. They count all the same.
    """

    def __init__(self, guard: Guard, subjects: Sequence[Subject], *, close: bool) -> None:
        self._guard = guard
        self._logins = [one for one in subjects if one.kind is SubjectKind.LOGIN]
        self._addresses = [one for one in subjects if close and one.kind is SubjectKind.ADDRESS]
        self._of_logins: dict[LoggedIn, None] = {}
        self._of_addresses: dict[LoggedIn, None] = {}

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
