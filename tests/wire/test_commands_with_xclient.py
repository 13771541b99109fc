"""No server, however it reads lines, is ever sent a command that could make somebody else of us."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailward.wire.dialogue import SecondLoginError
from mailward.wire.smtp.commands import MAX_COMMAND_OCTETS, Commands
from mailward.wire.smtp.door import ehlo_keywords
from tests.wire.test_cuts import CUTS, pieces

SAFE = {b"MAIL", b"RCPT", b"DATA", b"RSET", b"NOOP", b"VRFY", b"EXPN", b"ETRN", b"HELP", b"EHLO",
        b"HELO", b"QUIT"}  # fmt: skip
WORDS = st.sampled_from(
    [b"\r\n", b"\r\n", b"\n", b"\r", b".", b".", b"..", b"DATA", b"DATA\r\n", b"DATA\r\n",
     b"NOOP\r\n", b"XCLIENT ADDR=192.0.2.1", b"\r\nXCLIENT X", b"AUTH PLAIN x", b"BDAT 9", b"text",
     b" ", b"\0", b"\r\n.\r\n", b"\n.\n", b".\r\r\n", b"STARTTLS\r\n", b"(", b")", b'"',
     b"RSET\r\n"]
)  # fmt: skip
STREAMS = st.lists(WORDS, max_size=30).map(b"".join)


class Server:
    """Reads what it is sent, strictly or not, and notes the verbs of its commands."""

    def __init__(self, *, lenient: bool) -> None:
        self.ending = b"\n" if lenient else b"\r\n"
        self.verbs: list[bytes] = []
        self.read = b""
        self.in_data = False

    def take(self, octets: bytes, commands: Commands) -> None:
        self.read += octets
        while self.ending in self.read:
            line, _, self.read = self.read.partition(self.ending)
            if self.in_data:
                self.in_data = line.strip(b"\r") != b"."
                if not self.in_data:
                    commands.answered(wants_data=False)
                continue
            verb = line.strip().partition(b" ")[0].upper()
            self.verbs.append(verb)
            self.in_data = verb == b"DATA"
            commands.answered(wants_data=self.in_data)


@pytest.mark.parametrize("lenient", [True, False], ids=["any line end", "CRLF"])
@given(stream=STREAMS, cuts=CUTS)
def test_only_commands_for_mail_get_through(lenient: bool, stream: bytes, cuts: list[int]) -> None:
    commands, server = Commands(), Server(lenient=lenient)
    try:
        for piece in pieces(stream, cuts):
            server.take(commands.read(piece), commands)
    except SecondLoginError:
        pass
    assert set(server.verbs) <= SAFE


@given(
    lines=st.lists(st.binary(max_size=40).filter(lambda line: not set(b"\r\n") & set(line))),
    cuts=CUTS,
)
def test_a_message_passes_octet_by_octet(lines: list[bytes], cuts: list[int]) -> None:
    commands = Commands()
    assert commands.read(b"mail FROM:<>\r\nDATA\r\n") == b"mail FROM:<>\r\nDATA\r\n"
    commands.answered(wants_data=False)
    commands.answered(wants_data=True)
    stuffed = [b"." + line if line.startswith(b".") else line for line in lines]
    message = b"".join(line + b"\r\n" for line in stuffed) + b".\r\nQUIT\r\n"
    assert b"".join(commands.read(piece) for piece in pieces(message, cuts)) == message


@pytest.mark.parametrize(
    "said",
    [b"NOOP\nXCLIENT ADDR=192.0.2.1\r\n", b"NOOP \rXCLIENT\r\n", b"NOOP\0\r\n", b"\r\n", b".\r\n",
     b'"XCLIENT" ADDR=192.0.2.1\r\n', b"(MAIL) XCLIENT ADDR=192.0.2.1\r\n", b"MAILX\r\n",
     b"NOOP " + b"x" * MAX_COMMAND_OCTETS],
)  # fmt: skip
def test_a_line_that_servers_may_read_in_two_ways_ends_the_session(said: bytes) -> None:
    with pytest.raises(SecondLoginError):
        Commands().read(said)


def test_a_command_waits_until_it_is_whole() -> None:
    commands = Commands()
    assert commands.read(b"NO") == b""
    assert commands.read(b"OP\r") == b""
    assert commands.read(b"\nRS") == b"NOOP\r\n"
    with pytest.raises(SecondLoginError, match="ahead of their go-ahead"):
        commands.answered(wants_data=True)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(("line", "wants_data"), [(b".a\n", True), (b"NOOP\r\n", False)])
def test_many_lines_at_once_cost_no_more_than_one_by_one(line: bytes, wants_data: bool) -> None:
    commands = Commands()
    commands.answered(wants_data=wants_data)
    many = line * 500_000
    assert commands.read(many) == many


def test_chunking_is_not_offered_where_xclient_is_taken() -> None:
    offer = ["CHUNKING", "BINARYMIME", "SIZE 1000"]
    assert ehlo_keywords(offer, passwords=False) == tuple(offer)
    assert ehlo_keywords([*offer, "xclient ADDR"], passwords=False) == ("SIZE 1000",)
