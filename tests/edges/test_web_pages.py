"""A web page can make a browser connect to any port: no line of HTTP is a guess of its visitor."""

from __future__ import annotations

from contextlib import suppress

import pytest

from mailward.settings.configuration import Protocol
from tests.edges.house import open_house, policy

both_loops = True

PLAIN = "AGpvZQB3cm9uZw=="
GUESSES = {
    Protocol.IMAP: ("LOGIN joe wrong", "a LOGIN joe wrong"),
    Protocol.SUBMISSION: ("NOOP", f"EHLO a\r\nAUTH PLAIN {PLAIN}"),
    Protocol.MANAGESIEVE: ("NOOP", f'AUTHENTICATE "PLAIN" "{PLAIN}"'),
}


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("target", ["/", "/(a)", "/{3}?a=b", "*"])
@pytest.mark.parametrize("protocol", Protocol)
async def test_no_line_of_a_request_is_a_guess(
    protocol: Protocol, method: str, target: str
) -> None:
    named, in_body = GUESSES[protocol]
    # A page chooses the values of these two fields, and the body.
    request = (
        f"{method} {target} HTTP/1.1\r\nHost: mail.test:1143\r\nAccept: {named}\r\n"
        f"Accept-Language: {named}\r\nContent-Type: text/plain\r\n\r\n{in_body}\r\n"
    )
    async with open_house(policy("1/1h")) as house:
        reader, writer = await house.connect(protocol)
        writer.write(request.encode())
        heard = b""
        with suppress(ConnectionError):
            while octets := await reader.read(4_096):
                heard += octets
        writer.close()
        assert not house.guard.journal.counts
        assert not house.server.guesses
        assert b"BAD" not in heard
