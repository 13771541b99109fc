"""One client that says very much at once, and the others."""

from __future__ import annotations

import asyncio
from time import process_time

import pytest

from mailward.settings.configuration import Protocol
from tests.edges.house import open_house

both_loops = True


@pytest.mark.parametrize("protocol", [Protocol.IMAP, Protocol.SUBMISSION, Protocol.MANAGESIEVE])
async def test_many_commands_before_the_login_leave_others_their_turn(protocol: Protocol) -> None:
    command = b"a NOOP\r\n" if protocol is Protocol.IMAP else b"NOOP\r\n"
    async with open_house() as house:
        reader, writer = await house.connect(protocol)
        await reader.readline()
        writer.write(command * 20_000)
        writer.write_eof()
        hearing = asyncio.get_running_loop().create_task(reader.read())
        longest = 0.0
        while not hearing.done():
            begun = process_time()
            await asyncio.sleep(0)
            longest = max(longest, process_time() - begun)
        heard = await hearing
        writer.close()
    assert heard.count(b"\r\n") >= 20_000
    assert longest < 0.1  # of 0.2 s and more; 20 ms
