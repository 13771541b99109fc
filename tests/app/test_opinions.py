"""``serve --check`` and ``status`` tell what a second opinion cannot be asked about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mailward.app.opinions import look_at_opinions
from tests.settings.sample import configured

TEXT = """\
[server.listener.submission]
protocol = "submission"
bind = ["127.0.0.1:587"]
backend = "postfix"
[backend.postfix]
address = "127.0.0.1:{postfix}"
second-opinion = "dovecot"
[backend.dovecot]
address = "127.0.0.1:{dovecot}"
connect-timeout = "1s"
"""
SUBMISSION = b"220 ready\r\n250-mx\r\n250 AUTH PLAIN LOGIN XOAUTH2 SCRAM-SHA-256\r\n"


@asynccontextmanager
async def saying(words: bytes) -> AsyncIterator[int]:
    """The port of a server that says *words*, whatever it hears."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(words)
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def looked_at(postfix: int, dovecot: int) -> list[str]:
    configuration = configured(TEXT.format(postfix=postfix, dovecot=dovecot))
    return await asyncio.to_thread(look_at_opinions, configuration, configuration.upstreams)


@pytest.mark.parametrize(
    ("offered", "missing"),
    [
        (b"AUTH=PLAIN AUTH=XOAUTH2 AUTH=SCRAM-SHA-256", ""),
        (b"AUTH=LOGIN AUTH=XOAUTH2", "SCRAM-SHA-256"),
        (b"", "SCRAM-SHA-256, XOAUTH2"),
        (b"LOGINDISABLED AUTH=SCRAM-SHA-256 AUTH=XOAUTH2", "passwords"),
    ],
)
async def test_a_mechanism_that_it_does_not_offer_is_named(offered: bytes, missing: str) -> None:
    greeting = b"* OK [CAPABILITY IMAP4rev1 SASL-IR %b] ready\r\n" % offered
    async with saying(SUBMISSION) as postfix, saying(greeting) as dovecot:
        found = await looked_at(postfix, dovecot)
    if not missing:
        assert found == []
        return
    (line,) = found
    assert line.startswith(
        f"backend postfix takes {missing}, and its second opinion dovecot does not:"
    )


async def test_one_that_cannot_be_asked_is_said_and_one_that_hangs_holds_nobody_up(
    unused_tcp_port: int,
) -> None:
    async with saying(SUBMISSION) as postfix, saying(b"") as silent:
        (line,) = await looked_at(postfix, unused_tcp_port)
        assert line.startswith(
            "backend dovecot, the second opinion of postfix, cannot be asked now: cannot connect"
        )
        (line,) = await looked_at(postfix, silent)
        assert "did not say a word in time" in line
