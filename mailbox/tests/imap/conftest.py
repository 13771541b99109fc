"""A server for each test; its folder is new."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mailbox_testing.imap import ImapClient, ImapHouse, imap_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[ImapHouse]:
    async with imap_house(tmp_path) as house:
        yield house


@pytest.fixture
async def alice(house: ImapHouse) -> ImapClient:
    return await house.client()
