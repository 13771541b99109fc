"""Hidden requests at the JMAP door before Cyrus, behind proxies too: no guess goes uncounted."""

from __future__ import annotations

import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from mailward.app.clock import SteadyClock
from mailward.app.selfsigned import CERTIFICATE_NAME, KEY_NAME, make_certificate
from tests.edges.smuggling import smuggling
from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.cyrus import Cyrus
from tests.real.jmap import WRONG, JmapDoor, basic, jmap_tables
from tests.real.processes import eventually, free_port
from tests.real.proxies import HAPROXY_ADDRESS, NGINX_ADDRESS, HttpProxy
from tests.real.servers import running

VICTIM = "victim"
QUIET_SECONDS = 0.5  # who says nothing for so long waits for another request
TRUST = f'[server.proxy]\ntrusted-networks = {{ "{HAPROXY_ADDRESS}", "{NGINX_ADDRESS}" }}\n'
BEFORE = {
    "nginx": "X-Forwarded-For $remote_addr",
    "haproxy": "option forwardfor",
    "nobody": "",
}


@pytest.mark.parametrize("proxy", BEFORE)
def test_every_guess_that_the_mail_server_hears_was_counted(
    mailward: StartMailward, cyrus: Cyrus, folder: Path, proxy: str
) -> None:
    door = JmapDoor(free_port())
    more = jmap_tables(door.port, cyrus.http_port) + TRUST
    ward = mailward('fail2ban = "1000/1h"', more=more)
    make_certificate(ward.data, datetime.fromtimestamp(SteadyClock()(), UTC))
    both = ward.folder / "both.pem"
    both.write_bytes(
        (ward.data / CERTIFICATE_NAME).read_bytes() + (ward.data / KEY_NAME).read_bytes()
    )
    right, wrong = basic("alice", ACCOUNTS["alice"]), basic(VICTIM, WRONG)
    head, hidden, hiding = smuggling("localhost", "/jmap/", right, wrong)
    plain = f"{head}Content-Length: {len(hidden)}\r\n\r\n{hidden}"  # only a body, that is
    octets = [text.encode("latin-1") for text in (hidden, plain, *hiding.values())]
    servers, way = [], door
    if proxy != "nobody":
        before = HttpProxy(folder, proxy, door.port, both, BEFORE[proxy])
        context = ssl.create_default_context(cafile=ward.data / CERTIFICATE_NAME)
        servers, way = [before], JmapDoor(before.port, context)
    with running(*servers), ThreadPoolExecutor(8) as pool:
        list(pool.map(partial(say, way), octets))
        assert way.told("alice", ACCOUNTS["alice"], "127.0.0.1") == 200
    counted = ward.told("why", VICTIM)["count"]
    assert counted >= 1  # the one that was not hidden
    eventually(lambda: heard(cyrus) >= counted, "Cyrus has written down what it heard")
    assert heard(cyrus) == counted
    assert ward.bans() == {}


def say(way: JmapDoor, octets: bytes) -> None:
    """Send *octets*, and read until nothing comes any more."""
    with suppress(OSError), ExitStack() as stack:
        line = stack.enter_context(socket.create_connection(("127.0.0.1", way.port), 10))
        if way.tls is not None:
            line = stack.enter_context(way.tls.wrap_socket(line, server_hostname="localhost"))
        line.sendall(octets)
        line.settimeout(QUIET_SECONDS)
        while line.recv(65_536):
            pass


def heard(cyrus: Cyrus) -> int:
    """How many guesses with that name Cyrus was asked about."""
    return cyrus.log().count(f"Basic {VICTIM} ")
