"""The groups of commands that our IMAP is tested with, with Dovecot: what they ask for is right."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from mailbox_testing.conformance.groups import Client, Group, groups, run

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
GROUPS = [group for group in groups() if not group.needs & _OURS]
_PASSWORD = "reader-opensesame"


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    with private_folder() as folder:
        dovecot = Dovecot(folder, {group.name: _PASSWORD for group in GROUPS}, more=_SETTINGS)
        with running(dovecot):
            yield dovecot


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
async def test_dovecot_answers_so_too(dovecot: Dovecot, group: Group) -> None:
    async def connect() -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", dovecot.port)
        client = Client(reader, writer)
        await client.responses(b"* OK")
        answers = await client.say(f"LOGIN {group.name} {_PASSWORD}".encode())
        assert answers[-1].startswith(b"t OK"), answers
        return client

    faults = await run(group, connect)
    assert bool(faults) == bool(group.dovecot), faults
