"""A client that sends very many commands at once lets others work in between."""

from __future__ import annotations

from pathlib import Path

import pytest
from mailbox_testing.lines import house, session, worst_wait


@pytest.mark.parametrize(
    ("service", "last"), [("submission", b"QUIT\r\n"), ("managesieve", b"LOGOUT\r\n")]
)
async def test_a_flood_of_commands_is_answered_in_turns(
    tmp_path: Path, service: str, last: bytes
) -> None:
    waits = []
    async with house(tmp_path, "alice") as here:
        for _ in range(3):  # in one of them the collector may run
            async with session(here, getattr(here.server, service)) as alice:
                waits.append(await worst_wait(alice, b"NOOP\r\n" * 40_000 + last))
    assert min(waits) < 0.012  # 0.005 measured, 0.015 and 0.037 without turns
