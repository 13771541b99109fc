"""What is left of sessions that have ended: nothing, not even for the garbage collector.

In a flood it would have to look through all of them, and the loop stands still meanwhile.
"""

from __future__ import annotations

import gc
import logging
import ssl
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trustme

from mailward.edges.tls import ServerCertificate
from mailward.settings.configuration import DoorTls, Protocol
from tests.edges.house import Premises, open_house, policy, until

both_loops = True
SESSIONS = 5
IMPLICIT = DoorTls(implicit=True, certificate="default")


@contextmanager
def nothing_of_ours_for_the_collector() -> Iterator[None]:
    """Whatever ends inside is freed by its last reference."""
    gc.collect()
    gc.disable()
    try:
        yield
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found = [type(one) for one in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert [kind for kind in found if kind.__module__.startswith("mailward.")] == []


async def come_and_go(
    house: Premises, protocol: Protocol, password: str, tls: ssl.SSLContext | None = None
) -> None:
    """A session that says what follows its login, and hears it again, where it has one."""
    reader, writer = await house.connect(protocol)
    if tls is not None:
        await writer.start_tls(tls, server_hostname="mail.test")
    await reader.readline()
    if protocol is Protocol.IMAP:
        writer.write(f"a LOGIN ada {password}\r\n".encode())
    else:
        message = b64encode(f"\0ada\0{password}".encode())
        writer.write(b"EHLO c\r\nAUTH PLAIN " + message + b"\r\n")
        await reader.readuntil(b"AUTH PLAIN LOGIN\r\n")
    await reader.readline()
    if password == "right":
        writer.write(b"NOOP again\r\n")
        assert (await reader.readline()).endswith(b"NOOP again\r\n")
    writer.close()
    await until(lambda: not house.lobby.present)


@pytest.mark.parametrize("password", ["right", "wrong"])
@pytest.mark.parametrize("protocol", [Protocol.IMAP, Protocol.SUBMISSION])
async def test_a_session_that_has_ended_leaves_nothing_to_the_collector(
    protocol: Protocol, password: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # a line that is kept would keep what it tells of
    async with open_house(policy("1000/1h")) as house:
        await come_and_go(house, protocol, password)
        with nothing_of_ours_for_the_collector():
            for _ in range(SESSIONS):
                await come_and_go(house, protocol, password)


async def test_nor_does_one_over_tls() -> None:
    authority = trustme.CA()
    own, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("mail.test").configure_cert(own)
    authority.configure_trust(trusting)
    keys = {"default": ServerCertificate(own, frozenset({"mail.test"}))}
    async with open_house(tls=IMPLICIT, certificates=keys) as house:
        await come_and_go(house, Protocol.IMAP, "right", trusting)
        with nothing_of_ours_for_the_collector():
            for _ in range(SESSIONS):
                await come_and_go(house, Protocol.IMAP, "right", trusting)
