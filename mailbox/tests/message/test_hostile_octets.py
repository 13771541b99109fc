"""No octets break the parser, and none take it long."""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mailbox_testing.messages import FORWARDED
from mailward_mailbox.message.addresses import envelope_addresses, read_addresses
from mailward_mailbox.message.forms import line_of
from mailward_mailbox.message.parse import MAX_PARTS, parse, parse_aside
from mailward_mailbox.message.part import Part

PIECES = [
    *(b"\r\n", b"\n", b"\r", b"--", b"--b", b"--in", b"--out", b"--b--\r\n", b" ", b"\t", b"\0"),
    *(b"Content-Type:", b" multipart/mixed; boundary=b\r\n", b" multipart/digest;boundary=in\r\n"),
    *(b" message/rfc822\r\n", b'"', b"\\", b"(", b";", b"boundary", b"=", b"\xff", b"x", b":"),
    *(b"Content-Transfer-Encoding: base64\r\n", b"Content-ID:\r\n", b"<a@b>"),
]
octets = st.one_of(
    st.binary(max_size=200),
    st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join),
    st.tuples(st.integers(0, len(FORWARDED)), st.sampled_from(PIECES), st.integers(0, 40)).map(
        lambda cut: FORWARDED[: cut[0]] + cut[1] + FORWARDED[cut[0] + cut[2] :]
    ),
)


def all_parts(part: Part) -> Iterator[Part]:
    yield part
    for below in (*part.parts, *([part.message] if part.message else [])):
        yield from all_parts(below)


@given(octets)
def test_positions_are_in_the_octets_and_nested(message: bytes) -> None:
    whole = parse(message)
    assert (whole.header_start, whole.body_end) == (0, len(message))
    for part in all_parts(whole):
        assert part.header_start <= part.header_end <= part.body_start <= part.body_end
        assert (part.kind == "multipart") == bool(part.parts)
        assert (part.type in {"message/rfc822", "message/global"}) == (part.message is not None)
        at = part.body_start
        for below in part.parts:
            assert at <= below.header_start <= below.body_end <= part.body_end
            at = below.body_end
        if part.message is not None:
            assert part.message.header_start == part.body_start
            assert part.message.body_end == part.body_end
        assert part.header_start <= part.body_start
        assert part.body_octets() == message[part.body_start : part.body_end]


@given(octets)
def test_everything_can_be_asked_of_every_part(message: bytes) -> None:
    for part in all_parts(parse(message)):
        assert part.encoding
        assert part.size >= part.lines >= 0
        assert [part.disposition, part.languages, part.content_id, part.description]
        for one in part.header.fields:
            assert message[one.start : one.end].startswith(one.name.encode())
            assert one.value in message[one.start : one.end]


@given(
    st.one_of(
        st.binary(max_size=60), octets, st.text(':;,<>@()"\\ ab', max_size=40).map(str.encode)
    )
)
def test_addresses_are_read_out_of_everything(raw: bytes) -> None:
    depth = 0
    for one in envelope_addresses(raw):
        if one.host is None:
            depth += 1 if one.mailbox is not None else -1
        assert depth in {0, 1}
    assert depth == 0
    for address in read_addresses(line_of(raw)):
        assert address.email or address.name


def nested(levels: int, fill: bytes, boundary: Callable[[int], str] = "b{}".format) -> bytes:
    head = "".join(
        f"Content-Type: multipart/mixed; boundary={boundary(one)}\r\n\r\n--{boundary(one)}\r\n"
        for one in range(levels)
    )
    return head.encode() + b"\r\n" + fill


SIZE = 25_000_000
MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
HOSTILE: dict[str, Callable[[], bytes]] = {
    "100,000 parts in 1 MB": lambda: MIXED + b"--b\r\n\r\nx\r\n" * 100_000,
    "nested multiparts": lambda: nested(40, b"some words\r\n" * (SIZE // 12)),
    "nested, ends of lines": lambda: nested(40, b"\n" * SIZE),
    "nested, lines almost a boundary": lambda: nested(
        40, (b"\n--" + b"a" * 69) * (SIZE // 72), lambda one: "a" * 69 + str(one)
    ),
    "nested, one boundary": lambda: nested(40, b"--bx\n" * (SIZE // 5), lambda _: "b"),
    "nested messages": lambda: b"Content-Type: message/rfc822\r\n\r\n" * (SIZE // 32),
    "parts of fields": lambda: MIXED + (b"--b\r\n" + b"A:\n" * 8_300 + b"\r\n") * 1_000,
    "parts of parameters": lambda: (
        MIXED + (b"--b\r\nContent-Type: text/plain" + b";a=b" * 5_000 + b"\r\n\r\n") * 1_000
    ),
    "a header and nothing else": lambda: b"A:\n" * (SIZE // 3),
    "a boundary and blanks": lambda: nested(40, (b"--b" + b" " * SIZE), lambda _: "b"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_long_messages_take_little_time_and_memory(name: str) -> None:
    message = HOSTILE[name]()
    begun = time.process_time()
    whole = parse(message)
    assert time.process_time() - begun < 2.5  # 0.01 to 0.8 measured
    assert len(list(all_parts(whole))) <= MAX_PARTS
    tracemalloc.start()
    held = parse(message)
    assert tracemalloc.get_traced_memory()[1] < 40_000_000
    tracemalloc.stop()
    assert held == whole


async def test_a_long_message_is_parsed_beside_the_loop() -> None:
    dice = random.Random(1)
    for size in (10, 1_000_000):
        message = MIXED + dice.randbytes(size)
        assert await parse_aside(message) == parse(message)
