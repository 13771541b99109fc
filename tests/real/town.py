"""All four doors of one mailward, open to guesses in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from tests.real.attack import Door, Told, guess
from tests.real.conftest import ACCOUNTS
from tests.real.daemon import Mailward
from tests.real.jmap import WRONG, JmapDoor

_STATUS = {401: Told.WRONG, 429: Told.LATER, 200: Told.OK, None: Told.DROPPED}


class Town:
    """A mailward with a door for each service; *jmap* is the one for HTTP."""

    def __init__(self, ward: Mailward, jmap: JmapDoor) -> None:
        self.ward = ward
        self.jmap = jmap

    def guesses(self) -> Sequence[Callable[..., Told]]:
        """What makes one guess, for each service: login, password, where from."""
        return [self._at_jmap, *(partial(self._at, door) for door in self.ward.doors)]

    def guess(self, number: int, login: str, source: str) -> Callable[[], Told]:
        """The guess with this *number*: the doors take turns."""
        return partial(self.guesses()[number % 4], login, WRONG, source)

    def told_everywhere(self, login: str, source: str) -> list[Told]:
        """What whoever knows the password of *login* is told at each door."""
        return [each(login, ACCOUNTS[login], source) for each in self.guesses()]

    def _at_jmap(self, login: str, password: str, source: str) -> Told:
        return _STATUS[self.jmap.told(login, password, source)]

    def _at(self, door: Door, login: str, password: str, source: str) -> Told:
        return guess(door, login, password, source=source)
