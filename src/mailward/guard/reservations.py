"""Places for guesses under way: failures and reservations of a subject never exceed its limit.

An attempt reserves a place with each of its subjects, or with none. Where there is no place it
waits in that subject's line, first come, first served, until a guess under way is settled. Nobody
can hold a place by stalling: it is taken only when the whole deciding message is in hand.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from operator import attrgetter

from mailward.rules.model import Attempt, Ban, Subject


@dataclass(eq=False, slots=True)
class Ticket:
    """The right to ask the backend once; to be settled exactly once."""

    attempt: Attempt
    subjects: tuple[Subject, ...]
    settled: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The attempt goes no further, because of *ban*."""

    ban: Ban


@dataclass(frozen=True, slots=True)
class Full:
    """*subject* has no place left while guesses for it are under way."""

    subject: Subject


Screening = Ticket | Refused
Step = Ticket | Refused | Full


@dataclass(eq=False, slots=True)
class _Waiter:
    attempt: Attempt
    arrived: int
    answer: asyncio.Future[Screening]
    subject: Subject


@dataclass(slots=True)
class Reservations:
    """The places held and the lines before them, by subject."""

    _open: set[Ticket] = field(default_factory=set)
    _held: dict[Subject, int] = field(default_factory=dict)
    _lines: dict[Subject, deque[_Waiter]] = field(default_factory=dict)
    _arrivals: Iterator[int] = field(default_factory=count)

    def held(self, subject: Subject) -> int:
        """How many guesses for *subject* are under way."""
        return self._held.get(subject, 0)

    def waiting(self, subject: Subject) -> int:
        """How many attempts wait for a place with *subject*."""
        return len(self._lines.get(subject, ()))

    def has_earlier(self, subject: Subject, arrived: int | None) -> bool:
        """Whether somebody waits for *subject* since before *arrived* (``None``: just now)."""
        line = self._lines.get(subject) if self._lines else None
        return line is not None and (arrived is None or line[0].arrived < arrived)

    @property
    def has_waiting(self) -> bool:
        """Whether anybody waits for anything."""
        return bool(self._lines)

    @property
    def under_way(self) -> int:
        """The places held in all."""
        return sum(self._held.values())

    def take(self, attempt: Attempt, subjects: tuple[Subject, ...]) -> Ticket:
        """Reserve a place with each of *subjects*; the caller has seen that there is one."""
        ticket = Ticket(attempt, subjects)
        self._open.add(ticket)
        self._hold(ticket)
        return ticket

    def give_back(self, ticket: Ticket) -> None:
        """End the reservation of *ticket*.

        Raises:
            ValueError: it was settled before.
        """
        if ticket.settled:
            raise ValueError("a ticket is settled once")
        ticket.settled = True
        self._open.discard(ticket)
        for subject in ticket.subjects:
            left = self._held.pop(subject) - 1
            if left:
                self._held[subject] = left

    def count_anew(self, subjects_of: Callable[[Attempt], tuple[Subject, ...]]) -> None:
        """Hold the places of the guesses under way with the subjects that new rules give them."""
        self._held.clear()
        for ticket in self._open:
            ticket.subjects = subjects_of(ticket.attempt)
            self._hold(ticket)

    async def wait(
        self, attempt: Attempt, full: Full, give_up: Callable[[Ticket], None]
    ) -> Screening:
        """Stand in line. Cancelling leaves it; a place that was just won goes to *give_up*."""
        answer: asyncio.Future[Screening] = asyncio.get_running_loop().create_future()
        waiter = _Waiter(attempt, next(self._arrivals), answer, full.subject)
        self._line_up(waiter)
        try:
            return await waiter.answer
        except asyncio.CancelledError:
            if waiter.answer.done() and not waiter.answer.cancelled():
                match waiter.answer.result():
                    case Ticket() as ticket:
                        give_up(ticket)
                    case Refused():
                        pass
            else:
                self._leave(waiter)
            raise

    def advance(self, subjects: Iterable[Subject], step: Callable[[Attempt, int], Step]) -> None:
        """Serve the lines of *subjects* as far as there are places, who came first before others.

        *step* decides on the attempt that is first in a line and arrived as the given one.
        """
        firsts: dict[int, _Waiter] = {}
        arrivals: list[int] = []

        def look_at(subject: Subject) -> None:
            if line := self._lines.get(subject):
                firsts[line[0].arrived] = line[0]
                heapq.heappush(arrivals, line[0].arrived)

        for subject in subjects:
            look_at(subject)
        while arrivals:
            waiter = firsts.pop(heapq.heappop(arrivals), None)
            if waiter is None:
                continue  # a line that was named twice
            subject = waiter.subject
            if waiter.answer.done():
                # Its client has just gone: cancelled already, but not yet out of the line.
                self._leave(waiter)
            else:
                match step(waiter.attempt, waiter.arrived):
                    case Full(other) if other == subject:
                        continue
                    case Full(other):
                        self._leave(waiter)
                        waiter.subject = other
                        self._line_up(waiter)
                    case Ticket() | Refused() as answer:
                        self._leave(waiter)
                        waiter.answer.set_result(answer)
            look_at(subject)

    def line_up_anew(self, step: Callable[[Attempt, int], Step]) -> None:
        """Let everybody who waits ask again: under new rules it may be for something else."""
        waiters = [waiter for line in self._lines.values() for waiter in line]
        self._lines.clear()
        for waiter in sorted(waiters, key=attrgetter("arrived")):
            if waiter.answer.done():
                continue  # its client has just gone
            match step(waiter.attempt, waiter.arrived):
                case Full(subject):
                    waiter.subject = subject
                    self._line_up(waiter)
                case Ticket() | Refused() as answer:
                    waiter.answer.set_result(answer)

    def lines(self) -> list[Subject]:
        """The subjects somebody waits for."""
        return list(self._lines)

    def _hold(self, ticket: Ticket) -> None:
        for subject in ticket.subjects:
            self._held[subject] = self._held.get(subject, 0) + 1

    def _line_up(self, waiter: _Waiter) -> None:
        line = self._lines.setdefault(waiter.subject, deque())
        place = len(line)
        # Who comes over from another line keeps his turn: it is his arrival that counts.
        while place and line[place - 1].arrived > waiter.arrived:
            place -= 1
        line.insert(place, waiter)

    def _leave(self, waiter: _Waiter) -> None:
        line = self._lines.get(waiter.subject)
        if line is None or waiter not in line:
            return
        line.remove(waiter)
        if not line:
            del self._lines[waiter.subject]
