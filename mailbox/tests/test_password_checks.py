"""Password checks under attack: owners get in, and no answer tells which names exist."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Literal

import pytest
from argon2 import PasswordHasher, extract_parameters
from hypothesis import given
from hypothesis import strategies as st
from mailbox_testing.doors import PASSWORD, WEAK, Premises, premises
from mailward_mailbox.accounts.checking.accepted import MAX_ADDRESSES, MAX_PAIRS, AcceptedClients
from mailward_mailbox.accounts.checking.turns import BusyError, Rotation, TurnPlace, Turns
from mailward_mailbox.accounts.file import Account, AccountFile
from mailward_mailbox.accounts.hashes import Strength
from mailward_mailbox.accounts.scram import scram_keys

from mailward.wire.dialogue import Rejected, Unavailable
from mailward.wire.door import ScramMechanism, ScramOpening
from mailward.wire.secret import Secret

ATTACKERS = [IPv4Address(f"10.{n}.7.1") for n in range(200)]
"""In as many /24."""
OWNERS = range(30)


class RecordingHasher(PasswordHasher):
    """Keeps how much memory each comparison took, in KiB."""

    def __init__(self, memory_cost: int = 8) -> None:
        super().__init__(time_cost=1, memory_cost=memory_cost, parallelism=1)
        self.compared: list[int] = []

    def verify(self, *hash_and_password: str | bytes) -> Literal[True]:
        hashed = hash_and_password[0]
        assert isinstance(hashed, str)
        self.compared.append(extract_parameters(hashed).memory_cost)
        return super().verify(*hash_and_password)


def home(owner: int) -> IPv4Address:
    return IPv4Address(f"192.168.{owner}.1")


def name(owner: int) -> bytes:
    return b"owner%d" % owner


async def guess_on(house: Premises, client: IPv4Address, names: Sequence[bytes]) -> None:
    """Guess until cancelled, a new password each time."""
    number = 0
    while True:
        number += 1
        guess = Secret(b"wrong %d" % number)
        await house.server.accounts.verify(names[number % len(names)], guess, client)


@asynccontextmanager
async def besieged(folder: Path, hasher: RecordingHasher) -> AsyncIterator[Premises]:
    """30 accounts whose owners have logged in once, and 200 clients that guess."""
    # One at once: how the machine shares its cores changes no order then.
    async with premises(folder, replace(WEAK, hasher=hasher, at_once=1)) as house:
        for owner in OWNERS:
            await house.add(name(owner).decode())
            assert isinstance(await log_in(house, owner, home(owner)), Account)
        house.passes(61)
        async with asyncio.TaskGroup() as tasks:
            guessing = [
                tasks.create_task(guess_on(house, client, [*map(name, OWNERS), b"unknown"]))
                for client in ATTACKERS
            ]
            hasher.compared.clear()
            while len(hasher.compared) < len(ATTACKERS):  # noqa: ASYNC110 -- a thread counts
                await asyncio.sleep(0)
            yield house
            for task in guessing:
                task.cancel()


async def log_in(
    house: Premises, owner: int, client: IPv4Address
) -> Account | Rejected | Unavailable:
    return await house.server.accounts.verify(name(owner), Secret(PASSWORD), client)


async def test_owners_at_their_addresses_get_in_before_the_guesses_of_200_networks(
    tmp_path: Path,
) -> None:
    hasher = RecordingHasher()
    async with besieged(tmp_path, hasher) as house:
        before = len(hasher.compared)
        answers = await asyncio.gather(*(log_in(house, owner, home(owner)) for owner in OWNERS))
        checks = len(hasher.compared) - before
    assert all(isinstance(answer, Account) for answer in answers)
    # Three turns of four are kept for them: of 20 ms each, on two cores, that is 0.4 s.
    assert checks <= 4 * len(OWNERS) // 3 + 8


async def test_owners_at_new_addresses_get_in_within_one_round_of_all_networks(
    tmp_path: Path,
) -> None:
    hasher = RecordingHasher()
    async with besieged(tmp_path, hasher) as house:
        before = len(hasher.compared)
        away = [IPv4Address(f"172.16.{owner}.1") for owner in OWNERS]
        answers = await asyncio.gather(*(log_in(house, owner, away[owner]) for owner in OWNERS))
        checks = len(hasher.compared) - before
    assert all(isinstance(answer, Account) for answer in answers)
    assert checks <= len(ATTACKERS) + len(OWNERS) + 8


async def served(turns: Turns, places: Sequence[TurnPlace]) -> list[TurnPlace]:
    """The order in which all of *places*, which wait at the same time, have their turns."""
    order: list[TurnPlace] = []

    async def have_a_turn(place: TurnPlace) -> None:
        await turns.wait(place)
        order.append(place)
        turns.give_back()

    await turns.wait(TurnPlace())  # so that all others wait
    async with asyncio.TaskGroup() as tasks:
        for place in places:
            tasks.create_task(have_a_turn(place))
        await asyncio.sleep(0)
        turns.give_back()
    return order


async def test_a_network_full_of_attackers_gets_one_turn_a_round() -> None:
    attackers = [TurnPlace((b"attackers", b"%d" % n)) for n in range(50)]
    owner = TurnPlace((b"owner", b"1"))
    order = await served(Turns(1), [*attackers, owner])
    assert order.index(owner) <= 1


async def test_an_owner_in_a_network_full_of_attackers_waits_no_longer_than_its_addresses() -> None:
    loud = [TurnPlace((b"network", b"loud"))] * 50
    owner = TurnPlace((b"network", b"owner"))
    order = await served(Turns(1), [*loud, owner])
    assert order.index(owner) <= 1


async def test_three_turns_of_four_are_kept_and_neither_line_keeps_the_other_waiting() -> None:
    reserved = [TurnPlace((b"r%d" % n,), is_reserved=True) for n in range(9)]
    others = [TurnPlace((b"o%d" % n,)) for n in range(6)]
    order = await served(Turns(1), [*others, *reserved])
    assert [place.is_reserved for place in order] == [True, True, True, False] * 3 + [False] * 3


async def test_a_newcomer_takes_the_place_of_the_last_of_the_longest_group() -> None:
    turns = Turns(1, max_waiting=4)
    await turns.wait(TurnPlace())
    loud, owner = TurnPlace((b"loud",)), TurnPlace((b"owner",))
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(outcome(turns, place)) for place in (*[loud] * 4, owner, loud)]
        await asyncio.sleep(0)
        turns.give_back()
    assert [task.result() for task in waiting] == [True, True, True, False, True, False]


async def outcome(turns: Turns, place: TurnPlace) -> bool:
    """Whether there was a turn."""
    try:
        await turns.wait(place)
    except BusyError:
        return False
    turns.give_back()
    return True


async def test_a_wait_that_is_too_long_ends_and_takes_no_turn() -> None:
    turns = Turns(1, wait_seconds=0.01)
    await turns.wait(TurnPlace())
    assert not await outcome(turns, TurnPlace())
    turns.give_back()
    assert await outcome(turns, TurnPlace())


async def test_no_turn_is_lost_whatever_clients_do() -> None:
    turns, dice = Turns(2, max_waiting=6, wait_seconds=0.002), random.Random(14)

    async def have_a_turn(place: TurnPlace, steps: int) -> None:
        try:
            await turns.wait(place)
        except BusyError:
            return
        try:
            for _ in range(steps):
                await asyncio.sleep(0)
        finally:
            turns.give_back()

    for _ in range(60):
        async with asyncio.TaskGroup() as tasks:
            running = []
            for _ in range(20):
                place = TurnPlace((b"%d" % dice.randint(1, 4),), is_reserved=dice.random() < 0.5)
                running.append(tasks.create_task(have_a_turn(place, dice.randint(0, 9))))
            while running:
                await asyncio.sleep(dice.choice((0, 0, 0.001)))
                running.pop(dice.randrange(len(running))).cancel()
    for place in (TurnPlace(), TurnPlace()):
        await turns.wait(place)
    assert not await outcome(turns, TurnPlace())
    turns.give_back()
    assert await outcome(turns, TurnPlace())


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=40), st.data())
async def test_a_rotation_serves_groups_evenly_and_loses_none(
    paths: list[tuple[int, int]], data: st.DataObject
) -> None:
    rotation = Rotation()
    loop = asyncio.get_running_loop()
    waiting = {}
    for path in paths:
        entry = loop.create_future()
        waiting[entry] = tuple(b"%d" % part for part in path)
        rotation.add(waiting[entry], entry)
    for entry in (
        data.draw(st.lists(st.sampled_from(list(waiting)), unique=True)) if waiting else ()
    ):
        assert rotation.discard(waiting[entry], entry)
        assert not rotation.discard(waiting[entry], entry)
        del waiting[entry]
    taken: Counter[bytes] = Counter()
    while rotation.count:
        left = {path[0] for path in waiting.values()}
        entry = rotation.take()
        taken[waiting.pop(entry)[0]] += 1
        # A group that still waits has had as many turns as any other, or one less.
        assert min(taken[group] for group in left) >= max(taken.values()) - 1
    assert not waiting


def test_the_memory_of_accepted_clients_is_bounded() -> None:
    accepted = AcceptedClients()
    for number in range(MAX_ADDRESSES + 1):
        accepted.add("alice", IPv4Address(number))
    assert not accepted.place("alice", IPv4Address(0)).is_reserved
    assert accepted.place("alice", IPv4Address(MAX_ADDRESSES)).is_reserved
    for number in range(MAX_PAIRS):
        accepted.add(f"account {number}", IPv4Address(number))
    assert not accepted.place("alice", IPv4Address(MAX_ADDRESSES)).is_reserved
    assert accepted.place(f"account {MAX_PAIRS - 1}", IPv4Address(MAX_PAIRS - 1)).is_reserved


def test_an_owner_is_known_by_the_network_of_an_ipv6_address_and_by_nothing_of_an_account() -> None:
    accepted = AcceptedClients()
    accepted.add("alice", IPv6Address("2001:db8:1:2::1"))
    assert accepted.place("alice", IPv6Address("2001:db8:1:2:3::9")).is_reserved
    assert not accepted.place("alice", IPv6Address("2001:db8:1:3::1")).is_reserved
    assert not accepted.place("bob", IPv6Address("2001:db8:1:2::1")).is_reserved
    assert not accepted.place(None, IPv6Address("2001:db8:1:2::1")).is_reserved
    accepted.forget("alice")
    assert not accepted.place("alice", IPv6Address("2001:db8:1:2::1")).is_reserved


# -- old hashes and keys -----------------------------------------------------------------------

OLD = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
OLD_ROUNDS = 70_000


def put_old(folder: Path, *names: str) -> None:
    """Accounts as an earlier version stored them."""
    file = AccountFile(folder / "embedded" / "accounts.db")
    keys = scram_keys(Secret(PASSWORD), iterations=OLD_ROUNDS)
    file.put([Account(f"id {name}", name, OLD.hash(PASSWORD), keys) for name in names])
    file.close()


def stored(folder: Path) -> dict[str, Account]:
    file = AccountFile(folder / "embedded" / "accounts.db")
    _, accounts = file.load()
    file.close()
    return {account.name: account for account in accounts}


async def test_an_old_hash_and_old_keys_are_made_anew_at_the_next_right_login(
    tmp_path: Path,
) -> None:
    put_old(tmp_path, "alice")
    async with premises(tmp_path) as house:
        assert await house.login(b"alice", b"wrong") == Rejected()
        assert stored(tmp_path)["alice"].password.startswith("$argon2id$v=19$m=64,")
        await house.session()
        alice = stored(tmp_path)["alice"]
        assert alice.password.startswith("$argon2id$v=19$m=8,")
        assert alice.scram is not None
        assert alice.scram.iterations == 4_096
        await house.session()


async def test_new_hashes_are_argon2id_of_19_mib_and_new_keys_have_65536_rounds(
    tmp_path: Path,
) -> None:
    async with premises(tmp_path, Strength()) as house:
        await house.add("alice")
    alice = stored(tmp_path)["alice"]
    assert alice.password.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert alice.scram is not None
    assert alice.scram.iterations == 65_536


async def test_scram_is_not_offered_while_some_clients_would_refuse_an_accounts_keys(
    tmp_path: Path,
) -> None:
    put_old(tmp_path, "alice", "bob")
    async with premises(tmp_path) as house:
        accounts = house.server.accounts
        assert not accounts.has_scram
        await house.session(b"alice")
        assert not accounts.has_scram
        assert [view.has_scram for view in accounts.everybody()] == [True, False]
        await accounts.set_enabled("bob", is_enabled=False)
        assert accounts.has_scram


async def rounds(house: Premises, name: bytes) -> bytes:
    """What a SCRAM exchange says of *name*: the length of the salt, and the number of rounds."""
    opening = ScramOpening(ScramMechanism.SHA_256, name, b"abc", b"n,,n=%b,r=abc" % name)
    begun = house.server.accounts.open_scram(opening)
    assert not isinstance(begun, Unavailable)
    server, _ = begun
    _, salt, iterations = server.challenge.split(b",")
    return b"%d,%b" % (len(salt), iterations)


@pytest.mark.parametrize("olds", [0, 5, 10])
async def test_as_many_unknown_names_look_old_as_accounts_are(tmp_path: Path, olds: int) -> None:
    hasher = RecordingHasher()
    put_old(tmp_path, *(f"old{n}" for n in range(olds)))
    async with premises(tmp_path, replace(WEAK, hasher=hasher)) as house:
        for number in range(10 - olds):
            await house.add(f"new{number}")
        seen = Counter([await rounds(house, b"unknown%d" % n) for n in range(300)])
        assert seen.keys() <= {
            await rounds(house, account.name.encode()) for account in stored(tmp_path).values()
        }
        assert abs(seen[b"26,i=%d" % OLD_ROUNDS] - 30 * olds) <= 40
        hasher.compared.clear()
        for number in range(60):
            assert await house.login(b"unknown%d" % number, PASSWORD) == Rejected()
        assert abs(hasher.compared.count(64) - 6 * olds) <= 20
        # And each name looks the same each time.
        assert len({await rounds(house, b"unknown") for _ in range(5)}) == 1


async def test_unknown_names_follow_accounts_whose_keys_are_made_anew(tmp_path: Path) -> None:
    put_old(tmp_path, "alice", "bob")
    async with premises(tmp_path) as house:
        await house.add("carl")
        names = [b"unknown%d" % n for n in range(50)]
        looked_new = set[bytes]()
        for owner in (b"alice", b"bob"):
            new = {one for one in names if b"i=4096" in await rounds(house, one)}
            assert looked_new <= new
            looked_new = new
            await house.session(owner)
        assert all([b"i=4096" in await rounds(house, one) for one in names])
