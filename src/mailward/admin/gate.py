"""Who may manage from afar: the guard first, then the operator's name and password.

A guess is counted like one at any mail door: for its address, and for the operator it names. A
request without credentials is no guess: a browser sends one before it asks for a password, and a
web page can make it send as many as it likes.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, VerifyMismatchError

from mailward.guard.reservations import Refused, Ticket
from mailward.guard.service import Guard
from mailward.rules.logins import operator_name
from mailward.rules.model import Address, Attempt, Ban, Instant, Outcome, Subject, SubjectKind
from mailward.settings.configuration import Operator
from mailward.wire.secret import Secret

SERVICE = "manage"

WAIT_SECONDS = 20.0
"""So long a guess waits for others that are under way; a client gives up after 30 s or more."""
_AT_ONCE = 2
"""Hashes computed at the same time: each takes a core, and 64 MiB with the usual parameters."""
_MAX_IN_LINE = 40  # hashes; more could not be computed before their clients give up
MAX_IN_LINE_PER_ADDRESS = 4
MAX_BURST = 20
"""Hashes for one address at once; after them one in :data:`SECONDS_PER_HASH`."""
SECONDS_PER_HASH = 3.0
MAX_ADDRESSES = 10_000  # whose hashes are known; of more the one that is longest idle is forgotten

_log = logging.getLogger("mailward.manage")


@dataclass(frozen=True, slots=True)
class Offered:
    """Credentials as they came."""

    user: bytes
    password: Secret


@dataclass(frozen=True, slots=True)
class Welcome:
    """They are the operator's."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """They are not. It was counted."""


@dataclass(frozen=True, slots=True)
class Unnamed:
    """There are none, or none that can be read. Nothing was counted."""


@dataclass(frozen=True, slots=True)
class ShutOut:
    """The address is banned."""


@dataclass(frozen=True, slots=True)
class LockedOut:
    """The operator is banned, by *ban*; nobody looked at the password."""

    ban: Ban


@dataclass(frozen=True, slots=True)
class Busy:
    """There was no time to look; nothing was counted."""


Answer = Welcome | Wrong | Unnamed | ShutOut | LockedOut | Busy


class _BusyError(Exception):
    """Nobody can say now whether a password is right."""


@dataclass(slots=True)
class _Load:
    """The hashes for one address: so many *in_line*, and *paid_until* by the rate of all."""

    in_line: int = 0
    paid_until: float = 0.0


@dataclass(slots=True)
class Shares:
    """What each address may use of the processor: so many hashes at once, and in a time.

    The limits of the guard do not bound it: an address may be allowed, or its limit high.
    """

    _loads: OrderedDict[Subject, _Load] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        """How many addresses are known."""
        return len(self._loads)

    def take(self, address: Subject, now: Instant) -> bool:
        """Take a share at *now*, to be given back; whether there is one."""
        load = self._loads.get(address)
        if load is None:
            load = self._loads[address] = _Load()
            self._forget_one()
        self._loads.move_to_end(address)
        paid_until = max(load.paid_until, now) + SECONDS_PER_HASH
        is_too_much = paid_until - now > MAX_BURST * SECONDS_PER_HASH
        if is_too_much or load.in_line >= MAX_IN_LINE_PER_ADDRESS:
            return False
        load.paid_until = paid_until
        load.in_line += 1
        return True

    def give_back(self, address: Subject) -> None:
        """The hash is computed."""
        load = self._loads.get(address)
        if load is not None:  # else it was forgotten, in a flood of addresses
            load.in_line = max(0, load.in_line - 1)

    def _forget_one(self) -> None:
        if len(self._loads) > MAX_ADDRESSES:
            self._loads.popitem(last=False)


@dataclass(slots=True)
class _Hashes:
    """Compares passwords with hashes, a few at a time and beside the event loop."""

    _hasher: PasswordHasher = field(default_factory=PasswordHasher)
    _in_line: int = 0
    _shares: Shares = field(default_factory=Shares)
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="argon2")
    )

    async def match(self, hashed: str, password: Secret, asker: Subject, now: Instant) -> bool:
        """Whether *hashed* is the hash of *password*, which *asker* has sent at *now*.

        Raises:
            _BusyError: too many ask at once, or *asker* too often, or the hash cannot be computed.
        """
        if self._in_line >= _MAX_IN_LINE or not self._shares.take(asker, now):
            raise _BusyError
        self._in_line += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, self._compare, hashed, password
            )
        finally:
            self._in_line -= 1
            self._shares.give_back(asker)

    def close(self) -> None:
        """Compute nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _compare(self, hashed: str, password: Secret) -> bool:
        try:
            return self._hasher.verify(hashed, password.reveal())
        except VerifyMismatchError:
            return False
        except Argon2Error as error:
            _log.error("management.admin.secret cannot be used: %s", error)
            raise _BusyError from None


class Gate:
    """Lets *operator* in, and nobody while there is none."""

    def __init__(
        self, guard: Guard, clock: Callable[[], Instant], operator: Operator | None
    ) -> None:
        self.guard = guard
        self._clock = clock
        self._operator = operator
        self._hashes = _Hashes()
        self._key = secrets.token_bytes(32)
        self._proven: bytes | None = None

    def adopt(self, operator: Operator | None) -> None:
        """From now on it is *operator*."""
        if operator != self._operator:
            self._operator = operator
            self._proven = None

    def close(self) -> None:
        self._hashes.close()

    def is_locked(self, offered: Offered | None) -> bool:
        """Whether the operator of *offered* is banned by hand: streams that he follows end then."""
        name = None if offered is None else operator_name(offered.user)
        return self.guard.is_locked(name, self._clock(), SubjectKind.OPERATOR)

    async def ask(
        self, offered: Offered | None, address: Address, listener: str, *, is_direct: bool = False
    ) -> Answer:
        """Whether whoever is at *address* may come in with what he *offered*.

        *is_direct*: the connection itself comes from there.
        """
        if offered is None:
            ban = self.guard.admit(address, self._clock(), is_direct=is_direct)
            return Unnamed() if ban is None else ShutOut()
        name = operator_name(offered.user)
        attempt = Attempt(
            address, name, SERVICE, listener, kind=SubjectKind.OPERATOR, is_direct=is_direct
        )
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                screening = await self.guard.screen(attempt, self._clock())
        except TimeoutError:
            return Busy()
        match screening:
            case Refused(ban) if ban.subject.kind is SubjectKind.ADDRESS:
                return ShutOut()
            case Refused(ban):
                return LockedOut(ban)
            case Ticket() as ticket:
                return await self._judge(ticket, offered)

    async def _judge(self, ticket: Ticket, offered: Offered) -> Answer:
        outcome = Outcome.UNAVAILABLE
        try:
            is_right = await self._is_right(offered, ticket.attempt.address)
            outcome = Outcome.SUCCEEDED if is_right else Outcome.FAILED
        except _BusyError:
            return Busy()
        finally:
            # Whatever happened: nobody waits for a place that is never given back.
            await self.guard.settle(ticket, outcome, self._clock())
        return Welcome() if is_right else Wrong()

    async def _is_right(self, offered: Offered, address: Address) -> bool:
        operator = self._operator
        if operator is None:
            return False
        digest = self._digest(offered)
        # What was proven before need not be computed again: a script makes a thousand requests.
        if self._proven is not None and hmac.compare_digest(digest, self._proven):
            return True
        # The hash is computed for a wrong name, too: the time tells nothing of names.
        asker = self.guard.policy.prefixes.subject(address)
        has_password = await self._hashes.match(
            operator.secret, offered.password, asker, self._clock()
        )
        has_name = hmac.compare_digest(operator.user.encode(), offered.user)
        is_right = has_password and has_name
        if is_right and operator is self._operator:
            self._proven = digest
        return is_right

    def _digest(self, offered: Offered) -> bytes:
        # The name holds no colon, so two pairs are never the same text.
        pair = offered.user + b":" + offered.password.reveal()
        return hmac.digest(self._key, pair, "sha256")
