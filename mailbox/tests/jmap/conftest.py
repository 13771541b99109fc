"""One server for all of these tests: to make accounts is slow, on purpose."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from mailbox_testing.hall import Jmap, open_jmap


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def hall(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Jmap]:
    async with open_jmap(tmp_path_factory.mktemp("jmap")) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def jmap(hall: Jmap) -> Jmap:
    """It, with nobody's mail in it."""
    await hall.empty()
    return hall
