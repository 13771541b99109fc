"""A flood of refusals, outages or connections that come to nothing fills no log."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

from tests.real.attack import Door, Line
from tests.real.conftest import StartMailward
from tests.real.daemon import Mailward
from tests.real.processes import free_port

SECONDS = 4.0
AT_ONCE = 50


def hammer(door: Door, source: str, login: str) -> int:
    """Log in again and again for some seconds, pipelined; return how often an answer came."""
    answered, until = 0, time.monotonic() + SECONDS
    while time.monotonic() < until:
        with Line(door, source=source) as line:
            if not line.hear():
                continue
            for _ in range(AT_ONCE):
                line.say(f"a LOGIN {login} wrong-opensesame\r\n".encode())
                if not line.hear().startswith(b"a NO"):
                    break
                answered += 1
    return answered


def hammer_from_four(door: Door, logins: list[str]) -> int:
    sources = [f"127.0.0.{60 + number}" for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        return sum(pool.map(lambda pair: hammer(door, *pair), zip(sources, logins, strict=True)))


def outcome(ward: Mailward, name: str) -> int:
    _, said = ward.ask("GET", "/api/status")
    return int(json.loads(said)["services"]["imap"][name])


def lines_of(ward: Mailward, event: str) -> list[str]:
    return [line for line in ward.log().splitlines() if f" {event} " in line]


def test_a_flood_of_refusals_is_a_line_a_minute_and_every_one_is_counted(
    mailward: StartMailward,
) -> None:
    ward = mailward('fail2ban = "1000/1h"')
    ward.cli("ban", "alice")
    answered = hammer_from_four(ward.imap, ["alice"] * 4)
    assert answered > 500
    assert outcome(ward, "refused") == answered
    assert len(lines_of(ward, "auth.refused")) == 1
    ward.stop()
    first, last = lines_of(ward, "auth.refused")
    assert "login=alice" in first
    assert last.endswith(
        f" auth.refused service=imap login=alice reason=login count={answered - 1}"
    )
    assert not lines_of(ward, "log.shortened")


def test_an_outage_with_many_logins_is_ten_lines_a_second(mailward: StartMailward) -> None:
    ward = mailward('fail2ban = "1000/1h"', imap=free_port(), has_servers=False)
    answered = 0
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        for told in pool.map(lambda number: one_of_many(ward.imap, number), range(600)):
            answered += told
    took = time.monotonic() - began
    assert answered == 600
    assert outcome(ward, "unavailable") == answered
    lines = len(lines_of(ward, "auth.unavailable"))
    assert 0 < lines <= 10 * (took + 2)
    ward.stop()
    (shortened,) = lines_of(ward, "log.shortened")
    assert shortened.endswith(f" lines={answered - lines} subjects={answered - lines}")


def one_of_many(door: Door, number: int) -> int:
    with Line(door, source=f"127.0.3.{number % 200 + 1}") as line:
        line.hear()
        line.say(f"a LOGIN somebody-{number} wrong-opensesame\r\n".encode())
        return line.hear().startswith(b"a NO")
