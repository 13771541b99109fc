"""Headers of trusted proxies: read exactly, however they come; what is none is closed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import pairwise

import pytest

from mailward.edges import headers
from mailward.wire.proxyline import SIGNATURE
from tests.edges.house import until
from tests.edges.proxies import (
    CLIENT,
    OTHER,
    TLS,
    behind_proxy,
    binary,
    first_words,
    line,
    login,
)

both_loops = True


async def test_a_header_that_comes_byte_by_byte_is_read_and_nothing_behind_it() -> None:
    async with behind_proxy() as house:
        for header in (binary(CLIENT, TLS), line(CLIENT)):
            reader, writer = await house.connect()
            sending = header + b"b NOOP\r\n"
            for start, end in pairwise(range(len(sending) + 1)):
                writer.write(sending[start:end])
                await writer.drain()
                await asyncio.sleep(0)
            assert (await reader.readline())[:4] == b"* OK"
            assert await reader.readline() == b"b OK NOOP completed\r\n"
            writer.close()


WRONG_HEADERS = {
    "none": b"a NOOP\r\n",
    "TLS": bytes.fromhex("1603010200010001fc0303"),
    "no version": SIGNATURE + bytes.fromhex("1111000c") + bytes(12),
    "no command": SIGNATURE + bytes.fromhex("2211000c") + bytes(12),
    "UDP": SIGNATURE + bytes.fromhex("2112000c") + bytes(12),
    "a length that is too short": SIGNATURE + bytes.fromhex("2111000b") + bytes(11),
    "a length beyond the cap": SIGNATURE + bytes.fromhex("2111ffff") + bytes(5_000),
    "an extension that is too long": SIGNATURE + bytes.fromhex("2111000f") + bytes(14) + b"\x09",
    "a wrong checksum": SIGNATURE + bytes.fromhex("21110013") + bytes(12) + b"\x03\0\x04abcd",
    "a line that is too long": b"PROXY TCP4 " + b"1" * 200 + b"\r\n",
    "a line without CR": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
    "mixed families": b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
    "a leading zero": b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
    "lower case": b"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
}


@pytest.mark.parametrize("junk", WRONG_HEADERS.values(), ids=WRONG_HEADERS)
async def test_what_is_no_header_is_closed_without_a_word(
    junk: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with behind_proxy() as house:
        assert await first_words(house, junk) == b""
        assert (await first_words(house, binary(CLIENT)))[:4] == b"* OK"
    assert "listener imap: 127.0.0.1 is trusted, but has sent no PROXY header" in caplog.text


@pytest.mark.parametrize("whole", [binary(CLIENT, TLS), line(CLIENT)], ids=["v2", "v1"])
async def test_a_header_that_is_cut_is_closed_without_a_word(whole: bytes) -> None:
    async with behind_proxy() as house:
        for size in range(1, len(whole)):
            reader, writer = await house.connect()
            writer.write(whole[:size])
            writer.write_eof()
            with suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
        assert (await first_words(house, binary(CLIENT)))[:4] == b"* OK"


@pytest.mark.parametrize("piece", [b"", SIGNATURE, b"PROXY TCP4 192."])
async def test_a_header_that_is_never_finished_is_given_up(
    piece: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(headers, "HEADER_SECONDS", 0.05)
    async with behind_proxy() as house:
        assert await first_words(house, piece) == b""
    assert "was not there within" in caplog.text


async def test_headers_that_are_awaited_take_a_bounded_number_of_places(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(headers, "MAX_AWAITED", 3)
    async with behind_proxy() as house:
        silent = [await house.connect() for _ in range(4)]
        with suppress(ConnectionError):
            assert await silent[0][0].read() == b""  # the oldest goes
        for _, writer in silent[1:]:
            writer.write(binary(CLIENT))
        for reader, writer in silent[1:]:
            assert (await reader.readline())[:4] == b"* OK"
            writer.close()


async def test_a_proxy_whose_clients_all_come_at_once_loses_none_of_them() -> None:
    async with behind_proxy() as house:
        silent = [await house.connect() for _ in range(400)]
        for _, writer in silent:
            writer.write(binary(CLIENT))
        for reader, writer in silent:
            assert (await reader.readline())[:4] == b"* OK"
            writer.close()


async def test_doors_that_shut_wait_for_no_header() -> None:
    async with behind_proxy() as house:
        reader, writer = await house.connect()
        writer.write(SIGNATURE)
        await until(lambda: house.lobby.present == 0)
    with suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize("second", [binary(OTHER), line(OTHER)], ids=["v2", "v1"])
async def test_a_second_header_is_junk_and_names_nobody(
    second: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with behind_proxy() as house:
        answer = await login(house, binary(CLIENT) + second, "ada", "right")
        assert answer == b""
        assert house.server.guesses == []
    assert "not expected here" not in caplog.text  # one was, and it was read
