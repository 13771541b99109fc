"""The groups of commands that our IMAP is tested with: Dovecot, and ours through the door."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher
from mailbox_testing.conformance.groups import Client, Connect, Group, groups, run

from tests.real.embedded import EmbeddedWard
from tests.real.processes import private_folder
from tests.real.servers import Dovecot, running

_SETTINGS = """
namespace inbox {
  inbox = yes
  separator = /
}
mail_max_userip_connections = 0
"""
_OURS = {"APPENDLIMIT", "IMAP4rev2", "OBJECTID", "UTF8=ACCEPT", "QUOTA"}
"""What Dovecot 2.3 has not, or not by itself."""
ALL_GROUPS = groups()
GROUPS = [group for group in ALL_GROUPS if not group.needs & _OURS]
_PASSWORD = "reader-opensesame"


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    with private_folder() as folder:
        dovecot = Dovecot(folder, {group.name: _PASSWORD for group in GROUPS}, more=_SETTINGS)
        with running(dovecot):
            yield dovecot


@pytest.fixture(scope="module")
def ward() -> Iterator[EmbeddedWard]:
    with private_folder() as folder:
        ward = EmbeddedWard(folder / "ward")
        try:
            ward.start(knows_backends=False)
            accounts = folder / "passwd"
            made = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(_PASSWORD)
            lines = (f"{group.name}:{{ARGON2ID}}{made}\n" for group in ALL_GROUPS)
            accounts.write_text("".join(lines))
            ward.cli("accounts", "import", str(accounts))
            yield ward
        finally:
            ward.finish()


def connecting(port: int, group: Group) -> Connect:
    """How a client of the account that has the group's name comes there."""

    async def connect() -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        client = Client(reader, writer)
        await client.responses(b"* OK")
        answers = await client.say(f"LOGIN {group.name} {_PASSWORD}".encode())
        assert answers[-1].startswith(b"t OK"), answers
        return client

    return connect


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
async def test_dovecot_answers_so_too(dovecot: Dovecot, group: Group) -> None:
    faults = await run(group, connecting(dovecot.port, group))
    assert bool(faults) == bool(group.dovecot), faults


@pytest.mark.parametrize("group", ALL_GROUPS, ids=lambda group: group.name)
async def test_ours_answers_so_through_the_door(ward: EmbeddedWard, group: Group) -> None:
    assert await run(group, connecting(ward.imap.port, group)) == []
