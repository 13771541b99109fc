"""A guard in a test: a store, a policy, a hand-turned clock, and a writer that runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

import pytest

from mailward.guard.journal import Journal
from mailward.guard.reservations import Refused, Screening, Ticket
from mailward.guard.service import Guard
from mailward.rules.addresses import NetworkTable, parse_network
from mailward.rules.judge import Verdict
from mailward.rules.limits import parse_limit
from mailward.rules.model import Attempt, Instant, Network, Outcome
from mailward.rules.policy import Policy
from mailward.stores.memory import MemoryStore
from mailward.stores.port import Change, Store, StoreError

NOON = Instant(1_790_000_000.0)


@dataclass
class FailingStore(MemoryStore):
    """A store whose disk can be full."""

    full: bool = False
    committed: Callable[[], object] | None = None
    """What happens right after a commit, before anybody hears of it."""

    def __post_init__(self) -> None:
        super().__init__()

    async def commit(self, changes: Sequence[Change], *, durable: bool) -> None:
        if self.full:
            raise StoreError("the disk is full; make room")
        await super().commit(changes, durable=durable)
        if self.committed is not None:
            self.committed()


@dataclass
class Scene:
    """A guard and the hands that work it."""

    store: FailingStore = field(default_factory=FailingStore)
    policy: Policy = field(default_factory=lambda: policy("3/1h"))
    now: Instant = NOON
    guard: Guard = field(init=False)
    _writing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        contents = await self.store.load()
        self.guard = Guard(self.store, self.policy, Journal(), contents, self.now)
        self._writing = asyncio.get_running_loop().create_task(self.guard.writer.run())

    async def stop(self) -> None:
        await self.guard.writer.close()
        if self._writing is not None:
            await self._writing

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    def attempt(self, address: str, login: str | None = "ada") -> Attempt:
        policy = self.guard.policy
        name = None if login is None else policy.naming.login(login.encode())
        return Attempt(policy.prefixes.fold(ip_address(address)), name, "imap")

    async def screen(self, address: str, login: str | None = "ada") -> Screening:
        return await self.guard.screen(self.attempt(address, login), self.now)

    async def ticket(self, address: str, login: str | None = "ada") -> Ticket:
        screening = await self.screen(address, login)
        assert isinstance(screening, Ticket)
        return screening

    async def try_to_log_in(
        self, address: str, login: str | None = "ada", outcome: Outcome = Outcome.FAILED
    ) -> Verdict | Refused:
        match await self.screen(address, login):
            case Ticket() as ticket:
                return await self.guard.settle(ticket, outcome, self.now)
            case Refused() as refused:
                return refused

    def later(self, seconds: float) -> None:
        self.now = Instant(self.now + seconds)


def policy(limit: str, login_limit: str | None = None, **rest: object) -> Policy:
    return Policy(
        address_limit=parse_limit(limit),
        login_limit=parse_limit(login_limit or limit),
        **rest,  # type: ignore[arg-type] # the tests' shorthand
    )


def allowing(*networks: str) -> NetworkTable[Network]:
    table: NetworkTable[Network] = NetworkTable()
    for network in map(parse_network, networks):
        table.put(network, network)
    return table


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    await made.start()
    yield made
    await made.stop()


__all__ = ["NOON", "FailingStore", "Scene", "Store", "allowing", "policy"]
