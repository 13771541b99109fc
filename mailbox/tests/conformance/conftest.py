"""A server for each group; its folder is new."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mailbox_testing.imap import ImapHouse, imap_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[ImapHouse]:
    async with imap_house(tmp_path) as house:
        yield house
