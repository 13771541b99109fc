"""What misleads Cyrus inside a ManageSieve session does not come through the door.

Cyrus itself is the witness, and so is the model of it that the fuzz drivers use.
"""

from __future__ import annotations

import pytest

from tests.fuzz.timsieved import Timsieved
from tests.real.attack import Door, Line, Service, offer, sieve_answer
from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.cyrus import Cyrus
from tests.real.test_cyrus import Guarded

pytestmark = pytest.mark.timeout(1000)  # the root that Cyrus runs in is made with the first test

LOGGED_OUT = b'NO "Authenticate first"\r\n'
HIDDEN_IN_A_LITERAL = b" {16+}\r\nUNAUTHENTICATE\r\n"
MISLEADING = [
    b"LISTSCRIPTS UNAUTHENTICATE",
    b"1 UNAUTHENTICATE",
    b"FOO" + HIDDEN_IN_A_LITERAL,
    b'GETSCRIPT "caf\xe9"' + HIDDEN_IN_A_LITERAL,
    b'PUTSCRIPT "caf\xe9"' + HIDDEN_IN_A_LITERAL,
    b'PUTSCRIPT "mine" {16}\r\nUNAUTHENTICATE\r\n',
]


def said_to(door: Door, command: bytes) -> bytes:
    """All that is said to *command* and to what follows, behind alice's login."""
    with Line(door) as line:
        sieve_answer(line)
        line.say(offer(door, "alice", ACCOUNTS["alice"]))
        assert sieve_answer(line).startswith(b"OK")
        line.say(command + b"\r\nLISTSCRIPTS\r\nLOGOUT\r\n")
        said = b""
        while heard := line.take():
            said += heard
    return said


def test_no_misleading_command_ends_the_login(mailward: StartMailward, cyrus: Cyrus) -> None:
    guarded = Guarded(mailward, cyrus, "50/1h")
    direct = Door(Service.MANAGESIEVE, cyrus.sieve_port)
    for command in MISLEADING:
        assert b"UNAUTHENTICATE" in [*Timsieved(command + b"\r\n").commands()], command
        assert LOGGED_OUT in said_to(direct, command), command
        assert LOGGED_OUT not in said_to(guarded.managesieve, command), command
