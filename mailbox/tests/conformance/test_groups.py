"""Our IMAP answers each group of commands as the RFCs say."""

from __future__ import annotations

import pytest
from mailbox_testing.conformance.groups import Client, Group, groups, run
from mailbox_testing.imap import ImapHouse
from mailward_mailbox.imap.methods.general import CAPABILITIES

GROUPS = [group for group in groups() if group.needs <= set(CAPABILITIES)]


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
async def test_it_answers_as_the_rfcs_say(house: ImapHouse, group: Group) -> None:
    async def connect() -> Client:
        client = await house.client()
        return Client(client.reader, client.writer)

    assert await run(group, connect) == []
