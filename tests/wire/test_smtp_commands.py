"""No server, however it reads lines, is ever sent a command that begins anew."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailward.wire.dialogue import SecondLoginError
from mailward.wire.smtp.watch import AT_PORT_25, SubmissionWatch
from tests.wire.test_cuts import CUTS, pieces

SAFE = {b"MAIL", b"RCPT", b"DATA", b"RSET", b"NOOP", b"VRFY", b"EXPN", b"ETRN", b"HELP", b"EHLO",
        b"HELO", b"QUIT", b"BDAT", b"BURL"}  # fmt: skip
WORDS = st.sampled_from(
    [b"\r\n", b"\r\n", b"\n", b"\r", b".", b".", b"..", b"DATA", b"DATA\r\n", b"DATA\r\n",
     b"NOOP\r\n", b"XCLIENT ADDR=192.0.2.1", b"\r\nXCLIENT X", b"AUTH PLAIN x", b"BDAT 9", b"text",
     b" ", b"\0", b"\r\n.\r\n", b"\r\n.\r\n", b"\n.\n", b".\r\r\n", b"STARTTLS\r\n", b"(", b'"',
     b"RSET\r\n", b"MAIL FROM:<>\r\n", b"RCPT TO:<b>\r\n", b"BDAT 14\r\n", b"BDAT 0 LAST\r\n",
     b"AUTH PLAIN x\r\n", b"AUTH PLAIN x\r\n", b"EHLO c\r\n", b"HELO c\r\n", b"EHLO \xfc b\r\n"]
)  # fmt: skip
STREAMS = st.lists(WORDS, max_size=30).map(b"".join)


class Server:
    """Reads what it is sent, strictly or not; *verbs* are those of the commands it saw.

    It takes DATA if *takes_data*, and BDAT where it has offered CHUNKING.
    """

    def __init__(self, *, lenient: bool, takes_data: bool = True, chunking: bool = True) -> None:
        self.ending = b"\n" if lenient else b"\r\n"
        self.takes_data = takes_data
        self.chunking = chunking
        self.verbs: list[bytes] = []
        self.messages: list[bytes] = []
        self.unread = b""
        self.in_data = False

    def take(self, octets: bytes) -> bytes:
        """What it replies."""
        self.unread += octets
        replies = b""
        while (reply := self._reply()) is not None:
            replies += reply
        return replies

    def _reply(self) -> bytes | None:  # noqa: PLR0911 -- one for each command
        if self.in_data:
            end = self.ending + b"." + self.ending
            text = self.ending + self.unread
            if end not in text:
                return None
            message, _, self.unread = text.partition(end)
            self.messages.append(message)
            self.in_data = False
            return b"250 queued\r\n"
        if self.ending not in self.unread:
            return None
        line, _, rest = self.unread.partition(self.ending)
        words = line.split() or [b"?"]
        verb = words[0].upper()
        if verb == b"BDAT" and self.chunking:
            if len(rest) < int(words[1]):
                return None
            rest = rest[int(words[1]) :]
        self.unread = rest
        self.verbs.append(verb)
        match verb:
            case b"DATA" if self.takes_data:
                self.in_data = True
                return b"354 go on\r\n"
            case b"EHLO":
                keywords = b"250-CHUNKING\r\n" if self.chunking else b""
                return b"250-me\r\n" + keywords + b"250 AUTH PLAIN\r\n"
            case b"AUTH":
                return b"535 no\r\n"
            case b"DATA":
                return b"503 no\r\n"
            case _:
                return b"250 ok\r\n"


def converse(server: Server, watch: SubmissionWatch, parts: list[bytes]) -> tuple[bytes, str]:
    """What the client is told, and why the session ended; all goes as it does in the pump."""
    told = b""
    try:
        for part in parts:
            sent = watch.from_client(part)
            told += watch.answers()
            while sent:
                told += watch.from_backend(server.take(sent))
                sent = watch.released()
                told += watch.answers()
    except SecondLoginError as error:
        return told, str(error)
    return told, ""


def session(*, chunking: bool = True) -> SubmissionWatch:
    return SubmissionWatch(chunking=chunking, literal=b"[192.0.2.7]", refusals=AT_PORT_25)


SERVERS = pytest.mark.parametrize("lenient", [True, False], ids=["any line end", "CRLF"])


@SERVERS
@pytest.mark.parametrize("takes_data", [True, False], ids=["DATA", "DATA refused"])
@pytest.mark.parametrize("chunking", [True, False], ids=["CHUNKING", "no BDAT"])
@given(stream=STREAMS, cuts=CUTS)
def test_no_command_that_begins_anew_reaches_a_server(
    lenient: bool, takes_data: bool, chunking: bool, stream: bytes, cuts: list[int]
) -> None:
    server = Server(lenient=lenient, takes_data=takes_data, chunking=chunking)
    converse(server, session(chunking=chunking), pieces(stream, cuts))
    assert set(server.verbs) <= SAFE


@given(stream=STREAMS, cuts=CUTS)
def test_a_server_hears_the_same_however_the_bytes_are_cut(stream: bytes, cuts: list[int]) -> None:
    whole, cut = Server(lenient=False), Server(lenient=False)
    told, why = converse(whole, session(), [stream])
    told_cut, why_cut = converse(cut, session(), pieces(stream, cuts))
    assert why_cut == why
    # What stood before the end of the session may have passed already, but nothing else.
    assert cut.verbs[: len(whole.verbs)] == whole.verbs
    assert told_cut.startswith(told)
    assert why or (told_cut, cut.verbs, cut.messages) == (told, whole.verbs, whole.messages)


@given(
    lines=st.lists(st.binary(max_size=40).filter(lambda line: not set(b"\r\n") & set(line))),
    cuts=CUTS,
)
def test_a_message_passes_octet_by_octet(lines: list[bytes], cuts: list[int]) -> None:
    stuffed = [b"." + line if line.startswith(b".") else line for line in lines]
    message = b"".join(line + b"\r\n" for line in [*stuffed, b"AUTH PLAIN x"])
    stream = b"mail FROM:<>\r\nDATA\r\n" + message + b".\r\nQUIT\r\n"
    server = Server(lenient=False)
    told, why = converse(server, session(), pieces(stream, cuts))
    assert (why, told.count(b"\r\n")) == ("", 4)
    assert server.messages == [b"\r\n" + message[:-2]]


@SERVERS
def test_lines_behind_data_that_is_refused_are_commands(lenient: bool) -> None:
    server = Server(lenient=lenient, takes_data=False)
    stream = b"DATA\r\nAUTH PLAIN x\r\n.\r\nRSET\r\n" * 300
    told, why = converse(server, session(), [stream])
    assert why == ""
    assert server.verbs == [b"DATA", b"RSET"] * 300
    assert told.count(b"502 5.5.1 There is no AUTH here\r\n") == 300
    assert told.startswith(b"503 no\r\n502 5.5.1 There is no AUTH here\r\n500 5.5.2 Unknown")


@SERVERS
@pytest.mark.parametrize(
    "end",
    [
        b"\n.\n",
        b"\n.\r\n",
        b"\r\n.\n",
        b"\r.\r",
        b"\r.\r\n",
        b"\r\n.\r\r\n",
        b"\n.\r\r\n",
        b"\r.\n",
    ],
)
@given(cuts=CUTS)
def test_a_command_behind_an_end_that_only_some_servers_see_reaches_none(
    lenient: bool, end: bytes, cuts: list[int]
) -> None:
    server = Server(lenient=lenient)
    stream = b"DATA\r\nhello" + end + b"AUTH PLAIN x\r\n.\r\n"
    _, why = converse(server, session(), pieces(stream, cuts))
    assert why == "a line of one dot without CRLF"
    assert server.verbs == [b"DATA"]
    assert server.messages in ([], [b"\nhello"])


def test_what_waits_for_a_reply_is_held_and_no_more_is_read() -> None:
    watch = session()
    assert watch.from_client(b"DATA\r\n") == b"DATA\r\n"
    assert not watch.is_waiting  # a client that waits, too, may leave
    assert watch.from_client(b"x") == b""
    assert watch.is_waiting
    for _ in range(11):
        watch.from_client(b"x" * 100_000)
    with pytest.raises(SecondLoginError, match="too much sent ahead"):
        watch.from_client(b"x")


def test_a_command_waits_until_it_is_whole() -> None:
    watch = session()
    assert watch.from_client(b"NO") == b""
    assert watch.from_client(b"OP\r") == b""
    assert watch.from_client(b"\nRS") == b"NOOP\r\n"


@pytest.mark.parametrize(
    "said",
    [b"NOOP\r\n" * 40_000, b"BDAT 0\r\n" * 30_000, b"NOOP\r\nAUTH x\r\n" * 20_000,
     b"EHLO a\r\n" * 30_000, b"DATA\r\n" + b"\n.x" * 80_000, b"DATA\r\n" + b"\r.x" * 80_000],
    ids=["commands", "chunks", "refused", "greetings", "dots", "dots behind CR"],
)  # fmt: skip
def test_what_one_read_brings_is_read_in_bounded_time(said: bytes) -> None:
    watch = session()
    if said.startswith(b"DATA"):
        watch.from_client(b"DATA\r\n")
        watch.from_backend(b"354 go on\r\n")
        said = said[6:]
    begun = time.process_time()
    watch.from_client(said)
    assert time.process_time() - begun < 0.1  # 256 KiB; ten times what it takes


@pytest.mark.parametrize("octets", [b"\n.a", b"\r.a", b"\r\n.."])
def test_many_lines_that_begin_with_a_dot_are_read_in_bounded_time(octets: bytes) -> None:
    watch = session()
    watch.from_client(b"DATA\r\n")
    for _ in range(5):
        watch.from_client(octets * (250_000 // len(octets)))
    watch.from_backend(b"354 go on\r\n")
    begun = time.process_time()
    assert len(watch.released()) > 1_000_000
    assert time.process_time() - begun < 0.1  # five times what it takes
