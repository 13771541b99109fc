"""The sessions that are logged in: found by login, mailbox and address, listed, and ended.

Ending is for operators and manual bans alone. An automatic ban on a login ends none: a stranger can
cause it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from mailward.guard.bites import in_bites
from mailward.guard.journal import Event, Journal
from mailward.rules.addresses import NetworkTable, subject_network
from mailward.rules.model import Address, Instant, Login, Network, Subject, SubjectKind

_BITE = 50
"""So many sessions are ended between two looks at the connections: each ends two connections."""
KEPT_SECONDS = 300.0  # longer than any proof of credentials is good
MAX_CLOSED = 100_000


class Connection(Protocol):
    """The connections of one session."""

    def octets(self) -> tuple[int, int]:
        """How many octets came from the client and went to it, since the login."""
        ...

    def cut(self) -> None:
        """End all of them at once, without a word."""
        ...


@dataclass(slots=True, eq=False)
class LoggedIn:
    """One session. *login* is ``None`` where a token names its owner to the mail server alone.

    *mailbox* is the login whose mail is open: another one where a master user logged in. A
    *passage* has no login: it is ended with its address, but not listed.
    """

    connection: Connection
    address: Address
    login: Login | None
    mailbox: Login | None
    service: str
    listener: str
    session: str
    since: Instant
    is_direct: bool = True
    is_passage: bool = False
    number: int = 0

    @property
    def names(self) -> set[Login]:
        return {name for name in (self.login, self.mailbox) if name is not None}


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Some *sessions* of *total*; the *next* ones begin behind that number (``None``: no more)."""

    sessions: Sequence[LoggedIn]
    total: int
    next: int | None


class Sessions:
    """All sessions of this node that are logged in."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._last = 0
        self._listed: dict[int, LoggedIn] = {}  # in the order of their numbers
        self._by_name: dict[Login, set[LoggedIn]] = {}
        self._by_address: dict[Address, set[LoggedIn]] = {}
        self._closed: OrderedDict[Login, Instant] = OrderedDict()

    def __len__(self) -> int:
        return len(self._listed)

    def add(self, session: LoggedIn) -> None:
        """From now on *session* is logged in."""
        self._last += 1
        session.number = self._last
        self._by_address.setdefault(session.address, set()).add(session)
        if session.is_passage:
            return
        self._listed[session.number] = session
        for name in session.names:
            self._by_name.setdefault(name, set()).add(session)

    def remove(self, session: LoggedIn) -> None:
        """*session* has ended. Telling twice is harmless."""
        self._listed.pop(session.number, None)
        _discard(self._by_address, session.address, session)
        for name in session.names:
            _discard(self._by_name, name, session)

    async def of(self, subjects: Sequence[Subject]) -> list[LoggedIn]:
        """The sessions of any of *subjects*: one look for each, and one at all for networks."""
        found: dict[LoggedIn, None] = {}
        wide: NetworkTable[Network] = NetworkTable()
        async for bite in in_bites(subjects):
            for subject in bite:
                found.update(dict.fromkeys(self._at(subject, wide)))
        if wide:
            async for addresses in in_bites(list(self._by_address)):
                for address in filter(wide.covering, addresses):
                    found.update(dict.fromkeys(self._by_address.get(address, ())))
        return list(found)

    def _at(self, subject: Subject, wide: NetworkTable[Network]) -> Iterable[LoggedIn]:
        """The sessions of *subject*, found by one look; a network goes to *wide* instead."""
        match subject.kind:
            case SubjectKind.LOGIN:
                return self._by_name.get(Login(subject.name), ())
            case SubjectKind.ADDRESS:
                network = subject_network(subject)
                if network.prefixlen == network.max_prefixlen:
                    return self._by_address.get(network.network_address, ())
                wide.put(network, network)
                return ()
            case SubjectKind.OPERATOR:
                return ()  # each of an operator's requests is asked for its credentials

    async def page(
        self, subjects: Sequence[Subject] | None, after: int, at_most: int
    ) -> SessionPage:
        """The first *at_most* sessions behind the number *after*: all, or those of *subjects*."""
        if subjects is None:
            numbers = list(self._listed)
            start = bisect_right(numbers, after)
            sessions = [self._listed[number] for number in numbers[start : start + at_most]]
            total = len(numbers)
            is_more = start + at_most < total
        else:
            found = [one for one in await self.of(subjects) if not one.is_passage]
            behind = sorted(
                (one for one in found if one.number > after), key=lambda one: one.number
            )
            sessions, total, is_more = behind[:at_most], len(found), len(behind) > at_most
        return SessionPage(sessions, total, sessions[-1].number if is_more else None)

    async def close(self, subjects: Sequence[Subject], now: Instant) -> int:
        """End all sessions of *subjects*, and forget what was proven for their logins."""
        await self.forget(subjects, now)
        count = await self.end(await self.of(subjects))
        self.tell(subjects, count, now)
        return count

    async def end(self, sessions: Sequence[LoggedIn]) -> int:
        """End *sessions*, in bites; how many had not ended by themselves meanwhile."""
        count = 0
        async for bite in in_bites(sessions, _BITE):
            for session in bite:
                if session in self._by_address.get(session.address, ()):
                    self.remove(session)
                    session.connection.cut()
                    count += 1
        return count

    def tell(self, subjects: Sequence[Subject], count: int, now: Instant) -> None:
        """Record that *count* sessions of *subjects* were ended, if any were."""
        if count == 0:
            return
        only = subjects[0] if len(subjects) == 1 else None
        whose = {} if only is None else {only.kind.value: only.name}
        self._journal.write(Event.SESSIONS_CLOSED, now, **whose, count=count)

    async def forget(self, subjects: Sequence[Subject], now: Instant) -> None:
        """Let no credentials of these logins pass as proven that were so before *now*."""
        async for bite in in_bites(subjects):
            for subject in bite:
                if subject.kind is SubjectKind.LOGIN:
                    login = Login(subject.name)
                    self._closed[login] = now
                    self._closed.move_to_end(login)
            self._drop_old(2 * len(bite), now)

    def _drop_old(self, at_most: int, now: Instant) -> None:
        """Drop what is not needed any more, or too much: so that it goes down at last."""
        for _ in range(min(at_most, len(self._closed))):
            oldest = next(iter(self._closed))
            if len(self._closed) <= MAX_CLOSED and now - self._closed[oldest] < KEPT_SECONDS:
                break
            del self._closed[oldest]

    @property
    def has_forgotten(self) -> bool:
        """Whether :meth:`is_forgotten` may be so of anything. It seldom is."""
        return bool(self._closed)

    def is_forgotten(self, names: frozenset[Login], proven: Instant) -> bool:
        """Whether what was proven at *proven* for one of *names* is not to be believed."""
        return any(self._closed.get(name, proven - 1) >= proven for name in names)


K = TypeVar("K")


def _discard(index: dict[K, set[LoggedIn]], key: K, one: LoggedIn) -> None:
    found = index.get(key)
    if found is None:
        return
    found.discard(one)
    if not found:
        del index[key]
