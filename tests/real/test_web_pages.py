"""A web page that an operator looks at bans nobody: curl sends here what browsers send."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2 import PasswordHasher

from tests.real.attack import Told, guess
from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.daemon import Mailward
from tests.real.processes import free_port
from tests.real.servers import program

DESK = "127.0.0.66"
PASSWORD = "operator-opensesame"
_MANAGE = """
[server.listener.far]
protocol = "manage"
bind = ["127.0.0.1:{port}"]

[management]
admin.secret = "{secret}"
"""
CROSS_SITE = (
    "Sec-Fetch-Site: cross-site",
    "Sec-Fetch-Mode: no-cors",
    "Referer: https://evil.test/",
)
FORM = ("Origin: https://evil.test", "Content-Type: text/plain")


def start(mailward: StartMailward, security: str, secret: str) -> tuple[Mailward, str]:
    port = free_port()
    ward = mailward(security, more=_MANAGE.format(port=port, secret=secret))
    return ward, f"http://127.0.0.1:{port}"


def curl(url: str, *headers: str, who: str = "", source: str = DESK, method: str = "GET") -> str:
    """The status of the answer."""
    words = [word for header in headers for word in ("-H", header)]
    words += ["-u", who] if who else []
    words += ["--interface", source, "-X", method, "-o", "/dev/null", "-w", "%{http_code}"]
    done = subprocess.run(
        [program("curl"), "-s", *words, url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout


@pytest.fixture(scope="module")
def secret() -> str:
    return PasswordHasher().hash(PASSWORD)  # with the parameters that operators have


def test_what_a_page_makes_a_browser_send_bans_nobody(mailward: StartMailward, secret: str) -> None:
    ward, url = start(mailward, 'fail2ban = "3/1h"', secret)
    for _ in range(10):
        assert curl(f"{url}/healthz") == "401"
        assert curl(f"{url}/healthz", *CROSS_SITE) == "403"
        assert curl(f"{url}/healthz", *CROSS_SITE, who="admin:wrong-opensesame") == "403"
        assert curl(f"{url}/api/bans", *FORM, method="POST") == "403"
        assert curl(f"{url}/api/bans", *FORM, method="OPTIONS") == "403"
    assert ward.bans() == {}
    assert {guess(door, "alice", ACCOUNTS["alice"], source=DESK) for door in ward.doors} == {
        Told.OK
    }
    assert curl(f"{url}/healthz", who=f"admin:{PASSWORD}") == "200"
    # A guess is a guess as ever.
    assert [curl(f"{url}/healthz", who="admin:wrong-opensesame") for _ in range(3)] == ["401"] * 3
    assert ward.bans()[DESK]["services"] == ["manage"]


def test_a_flood_of_guesses_from_one_address_leaves_the_processor_and_room_for_others(
    mailward: StartMailward, secret: str
) -> None:
    # The limit does not end it: this address may guess ten thousand times.
    ward, url = start(mailward, 'fail2ban = "10000/1h"', secret)
    with ThreadPoolExecutor(12) as flood:
        began = time.monotonic()
        told = [
            flood.submit(curl, f"{url}/healthz", who=f"user{number}:wrong-opensesame")
            for number in range(150)
        ]
        assert curl(f"{url}/healthz", who=f"admin:{PASSWORD}", source="127.0.0.67") == "200"
        statuses = [one.result() for one in told]
        took = time.monotonic() - began
    assert set(statuses) == {"401", "503"}
    assert statuses.count("401") <= 20 + took / 3 + 1
    assert ward.bans() == {}
