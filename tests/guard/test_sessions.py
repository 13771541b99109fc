"""The index of sessions: found without looking at all of them, ended without holding anybody up."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

import pytest

from mailward.guard.journal import Event, Journal
from mailward.guard.sessions import KEPT_SECONDS, MAX_CLOSED, LoggedIn, Sessions
from mailward.rules.model import Instant, Login, Subject, SubjectKind

NOON = Instant(1_790_000_000.0)


@dataclass(eq=False)
class Line:
    """The connection of a session."""

    is_cut: bool = False

    def octets(self) -> tuple[int, int]:
        return 1, 2

    def cut(self) -> None:
        assert not self.is_cut
        self.is_cut = True


def session(
    login: str | None = "ada",
    address: str = "192.0.2.1",
    mailbox: str | None = None,
    *,
    is_passage: bool = False,
) -> LoggedIn:
    return LoggedIn(
        Line(),
        ip_address(address),
        None if login is None else Login(login),
        Login(mailbox) if mailbox is not None else None if login is None else Login(login),
        *("imap", "imaps", "0a0b0c0d", NOON),
        is_passage=is_passage,
    )


def login(name: str) -> Subject:
    return Subject(SubjectKind.LOGIN, name)


def network(name: str) -> Subject:
    return Subject(SubjectKind.ADDRESS, name)


@pytest.fixture
def sessions() -> Sessions:
    return Sessions(Journal())


async def test_a_session_is_found_by_each_of_its_names_and_gone_with_its_end(
    sessions: Sessions,
) -> None:
    master, own = session("boss", mailbox="ada"), session("ada", "2001:db8::7")
    token, passing = session(None), session(None, is_passage=True)
    for one in (master, own, token, passing):
        sessions.add(one)
    assert set(await sessions.of([login("ada")])) == {master, own}
    assert await sessions.of([login("boss"), login("ada"), login("boss")]) == [master, own]
    assert await sessions.of([network("2001:db8::/32")]) == [own]
    assert set(await sessions.of([network("192.0.2.1")])) == {master, token, passing}
    assert set(await sessions.of([network("192.0.0.0/16"), network("2001:db8::7")])) == {
        *(master, own, token, passing)
    }
    assert await sessions.of([login("nobody"), network("192.0.2.2"), login("192.0.2.1")]) == []
    for one in (master, own, token, passing, own):
        sessions.remove(one)
    assert len(sessions) == 0
    assert await sessions.of([login("ada"), network("0.0.0.0/0"), network("::/0")]) == []


async def test_pages_follow_each_other_without_a_gap_while_sessions_come_and_go(
    sessions: Sessions,
) -> None:
    made = [session("ada" if number % 2 else "bob") for number in range(10)]
    for one in (*made, session(None, is_passage=True)):
        sessions.add(one)
    first = await sessions.page(None, 0, 4)
    assert (list(first.sessions), first.total) == (made[:4], 10)
    sessions.remove(made[1])
    sessions.remove(made[3])
    sessions.remove(made[4])
    assert first.next is not None
    second = await sessions.page(None, first.next, 4)
    assert list(second.sessions) == made[5:9]
    assert second.next is not None
    last = await sessions.page(None, second.next, 4)
    assert (list(last.sessions), last.next, last.total) == (made[9:], None, 7)
    of_ada = await sessions.page([login("ada")], 0, 2)
    assert (list(of_ada.sessions), of_ada.total) == ([made[5], made[7]], 3)
    assert of_ada.next is not None
    assert (await sessions.page([login("ada")], of_ada.next, 2)).next is None


async def test_10000_sessions_are_closed_without_holding_anybody_up(sessions: Sessions) -> None:
    made = [session("ada", str(IPv4Address(0x0A000000 + number))) for number in range(10_000)]
    for one in made:
        sessions.add(one)
    longest = 0.0

    async def look() -> None:
        nonlocal longest
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0)
            longest = max(longest, time.perf_counter() - before)

    async with asyncio.TaskGroup() as tasks:
        looking = tasks.create_task(look())
        assert await sessions.close([login("ada")], NOON) == 10_000
        looking.cancel()
    assert all(isinstance(one.connection, Line) and one.connection.is_cut for one in made)
    assert longest < 0.05
    assert await sessions.close([login("ada")], NOON) == 0  # they are gone already


async def test_one_that_has_left_meanwhile_is_not_counted(sessions: Sessions) -> None:
    one = session()
    sessions.add(one)
    found = await sessions.of([login("ada")])
    sessions.remove(one)
    assert await sessions.end(found) == 0
    assert isinstance(one.connection, Line)
    assert not one.connection.is_cut


async def test_what_is_forgotten_is_kept_for_a_while_and_bounded(sessions: Sessions) -> None:
    ada = frozenset({Login("ada"), Login("boss")})
    assert not sessions.has_forgotten
    await sessions.forget([login("ada")], NOON)
    assert sessions.is_forgotten(ada, NOON)
    assert not sessions.is_forgotten(ada, Instant(NOON + 1))
    later = Instant(NOON + KEPT_SECONDS)
    await sessions.forget([login("bob")], later)
    assert not sessions.is_forgotten(ada, NOON)
    await sessions.forget([login(f"u{number}") for number in range(MAX_CLOSED)], later)
    assert not sessions.is_forgotten(frozenset({Login("bob")}), NOON)
    assert sessions.is_forgotten(frozenset({Login("u0")}), NOON)


async def test_the_journal_tells_of_sessions_that_were_ended(sessions: Sessions) -> None:
    journal = Journal()
    sessions = Sessions(journal)
    with journal.entries.follow() as news:
        sessions.add(session())
        await sessions.close([login("ada")], NOON)
        await sessions.close([login("ada")], NOON)
        sessions.add(session())
        await sessions.close([login("ada"), login("bob")], NOON)
        entries = await anext(news.batches())
    assert [str(entry) for entry in entries] == [
        "sessions.closed login=ada count=1",
        "sessions.closed count=1",
    ]
    assert {entry.event for entry in entries} == {Event.SESSIONS_CLOSED}
