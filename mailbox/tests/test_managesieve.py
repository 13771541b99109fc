"""Scripts are kept, within limits, and the session survives what is sent to it."""

from __future__ import annotations

from pathlib import Path

import pytest
from mailbox_testing.doors import premises
from mailbox_testing.lines import house, session
from mailward_mailbox.managesieve.commands import MAX_SKIPPED_OCTETS
from mailward_mailbox.managesieve.session import MAX_SCRIPTS
from mailward_mailbox.sieve.parser import MAX_SCRIPT_OCTETS

DONE = b'OK "Done"\r\n'
TOO_LONG = b'NO (QUOTA/MAXSIZE) "A script has 262144 octets at most"\r\n'
MISSING = b'NO (NONEXISTENT) "There is no such script"\r\n'
NO_NAME = b'NO "No script has that name"\r\n'

DIALOGUE: list[tuple[bytes, bytes]] = [
    (b"LISTSCRIPTS", DONE),
    (b"CHECKSCRIPT {5+}\r\nkeep;", DONE),
    (b'CHECKSCRIPT "keep"', b'NO "line 1: ; is expected"\r\n'),
    (b'PUTSCRIPT "main" {11+}\r\nkeep;\r\n#one', DONE),
    (b'putscript {6+}\r\nd\xc3\xa9j\xc3\xa0 "keep;"', DONE),
    (b'PUTSCRIPT "broken" "keep; {"', b'NO "line 1: a command is expected, not {"\r\n'),
    (b'SETACTIVE "broken"', MISSING),
    (b'SETACTIVE "main"', DONE),
    (b"LISTSCRIPTS", b'{6}\r\nd\xc3\xa9j\xc3\xa0\r\n"main" ACTIVE\r\n' + DONE),
    (b'GETSCRIPT "main"', b"{11}\r\nkeep;\r\n#one\r\n" + DONE),
    (b'GETSCRIPT "broken"', MISSING),
    (
        b'DELETESCRIPT "main"',
        b'NO (ACTIVE) "The active script stays; make another one active first"\r\n',
    ),
    (b'RENAMESCRIPT "main" "best"', DONE),
    (b'RENAMESCRIPT "main" "best"', MISSING),
    (b'RENAMESCRIPT "best" ""', NO_NAME),
    (
        b'RENAMESCRIPT "best" {6+}\r\nd\xc3\xa9j\xc3\xa0',
        b'NO (ALREADYEXISTS) "There is such a script already"\r\n',
    ),
    (b'SETACTIVE ""', DONE),
    (b'DELETESCRIPT "best"', DONE),
    (b'DELETESCRIPT "best"', MISSING),
    (b'HAVESPACE "new" 262144', DONE),
    (b'HAVESPACE "new" 262145', TOO_LONG),
    (b'HAVESPACE "a\x07b" 1', b'NO "No script has that name"\r\n'),
    (b'HAVESPACE "%b" 1' % (b"n" * 128), DONE),
    (b'PUTSCRIPT "%b" "keep;"' % (b"n" * 129), NO_NAME),
    (b'PUTSCRIPT {2+}\r\n\xff\xff "keep;"', NO_NAME),
    (b"NOOP", DONE),
    (b'NOOP "a \\"tag\\""', b'OK (TAG "a \\"tag\\"") "Done"\r\n'),
    (b"NONSENSE", b'NO "Unknown command"\r\n'),
    (b"LISTSCRIPTS now", b'NO "Too many arguments"\r\n'),
    (b"GETSCRIPT", b'NO "An argument is missing"\r\n'),
    (b"UNAUTHENTICATE", b'NO "That was before the login; begin a new connection"\r\n'),
    (b'AUTHENTICATE "PLAIN"', b'NO "That was before the login; begin a new connection"\r\n'),
    (b"LOGOUT", b'OK "Good bye"\r\n'),
]


@pytest.mark.parametrize("size", [1, 1_000_000], ids=["octet by octet", "all at once"])
async def test_every_command_is_answered_by_the_book(tmp_path: Path, size: int) -> None:
    stream = b"".join(said + b"\r\n" for said, _ in DIALOGUE)
    async with house(tmp_path, "alice") as here, session(here, here.server.managesieve) as alice:
        for at in range(0, len(stream), size):
            await alice.say(stream[at : at + size])
        assert await alice.rest() == b"".join(answer for _, answer in DIALOGUE)


async def test_capabilities_tell_what_scripts_may_use_and_whose_they_are(tmp_path: Path) -> None:
    async with house(tmp_path, "alice") as here, session(here, here.server.managesieve) as alice:
        shown = await alice.command(b"CAPABILITY")
    assert shown.splitlines() == [
        b'"IMPLEMENTATION" "mailward"',
        b'"SIEVE" "fileinto reject ereject envelope body"',
        b'"VERSION" "1.0"',
        b'"MAXREDIRECTS" "0"',
        b'"SASL" "PLAIN LOGIN SCRAM-SHA-256"',
        b'"OWNER" "alice"',
        b'OK "Done"',
    ]


async def test_a_script_of_ten_megabytes_is_refused_and_the_session_goes_on(tmp_path: Path) -> None:
    async with house(tmp_path, "alice") as here, session(here, here.server.managesieve) as alice:
        huge = b"#" * 10_000_000
        assert await alice.command(b'PUTSCRIPT "a" {%d+}\r\n%b' % (len(huge), huge)) == TOO_LONG
        fits = b"#" * MAX_SCRIPT_OCTETS
        assert await alice.command(b'PUTSCRIPT "a" {%d+}\r\n%b' % (len(fits), fits)) == DONE
        assert await alice.command(b"LISTSCRIPTS") == b'"a"\r\n' + DONE


async def test_a_script_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    script = b"if not " + b"not " * 50_000 + b"true { keep; }"
    async with house(tmp_path, "alice") as here, session(here, here.server.managesieve) as alice:
        answer = await alice.command(b'PUTSCRIPT "a" {%d+}\r\n%b' % (len(script), script))
        assert answer == b'NO "line 1: it is nested deeper than 32"\r\n'


async def test_there_are_only_so_many_scripts(tmp_path: Path) -> None:
    async with house(tmp_path, "alice") as here, session(here, here.server.managesieve) as alice:
        for number in range(MAX_SCRIPTS):
            assert await alice.command(b'PUTSCRIPT "s%d" "keep;"' % number) == DONE
        more = b'NO (QUOTA/MAXSCRIPTS) "There are 64 scripts already"\r\n'
        assert await alice.command(b'PUTSCRIPT "more" "keep;"') == more
        assert await alice.command(b'HAVESPACE "more" 1') == more
        assert await alice.command(b'PUTSCRIPT "s7" "discard;"') == DONE


@pytest.mark.parametrize(
    "said",
    [
        b"NOOP\n",
        b"N" * 9_000,
        b'PUTSCRIPT "a" {%d+}\r\n' % (MAX_SKIPPED_OCTETS + 1),
        b"NONSENSE\r\n" * 20,
    ],
)
async def test_who_cannot_be_understood_any_more_is_told_goodbye(
    tmp_path: Path, said: bytes
) -> None:
    async with house(tmp_path, "alice") as here, session(here, here.server.managesieve) as alice:
        await alice.say(said)
        assert (await alice.rest()).splitlines()[-1].startswith(b"BYE ")


async def test_scripts_outlive_the_server_and_belong_to_their_owner(tmp_path: Path) -> None:
    async with house(tmp_path, "alice", "bob") as here:
        async with session(here, here.server.managesieve) as alice:
            assert await alice.command(b'PUTSCRIPT "mine" "keep;"') == DONE
        async with session(here, here.server.managesieve, "bob") as bob:
            assert await bob.command(b'GETSCRIPT "mine"') == MISSING
    async with premises(tmp_path) as here, session(here, here.server.managesieve) as alice:
        assert await alice.command(b'GETSCRIPT "mine"') == b"{5}\r\nkeep;\r\n" + DONE
