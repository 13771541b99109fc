"""SCRAM and bearer tokens at the doors: what counts, when, and what nobody has to wait for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from scramp import ScramClient  # type: ignore[import-untyped] # it has no types of its own

from mailward.rules.model import Subject, SubjectKind
from mailward.settings.configuration import Protocol
from tests.edges.house import Premises, limits, open_house, policy, until
from tests.edges.sasl import (
    OFFERS,
    Directory,
    call,
    is_challenge,
    is_in,
    is_later,
    is_malformed,
    is_wrong,
    text,
)

both_loops = True

ADA = Subject(SubjectKind.LOGIN, "ada")
HERE = Subject(SubjectKind.ADDRESS, "127.0.0.1")
DOORS = pytest.mark.parametrize("protocol", Protocol, ids=lambda protocol: protocol.value)


@asynccontextmanager
async def house_of(
    protocol: Protocol, limit: str = "3/1h", **doors: int
) -> AsyncIterator[tuple[Premises, Directory]]:
    """A house whose mail server knows the mechanisms, over *protocol*."""
    directory = Directory()
    async with open_house(policy(limit), limits(**doors), offers=OFFERS) as house:
        house.server.behaviour = {
            Protocol.IMAP: directory.imap,
            Protocol.SUBMISSION: directory.submission,
            Protocol.MANAGESIEVE: directory.managesieve,
        }[protocol]
        yield house, directory


def count(house: Premises, subject: Subject) -> int:
    limit = house.guard.policy.limit(subject.kind)
    assert limit is not None
    return house.guard.tallies[subject.kind].count(subject.name, limit, house.now[0])


@DOORS
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-1"])
async def test_who_proves_the_password_is_in_and_sees_the_servers_proof_first(
    protocol: Protocol, mechanism: str
) -> None:
    async with house_of(protocol) as (house, directory):
        caller = await call(house, protocol)
        assert is_in(await caller.scram("ada", "right", mechanism))
        assert (await caller.say(b"NOOP")).endswith(b"NOOP\r\n")
        caller.writer.close()
        assert directory.guesses == ["ada"]
        assert count(house, ADA) == 0


@DOORS
async def test_a_wrong_proof_counts_once_and_a_banned_login_is_refused_at_its_name(
    protocol: Protocol,
) -> None:
    async with house_of(protocol) as (house, directory):
        for guesses in (1, 2, 3):
            caller = await call(house, protocol, f"127.0.1.{guesses}")
            assert is_wrong(await caller.scram("ada", "wrong"))
            assert count(house, ADA) == guesses
            caller.writer.close()
        assert directory.openings == 3
        caller = await call(house, protocol)
        assert is_later(await caller.scram("ADA", "right"))
        caller.writer.close()
        assert directory.openings == 3  # the server was not even told the name


@DOORS
async def test_giving_up_before_the_proof_is_no_failure(protocol: Protocol) -> None:
    async with house_of(protocol, "1/1h") as (house, directory):
        first = "n,,n=ada,r=abcdefgh"
        for word in (b"*", b"", b"bm9uc2Vuc2U="):
            caller = await call(house, protocol)
            assert is_challenge(await caller.begin("SCRAM-SHA-256", first))
            assert is_malformed(await caller.respond(word))
            caller.writer.close()
        caller = await call(house, protocol)
        assert is_challenge(await caller.begin("SCRAM-SHA-256", first))
        caller.writer.transport.abort()
        await until(lambda: directory.connections == 0)  # nor is the server kept waiting
        assert directory.guesses == []
        assert count(house, ADA) == count(house, HERE) == 0


@DOORS
async def test_who_stalls_in_an_exchange_holds_no_place(protocol: Protocol) -> None:
    async with house_of(protocol, "1/1h") as (house, directory):
        stalled = [await call(house, protocol, f"127.0.1.{n}") for n in range(1, 21)]
        for caller in stalled:
            assert is_challenge(await caller.begin("SCRAM-SHA-256", "n,,n=ada,r=abcdefgh"))
        assert house.guard.reservations.under_way == 0
        owner = await call(house, protocol)
        assert is_in(await owner.scram("ada", "right"))
        for caller in (*stalled, owner):
            caller.writer.close()
        await until(lambda: directory.connections == 0)


async def test_a_stalled_exchange_ends_with_the_login_time_here_and_at_the_server() -> None:
    async with house_of(Protocol.IMAP, login_timeout=300) as (house, directory):
        caller = await call(house, Protocol.IMAP)
        assert is_challenge(await caller.begin("SCRAM-SHA-256", "n,,n=ada,r=abcdefgh"))
        assert directory.connections == 1
        assert (await caller.reader.readline()).startswith(b"* BYE The time")
        await until(lambda: directory.connections == 0)
        caller.writer.close()


@DOORS
async def test_20_exchanges_at_once_make_exactly_as_many_guesses_as_the_limit(
    protocol: Protocol,
) -> None:
    async with house_of(protocol, "5/1h") as (house, directory):
        directory.before_answer = lambda: asyncio.sleep(0.02)
        callers = [await call(house, protocol, f"127.0.1.{n}") for n in range(1, 21)]
        answers = await asyncio.gather(*(caller.scram("ada", "wrong") for caller in callers))
        assert len(directory.guesses) == 5
        assert (sum(map(is_wrong, answers)), sum(map(is_later, answers))) == (5, 15)
        for caller in callers:
            caller.writer.close()


@pytest.mark.parametrize("protocol", [Protocol.IMAP, Protocol.SUBMISSION])  # where it is shown
@pytest.mark.parametrize("word", [b"*", None])
async def test_turning_away_from_the_servers_proof_is_no_failure(
    protocol: Protocol, word: bytes | None
) -> None:
    async with house_of(protocol) as (house, directory):
        caller = await call(house, protocol)
        client = ScramClient(["SCRAM-SHA-256"], "ada", "right")
        client.set_server_first(
            text(await caller.begin("SCRAM-SHA-256", client.get_client_first()))
        )
        assert is_challenge(await caller.answer(client.get_client_final()))
        if word is None:
            caller.writer.transport.abort()
        else:
            assert is_malformed(await caller.respond(word))
            assert is_in(await caller.scram("ada", "right"))  # one may try again
            caller.writer.close()
        await until(lambda: directory.connections == 0)
        assert count(house, ADA) == 0


@DOORS
async def test_a_name_that_the_server_refuses_counts_as_a_guess(protocol: Protocol) -> None:
    async with house_of(protocol) as (house, directory):
        callers = [await call(house, protocol, f"127.0.1.{n}") for n in range(1, 9)]
        answers = await asyncio.gather(*(caller.scram("nobody", "x") for caller in callers))
        assert (sum(map(is_wrong, answers)), sum(map(is_later, answers))) == (3, 5)
        assert count(house, Subject(SubjectKind.LOGIN, "nobody")) == 3
        assert directory.guesses == []
        for caller in callers:
            caller.writer.close()


@DOORS
async def test_a_wrong_token_counts_also_when_its_client_hangs_up_at_once(
    protocol: Protocol,
) -> None:
    async with house_of(protocol) as (house, directory):
        caller = await call(house, protocol)
        assert is_wrong(await caller.bearer("ada", "bad-token"))
        caller.writer.close()
        assert count(house, ADA) == count(house, HERE) == 1
        answering = asyncio.Event()
        directory.before_answer = answering.wait
        caller = await call(house, protocol)
        sending = asyncio.gather(caller.bearer("ada", "bad-token"), return_exceptions=True)
        await until(lambda: len(directory.guesses) == 2)
        caller.writer.transport.abort()
        answering.set()
        await sending
        await until(lambda: count(house, ADA) == 2)


@DOORS
async def test_a_token_that_was_right_before_has_expired_and_does_not_count(
    protocol: Protocol,
) -> None:
    async with house_of(protocol, "2/1h") as (house, directory):
        directory.tokens.add(("grace", "other-token"))
        for login, token in (("ada", "good-token"), ("grace", "other-token")):
            caller = await call(house, protocol)
            assert is_in(await caller.bearer(login, token))
            caller.writer.close()
        directory.tokens.clear()
        for _ in range(5):
            caller = await call(house, protocol)
            assert is_wrong(await caller.bearer("ada", "good-token"))
            caller.writer.close()
        assert count(house, ADA) == count(house, HERE) == 0
        caller = await call(house, protocol)
        assert is_wrong(await caller.bearer("ada", "other-token"))  # grace's, and so a guess
        assert count(house, ADA) == 1
        caller.writer.close()


@DOORS
async def test_a_token_without_a_name_counts_for_the_address_alone(protocol: Protocol) -> None:
    async with house_of(protocol, "2/1h") as (house, _):
        for failures in (1, 2):
            caller = await call(house, protocol)
            message = "n,,\1auth=Bearer bad-token\1\1"
            assert is_wrong(await caller.begin("OAUTHBEARER", message))
            assert count(house, HERE) == failures
            caller.writer.close()
        assert len(house.guard.tallies[SubjectKind.LOGIN]) == 0
        with pytest.raises(ConnectionError):
            await call(house, protocol)


@DOORS
async def test_a_server_that_dies_in_the_exchange_bans_nobody(protocol: Protocol) -> None:
    async def die(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with house_of(protocol, "1/1h") as (house, directory):
        caller = await call(house, protocol)
        client = ScramClient(["SCRAM-SHA-256"], "ada", "right")
        client.set_server_first(
            text(await caller.begin("SCRAM-SHA-256", client.get_client_first()))
        )

        async def fail() -> None:
            raise ConnectionError

        directory.before_answer = fail
        assert is_later(await caller.answer(client.get_client_final()))
        house.server.behaviour = die
        assert is_later(await caller.scram("ada", "right"))
        assert count(house, ADA) == count(house, HERE) == 0
        caller.writer.close()


async def test_no_log_shows_a_token_or_a_proof(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with house_of(Protocol.IMAP, "9/1h") as (house, _):
        for token in ("good-token", "bad-token"):
            caller = await call(house, Protocol.IMAP)
            await caller.bearer("ada", token)
            caller.writer.close()
        caller = await call(house, Protocol.IMAP)
        client = ScramClient(["SCRAM-SHA-256"], "ada", "wrong")
        client.set_server_first(
            text(await caller.begin("SCRAM-SHA-256", client.get_client_first()))
        )
        proof = client.get_client_final()
        assert is_wrong(await caller.answer(proof))
        caller.writer.close()
    assert "-token" not in caplog.text
    assert proof.partition(",p=")[2] not in caplog.text
