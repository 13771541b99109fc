"""Accounts: who is let in, what is known of passwords, and what an operator changes."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import stat
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import bcrypt
import pytest
from argon2 import PasswordHasher
from mailbox_testing.doors import CLIENT, PASSWORD, WEAK, Premises, premises, said
from mailward_mailbox.accounts.checking.turns import MAX_WAITING
from mailward_mailbox.accounts.errors import (
    AccountExistsError,
    AccountStorageError,
    MisreadError,
    NoSuchAccountError,
    UnfitAccountError,
)
from mailward_mailbox.accounts.file import Account, AccountFile
from mailward_mailbox.accounts.hashes import AT_ONCE
from mailward_mailbox.accounts.naming import AccountNaming
from mailward_mailbox.accounts.schemes import SchemeError, read_scheme
from mailward_mailbox.accounts.scram import scram_keys
from mailward_mailbox.serving.connections.logins import Exchange
from passlib.hash import md5_crypt, sha256_crypt, sha512_crypt
from scramp import ScramClient  # type: ignore[import-untyped] # it has no types

from mailward.wire.dialogue import Rejected, Unavailable
from mailward.wire.door import (
    BearerMechanism,
    BearerToken,
    ScramMechanism,
    ScramOpening,
    ScramProof,
)
from mailward.wire.scram import read_client_final, read_client_first, server_nonce
from mailward.wire.secret import Secret


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Premises]:
    async with premises(tmp_path) as house:
        yield house


Answer = Account | Rejected | Unavailable


def is_in(answer: Answer) -> bool:
    if isinstance(answer, Account):
        return True
    assert answer == Rejected(), answer
    return False


async def scram(house: Premises, name: str, password: str) -> Answer:
    """A whole exchange, with another program's client and the door's own checks between."""
    client = ScramClient([ScramMechanism.SHA_256.value], name, password)
    first = read_client_first(ScramMechanism.SHA_256, client.get_client_first().encode())
    assert isinstance(first, ScramOpening)
    exchange = house.logins.open(first)
    assert isinstance(exchange, Exchange)
    nonce = server_nonce(first, exchange.challenge)
    assert nonce is not None
    client.set_server_first(exchange.challenge.decode())
    proof = read_client_final(first, nonce, client.get_client_final().encode())
    assert isinstance(proof, ScramProof)
    match house.logins.prove(exchange, proof, CLIENT):
        case (account, signature):
            client.set_server_final(signature.decode())  # it raises where that is wrong
            return account
        case Rejected() as rejected:
            return rejected


async def test_who_knows_the_password_is_let_in_and_nobody_else(house: Premises) -> None:
    await house.add("alice")
    assert is_in(await house.login(b"alice"))
    for name, password in (
        (b"alice", b"wrong"),
        (b"alice", b""),
        (b"alice", PASSWORD + b"\0"),
        (b"bob", PASSWORD),
        (b"", PASSWORD),
        (b"alice\0", PASSWORD),
        (b"\xff", PASSWORD),
        (b"x" * 1000, PASSWORD),
    ):
        assert not is_in(await house.login(name, password))


async def test_every_spelling_of_a_login_is_one_account(house: Premises) -> None:
    await house.add("Alice")
    for name in (b"alice", b"ALICE", b" alice ", "\uff41lice".encode()):
        assert is_in(await house.login(name))
    with pytest.raises(AccountExistsError):
        await house.add("aLICE")
    house.naming = AccountNaming(default_domain="example.org")
    assert is_in(await house.login(b"alice@EXAMPLE.org"))
    assert not is_in(await house.login(b"alice@example.net"))


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", ".", "..", "...", ".@example.org", "alice@..", "a/b", "../alice", "a\\b"),
        *("a\0b", "a\nb", "a b", "jörg", "名", "a:b", "a*b", "a%b", "a@b@c", '"a"', "<a>", "(a)"),
        *("x" * 256, "x" * 300, "\ud800", "a\u202eb@", "@example.org"),
    ],
)
async def test_no_account_has_a_name_that_means_something_else_somewhere(
    house: Premises, name: str
) -> None:
    with pytest.raises(UnfitAccountError):
        await house.add(name)
    assert not house.server.accounts.everybody()


@pytest.mark.parametrize("name", ["a", "a.b+c", "alice@example.org", "x" * 255, "o'neil", "a=b_c"])
async def test_usual_names_are_accounts(house: Premises, name: str) -> None:
    await house.add(name)
    assert is_in(await house.login(name.encode()))


@pytest.mark.parametrize("password", [b"", b"a\0b", b"a\nb", b"x" * 4097])
async def test_a_password_that_no_protocol_carries_is_refused(
    house: Premises, password: bytes
) -> None:
    with pytest.raises(UnfitAccountError):
        await house.add("alice", password)


async def test_scram_proves_the_password_both_ways(house: Premises) -> None:
    await house.add("alice")
    assert is_in(await scram(house, "alice", PASSWORD.decode()))
    assert is_in(await scram(house, "ALICE", PASSWORD.decode()))
    assert not is_in(await scram(house, "alice", "wrong"))
    assert not is_in(await scram(house, "bob", PASSWORD.decode()))


async def test_scram_with_keys_of_more_rounds_than_new_ones_have_still_works(
    tmp_path: Path,
) -> None:
    file = AccountFile(tmp_path / "embedded" / "accounts.db")
    keys = scram_keys(Secret(PASSWORD), iterations=70_000)
    file.put([Account("1", "alice", WEAK.hasher.hash(PASSWORD), keys)])
    file.close()
    async with premises(tmp_path) as house:
        assert is_in(await scram(house, "alice", PASSWORD.decode()))
        assert not is_in(await scram(house, "alice", "wrong"))


async def test_scram_takes_passwords_that_are_no_ascii(house: Premises) -> None:
    await house.add("alice", "größer Ⅸ".encode())
    assert is_in(await scram(house, "alice", "größer Ⅸ"))


async def test_an_unknown_name_gets_the_same_salt_each_time_and_its_own(house: Premises) -> None:
    await house.add("alice")

    async def challenge(name: bytes) -> bytes:
        text = b"n,,n=%b,r=abc" % name
        opening = ScramOpening(ScramMechanism.SHA_256, name, b"abc", text)
        exchange = house.logins.open(opening)
        assert isinstance(exchange, Exchange)
        return exchange.challenge.split(b",", 1)[1]

    assert await challenge(b"bob") == await challenge(b"BOB")
    assert await challenge(b"bob") != await challenge(b"carl")
    assert len(await challenge(b"bob")) == len(await challenge(b"alice"))


async def test_nobody_acts_for_somebody_else(house: Premises) -> None:
    await house.add("alice")
    await house.add("bob")
    logins = house.logins
    assert is_in(await logins.check(said(b"alice", PASSWORD, b"Alice"), CLIENT))
    assert not is_in(await logins.check(said(b"alice", PASSWORD, b"bob"), CLIENT))
    assert not is_in(await logins.check(said(b"alice", PASSWORD, b"nobody"), CLIENT))


async def test_a_token_is_no_wrong_password(house: Premises) -> None:
    token = BearerToken(BearerMechanism.OAUTHBEARER, b"alice", Secret(b"token"))
    assert isinstance(await house.logins.check(token, CLIENT), Unavailable)


async def test_a_disabled_or_removed_account_lets_nobody_in_at_once(house: Premises) -> None:
    await house.add("alice")
    accounts = house.server.accounts
    assert is_in(await house.login())
    await accounts.set_enabled("alice", is_enabled=False)
    assert not is_in(await house.login())
    assert not is_in(await scram(house, "alice", PASSWORD.decode()))
    await accounts.set_enabled("alice", is_enabled=True)
    assert is_in(await house.login())
    await accounts.remove("alice")
    assert not is_in(await house.login())
    assert not is_in(await scram(house, "alice", PASSWORD.decode()))
    with pytest.raises(NoSuchAccountError):
        await accounts.remove("alice")


async def test_whoever_gets_the_name_next_does_not_get_the_mail(house: Premises) -> None:
    await house.add("alice")
    first = await house.session()
    await first.command(b"APPEND INBOX {1+}\r\nx")
    await house.server.accounts.remove("alice")
    await house.add("alice")
    again = await house.session()
    assert b"* 0 EXISTS" in await again.command(b"SELECT INBOX")


async def test_another_password_is_the_only_one_at_once(house: Premises) -> None:
    await house.add("alice")
    assert is_in(await house.login())
    await house.server.accounts.set_password("alice", Secret(b"other"))
    assert not is_in(await house.login())
    assert is_in(await house.login(b"alice", b"other"))
    assert is_in(await scram(house, "alice", "other"))


async def test_accounts_are_there_again_after_a_restart(tmp_path: Path) -> None:
    async with premises(tmp_path) as house:
        await house.add("alice")
        await house.add("bob")
        await house.server.accounts.set_enabled("bob", is_enabled=False)
    async with premises(tmp_path) as house:
        assert is_in(await house.login(b"alice"))
        assert not is_in(await house.login(b"bob"))


class CountingHasher(PasswordHasher):
    """Counts how often it is asked to compare."""

    compared = 0

    def verify(self, *hash_and_password: str | bytes) -> Literal[True]:
        self.compared += 1
        return super().verify(*hash_and_password)


@pytest.fixture
def hasher() -> CountingHasher:
    return CountingHasher(time_cost=1, memory_cost=8, parallelism=1)


async def test_a_right_password_need_not_be_computed_anew_for_a_minute(
    tmp_path: Path, hasher: CountingHasher
) -> None:
    async with premises(tmp_path, replace(WEAK, hasher=hasher)) as house:
        await house.add("alice")
        compared = []
        for seconds in (0, 0, 59, 1):
            house.passes(seconds)
            assert is_in(await house.login())
            compared.append(hasher.compared)
        assert compared == [1, 1, 1, 2]


async def test_too_many_guesses_at_once_are_told_to_try_later(house: Premises) -> None:
    await house.add("alice")
    answers = await asyncio.gather(
        *(house.login(b"alice", b"wrong%d" % n) for n in range(AT_ONCE + MAX_WAITING + 10))
    )
    later = [answer for answer in answers if isinstance(answer, Unavailable)]
    assert len(later) == 10
    assert is_in(await house.login())


async def test_a_guess_whose_client_left_gives_its_place_back(house: Premises) -> None:
    await house.add("alice")
    for _ in range(2):
        guesses = [
            asyncio.create_task(house.login(b"alice", b"wrong%d" % n))  # noqa: TID251 -- they are cancelled here
            for n in range(AT_ONCE + MAX_WAITING)
        ]
        await asyncio.sleep(0)
        for guess in guesses:
            guess.cancel()
        await asyncio.gather(*guesses, return_exceptions=True)
    assert is_in(await later(house))


async def later(house: Premises) -> Answer:
    """What is answered when there is time."""
    async with asyncio.timeout(10):
        while isinstance(answer := await house.login(), Unavailable):  # noqa: ASYNC110 -- it sets no event
            await asyncio.sleep(0.01)
        return answer


async def test_the_files_are_for_the_owner_alone_and_hold_no_password(tmp_path: Path) -> None:
    async with premises(tmp_path) as house:
        await house.add("alice")
        await (await house.session()).command(b"NOOP")
        check_files(tmp_path)


def check_files(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) >= 2
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert PASSWORD not in path.read_bytes()


async def test_a_file_that_is_no_database_is_a_fault_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "embedded").mkdir()
    (tmp_path / "embedded" / "accounts.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(ExceptionGroup) as raised:
        async with premises(tmp_path):
            pass
    assert raised.group_contains(AccountStorageError, match="accounts.db")


def ssha512(password: bytes) -> str:
    made = hashlib.sha512(password + b"salt").digest() + b"salt"
    return b64encode(made).decode()


def imported_scram() -> str:
    salted = hashlib.pbkdf2_hmac("sha256", b"pw", b"salt", 4096)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    encoded = ",".join(b64encode(part).decode() for part in (b"salt", stored, server))
    return "{SCRAM-SHA-256}4096," + encoded


IMPORTED = {
    "PLAIN": "{plain}pw",
    "SHA512-CRYPT": "{SHA512-CRYPT}" + sha512_crypt.using(rounds=1000).hash("pw"),
    "CRYPT": sha512_crypt.using(rounds=1000).hash("pw"),
    "SHA256-CRYPT": "{SHA256-CRYPT}" + sha256_crypt.using(rounds=1000).hash("pw"),
    "MD5-CRYPT": "{MD5-CRYPT}" + md5_crypt.hash("pw"),
    "BLF-CRYPT": "{BLF-CRYPT}" + bcrypt.hashpw(b"pw", bcrypt.gensalt(4)).decode(),
    "ARGON2I": "{ARGON2I}" + WEAK.hasher.hash("pw"),
    "SSHA512": "{SSHA512}" + ssha512(b"pw"),
    "SHA256.HEX": "{SHA256.HEX}" + hashlib.sha256(b"pw").hexdigest(),
    "SSHA": "{SSHA}" + b64encode(hashlib.sha1(b"pwsalt").digest() + b"salt").decode(),  # noqa: S324 -- what is imported
    "PLAIN-MD5": "{PLAIN-MD5}" + hashlib.md5(b"pw").hexdigest(),  # noqa: S324 -- the same
    "PBKDF2": "{PBKDF2}$1$salt$1000$" + hashlib.pbkdf2_hmac("sha1", b"pw", b"salt", 1000).hex(),
    "SCRAM-SHA-256": imported_scram(),
}


@pytest.mark.parametrize("hashed", IMPORTED.values(), ids=IMPORTED)
async def test_an_imported_password_is_right_and_becomes_argon2id(
    house: Premises, hashed: str
) -> None:
    accounts = house.server.accounts
    assert await accounts.take_in([f"alice:{hashed}:1000:1000::/home/a::x=y"]) == 1
    for wrong in (b"wrong", b"pw\0", b"\xff", b"x" * 4096):
        assert not is_in(await house.login(b"alice", wrong))
    assert is_in(await house.login(b"alice", b"pw"))
    (view,) = accounts.everybody()
    assert view.scheme == "ARGON2ID"
    assert is_in(await scram(house, "alice", "pw"))
    assert not is_in(await house.login(b"alice", b"wrong"))


async def test_scram_is_offered_as_soon_as_everybody_can_use_it(house: Premises) -> None:
    accounts, imap = house.server.accounts, house.server.imap
    assert "AUTH=SCRAM-SHA-256" in imap.offer
    await accounts.take_in([f"alice:{IMPORTED['SSHA512']}"])
    assert "AUTH=SCRAM-SHA-256" not in imap.offer
    assert is_in(await house.login(b"alice", b"pw"))
    assert "AUTH=SCRAM-SHA-256" in imap.offer


async def test_an_import_is_whole_or_nothing_and_names_every_line(house: Premises) -> None:
    await house.add("alice")
    lines = [
        "# a comment",
        "",
        "bob:{PLAIN}pw",
        "carl",
        "../x:{PLAIN}pw",
        "ALICE:{PLAIN}pw",
        "dora:{NOPE}secret",
        "bob:{PLAIN}again",
        "emil:{SHA512-CRYPT}$6$rounds=999999999$salt$" + 86 * "x",
        "fred:{PLAIN}",
    ]
    for check in (True, False):
        with pytest.raises(MisreadError) as raised:
            await house.server.accounts.take_in(lines, check=check)
        assert [one.line for one in raised.value.misread] == [4, 5, 6, 7, 8, 9, 10]
        assert "secret" not in " ".join(one.why for one in raised.value.misread)
    assert [view.name for view in house.server.accounts.everybody()] == ["alice"]


async def test_of_changes_at_the_same_time_one_gets_the_name(house: Premises) -> None:
    accounts = house.server.accounts
    done = await asyncio.gather(
        house.add("alice"),
        accounts.take_in(["alice:{PLAIN}pw", "bob:{PLAIN}pw"]),
        house.add("ALICE"),
        accounts.take_in(["carl:{PLAIN}pw", "bob:{PLAIN}pw"]),
        return_exceptions=True,
    )
    for error in done:
        assert error is None or isinstance(error, int | AccountExistsError | MisreadError)
    names = [view.name for view in accounts.everybody()]
    assert len(names) == len(set(names))
    assert "alice" in names


async def test_a_long_list_of_passwords_keeps_nobody_from_logging_in(tmp_path: Path) -> None:
    hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    async with premises(tmp_path) as house:
        await house.add("alice")
    async with premises(tmp_path, replace(WEAK, hasher=hasher)) as house:
        lines = [f"a{number}:{{PLAIN}}pw" for number in range(300)]
        async with asyncio.TaskGroup() as tasks:
            taking_in = tasks.create_task(house.server.accounts.take_in(lines))
            await asyncio.sleep(0)
            # Her hash is made anew, which is written, too.
            assert is_in(await house.login(b"alice"))
            assert not taking_in.done()
        assert len(house.server.accounts.everybody()) == 301


async def test_a_locked_account_is_imported_as_disabled(house: Premises) -> None:
    await house.server.accounts.take_in(["alice:!{PLAIN}pw"])
    assert not is_in(await house.login(b"alice", b"pw"))
    await house.server.accounts.set_enabled("alice", is_enabled=True)
    assert is_in(await house.login(b"alice", b"pw"))


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "{}", "{SHA256}", "{SHA256}!!", "{SSHA512}" + "A" * 10, "{SHA512-CRYPT}$6$x"),
        *("{BLF-CRYPT}$2y$31$" + 53 * "x", "{PBKDF2}$1$s$9999999$" + 40 * "a", "{CRAM-MD5}abc"),
        *("{SCRAM-SHA-256}1,2,3,4", "{ARGON2ID}$argon2id$v=19$m=9999999,t=1,p=1$x$y", "{SHA.ZIP}x"),
    ],
)
def test_what_is_no_password_of_its_scheme_is_refused(text: str) -> None:
    with pytest.raises(SchemeError):
        read_scheme(text)


async def test_unknown_disabled_and_imported_accounts_take_the_work_of_any_other(
    tmp_path: Path, hasher: CountingHasher
) -> None:
    async with premises(tmp_path, replace(WEAK, hasher=hasher)) as house:
        await house.add("alice")
        await house.add("shut")
        await house.server.accounts.set_enabled("shut", is_enabled=False)
        await house.server.accounts.take_in([f"old:{IMPORTED['PLAIN-MD5']}"])
        for count, name in enumerate((b"alice", b"shut", b"nobody", b"old"), start=1):
            assert not is_in(await house.login(name, b"wrong"))
            assert hasher.compared == count, name
