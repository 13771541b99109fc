"""Accounts are kept over a control socket; whatever answers there, an operator is told in time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mailward.backends.accounts import MailboxAccounts
from mailward.backends.port import (
    AccountBusyError,
    AccountError,
    AccountExistsError,
    AccountStorageError,
    AccountView,
    Misread,
    MisreadError,
    NoSuchAccountError,
    UnfitAccountError,
)
from mailward.wire.secret import Secret

ALICE = {"name": "alice", "is_enabled": True, "scheme": "ARGON2ID", "has_scram": True}
PASSWORD = Secret(b"opensesame")


class Keeper:
    """Answers every request with the same octets, and keeps what was asked."""

    def __init__(self, answer: object) -> None:
        self._answer = answer if isinstance(answer, bytes) else json.dumps(answer).encode() + b"\n"
        self.asked: list[object] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(json.loads(await reader.readline()))
        writer.write(self._answer)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def kept(folder: Path, answer: object) -> AsyncIterator[tuple[MailboxAccounts, Keeper]]:
    keeper, path = Keeper(answer), folder / "control.sock"
    async with await asyncio.start_unix_server(keeper.serve, path):
        yield MailboxAccounts(str(path)), keeper


async def test_what_is_asked_and_answered(tmp_path: Path) -> None:
    async with kept(tmp_path, {"account": ALICE}) as (accounts, keeper):
        view = AccountView("alice", is_enabled=True, scheme="ARGON2ID", has_scram=True)
        assert await accounts.add("alice", PASSWORD) == view
        assert await accounts.set_enabled("alice", is_enabled=False) == view
        assert keeper.asked == [
            {"do": "accounts.add", "name": "alice", "password": "opensesame"},
            {"do": "accounts.set_enabled", "name": "alice", "is_enabled": False},
        ]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("missing", NoSuchAccountError),
        ("exists", AccountExistsError),
        ("unfit", UnfitAccountError),
        ("busy", AccountBusyError),
        ("storage", AccountStorageError),
        ("of a later version", AccountStorageError),
    ],
)
async def test_each_refusal_is_told_as_what_it_is(
    kind: str, error: type[AccountError], tmp_path: Path
) -> None:
    async with kept(tmp_path, {"error": kind, "message": "because"}) as (accounts, _):
        with pytest.raises(error, match="because"):
            await accounts.one("alice")


async def test_lines_that_cannot_be_taken_are_named(tmp_path: Path) -> None:
    answer = {"error": "misread", "message": "no", "misread": [{"line": 3, "why": "no colon"}]}
    async with kept(tmp_path, answer) as (accounts, _):
        with pytest.raises(MisreadError) as caught:
            await accounts.take_in(["x"])
        assert caught.value.misread == [Misread(3, "no colon")]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"no JSON\n",
        b"[]\n",
        b"[" * 100_000 + b"\n",
        {},
        {"account": {**ALICE, "name": 7}},
        {"account": None},
        {"error": "misread", "misread": [{"line": "x"}]},
    ],
    ids=range(8),
)
async def test_an_answer_that_is_none_is_an_error_and_no_traceback(
    answer: object, tmp_path: Path
) -> None:
    async with kept(tmp_path, answer) as (accounts, _):
        with pytest.raises(AccountStorageError, match="an answer that cannot be read"):
            await accounts.one("alice")


async def test_a_server_that_is_not_there_is_told_with_its_socket(tmp_path: Path) -> None:
    accounts = MailboxAccounts(str(tmp_path / "control.sock"))
    with pytest.raises(AccountStorageError, match=r"unix:/.*control\.sock: No such file"):
        await accounts.everybody()


async def test_what_is_asked_while_it_starts_waits_for_that(tmp_path: Path) -> None:
    settled = asyncio.Event()
    accounts = MailboxAccounts(str(tmp_path / "control.sock"), settled)
    asyncio.get_running_loop().call_later(0.05, settled.set)
    with pytest.raises(AccountStorageError, match="No such file"):
        await accounts.everybody()
    assert settled.is_set()
