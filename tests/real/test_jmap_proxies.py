"""Doors for HTTP behind nginx and HAProxy, by fields and by PROXY headers: the client counts."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from mailward.app.clock import SteadyClock
from mailward.app.selfsigned import CERTIFICATE_NAME, KEY_NAME, make_certificate
from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.cyrus import Cyrus
from tests.real.daemon import Mailward
from tests.real.jmap import WRONG, JmapDoor, jmap_tables
from tests.real.processes import eventually, free_port, let_pass
from tests.real.proxies import (
    CHECKS_SECONDS,
    HAPROXY_ADDRESS,
    NGINX_ADDRESS,
    HaProxy,
    HttpProxy,
    Nginx,
    Way,
)
from tests.real.servers import Server, running

ATTACKER, OWNER = "127.0.0.66", "127.0.0.67"
OPERATOR = "admin", "operator-opensesame"
CERTIFICATE = f"""
[certificate.default]
cert = "{CERTIFICATE_NAME}"
private-key = "{KEY_NAME}"
"""
ASKED = r"GET\ /jmap/\ HTTP/1.1\r\nHost:\ localhost\r\n\r\n"


@dataclass(frozen=True)
class Town:
    """A mailward with a JMAP door on *port*, and how its certificate is believed."""

    ward: Mailward
    port: int
    tls: ssl.SSLContext
    certificate: Path
    """With its key, as HAProxy wants it."""

    def behind(self, proxy: HttpProxy | Way) -> JmapDoor:
        """The port of a proxy where TLS ends, at it or at the door."""
        return JmapDoor(proxy.port, self.tls)


StartTown = Callable[..., Town]


@pytest.fixture
def start(mailward: StartMailward, cyrus: Cyrus) -> StartTown:
    def start(*lines: str, trusted: str = "", limit: str = "3/1h", tables: str = "") -> Town:
        port = free_port()
        trust = f"[server.proxy]\ntrusted-networks = {{ {trusted} }}\n"
        more = jmap_tables(port, cyrus.http_port, "\n".join(lines)) + CERTIFICATE + trust + tables
        ward = mailward(f'fail2ban = "{limit}"', more=more, running=False)
        make_certificate(ward.data, datetime.fromtimestamp(SteadyClock()(), UTC))
        both = ward.folder / "both.pem"
        both.write_bytes(
            (ward.data / CERTIFICATE_NAME).read_bytes() + (ward.data / KEY_NAME).read_bytes()
        )
        ward.start()
        context = ssl.create_default_context(cafile=ward.data / CERTIFICATE_NAME)
        return Town(ward, port, context, both)

    return start


# What nginx and HAProxy call what they send, and the header that is chosen for it.
NAMED = {
    "nginx": ("nginx", "x-forwarded-for", "X-Forwarded-For $proxy_add_x_forwarded_for"),
    "nginx, Forwarded": ("nginx", "forwarded", 'Forwarded "for=$remote_addr;proto=https"'),
    "HAProxy": ("haproxy", "x-forwarded-for", "option forwardfor"),
}


@pytest.mark.parametrize("kind", NAMED)
def test_only_the_attacker_behind_a_proxy_for_http_is_shut_out(
    start: StartTown, folder: Path, kind: str
) -> None:
    program, header, told = NAMED[kind]
    trusted = f'"{HAPROXY_ADDRESS}", "{NGINX_ADDRESS}"'
    town = start(f'client-header = "{header}"', trusted=trusted)
    proxy = HttpProxy(folder, program, town.port, town.certificate, told)
    with running(proxy):
        behind = town.behind(proxy)
        forged = {"X-Forwarded-For": "198.51.100.9"} if header != "forwarded" else {}
        forged |= {"X_Forwarded_For": "198.51.100.9", "X-Real-IP": "198.51.100.9"}
        for number in range(3):
            answer = behind.ask("/jmap/", f"user{number}", WRONG, None, ATTACKER, **forged)
            assert answer is not None
            assert answer.status == 401
        assert list(town.ward.bans()) == [ATTACKER]
        shut_out = behind.ask("/jmap/", source=ATTACKER)
        assert shut_out is not None
        assert shut_out.status == 403
        for _ in range(3):  # and the proxy goes on for everybody else
            assert behind.told("alice", ACCOUNTS["alice"], OWNER) == 200
    assert town.ward.told("why", proxy.address)["count"] == 0


def test_what_a_proxy_says_that_is_not_trusted_is_not_believed(
    start: StartTown, folder: Path
) -> None:
    town = start(trusted='"192.0.2.0/24"')
    proxy = HttpProxy(folder, "haproxy", town.port, town.certificate, "option forwardfor")
    with running(proxy):
        for number in range(3):
            town.behind(proxy).told(f"user{number}", WRONG, ATTACKER)
    assert list(town.ward.bans()) == [HAPROXY_ADDRESS]


def test_a_health_check_of_haproxy_finds_the_door_open_and_counts_for_nobody(
    start: StartTown, folder: Path
) -> None:
    town = start(trusted=f'"{HAPROXY_ADDRESS}"', limit="1/1h")
    proxy = HttpProxy(folder, "haproxy", town.port, town.certificate, "option forwardfor")
    with running(proxy):
        let_pass(5 * CHECKS_SECONDS)
        assert town.behind(proxy).told("alice", ACCOUNTS["alice"], OWNER) == 200
    assert town.ward.bans() == {}


PROXIES: dict[str, Callable[[Path, list[Way]], Server]] = {
    "HAProxy, version 2": HaProxy,
    "HAProxy, version 1": partial(HaProxy, header="send-proxy"),
    "nginx": Nginx,
}


@pytest.fixture(params=PROXIES)
def start_proxy(request: pytest.FixtureRequest) -> Callable[[Path, list[Way]], Server]:
    return PROXIES[request.param]


def test_only_the_attacker_is_dropped_behind_a_proxy_header(
    start: StartTown, folder: Path, start_proxy: Callable[[Path, list[Way]], Server]
) -> None:
    town = start(
        "proxy-protocol = true",
        "tls.implicit = true",
        trusted=f'"{HAPROXY_ADDRESS}", "{NGINX_ADDRESS}"',
    )
    way = Way("jmap", town.port, "HTTP/1.1 401", is_tls=True, asks=ASKED)
    with running(start_proxy(folder, [way])):
        behind = town.behind(way)
        for number in range(3):
            # Behind such a header nobody's word about a client is taken any more.
            told = behind.ask(
                "/jmap/", f"user{number}", WRONG, None, ATTACKER, X_Forwarded_For="::"
            )
            assert told is not None
            assert told.status == 401
        assert list(town.ward.bans()) == [ATTACKER]
        assert behind.told("alice", ACCOUNTS["alice"], ATTACKER) is None
        assert behind.told("alice", ACCOUNTS["alice"], OWNER) == 200
    for proxy in (HAPROXY_ADDRESS, NGINX_ADDRESS):
        assert town.ward.told("why", proxy)["count"] == 0


def test_haproxy_finds_the_door_open_behind_its_own_header(start: StartTown, folder: Path) -> None:
    town = start("proxy-protocol = true", trusted=f'"{HAPROXY_ADDRESS}"', limit="1/1h")
    proxy = HaProxy(folder, [Way("jmap", town.port, "HTTP/1.1 40", asks=ASKED)])
    with running(proxy):
        eventually(lambda: proxy.checks() == {"jmap": "L7OK"}, "the door is found open")
        let_pass(5 * CHECKS_SECONDS)
        assert proxy.failed_checks() == 0
    assert town.ward.bans() == {}


def test_a_header_that_is_not_expected_or_not_sent_ends_the_connection(
    start: StartTown, folder: Path
) -> None:
    for number, (expects, header) in enumerate((("true", ""), ("false", "send-proxy-v2"))):
        town = start(f"proxy-protocol = {expects}", trusted=f'"{HAPROXY_ADDRESS}"')
        way = Way("jmap", town.port, "HTTP/1.1 401", asks=ASKED)
        place = folder / str(number)
        place.mkdir()
        with running(HaProxy(place, [way], header)):
            answer = JmapDoor(way.port).ask("/jmap/", password=WRONG, source=ATTACKER)
            assert answer is None or answer.status == 400
        assert town.ward.bans() == {}


def test_tls_that_ended_at_haproxy_is_told_by_its_header(start: StartTown, folder: Path) -> None:
    town = start("proxy-protocol = true", trusted=f'"{HAPROXY_ADDRESS}"')
    make = partial(HttpProxy, folder, "haproxy", town.port, town.certificate)
    proxy = make("option forwardfor", "send-proxy-v2-ssl")
    with running(proxy):
        behind = town.behind(proxy)
        for number in range(3):
            assert behind.told(f"user{number}", WRONG, ATTACKER) == 401
        assert list(town.ward.bans()) == [ATTACKER]
        assert behind.told("alice", ACCOUNTS["alice"], OWNER) == 200


MANAGE = """
[server.listener.far]
protocol = "manage"
bind = ["127.0.0.1:{port}"]
[management]
admin.secret = "{secret}"
"""


@pytest.mark.parametrize("kind", ["nginx", "HAProxy"])
def test_operators_behind_a_proxy_for_http_are_counted_for_themselves(
    start: StartTown, folder: Path, kind: str
) -> None:
    secret = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(OPERATOR[1])
    port = free_port()
    more = MANAGE.format(port=port, secret=secret)
    town = start(trusted=f'"{HAPROXY_ADDRESS}", "{NGINX_ADDRESS}"', tables=more)
    program, _, told = NAMED[kind]
    proxy = HttpProxy(folder, program, port, town.certificate, told)
    with running(proxy):
        behind = town.behind(proxy)
        for number in range(3):
            forged = {"X-Forwarded-For": "198.51.100.9"}
            answer = behind.ask("/healthz", f"n{number}", WRONG, None, ATTACKER, **forged)
            assert answer is not None
            assert answer.status == 401
        assert list(town.ward.bans()) == [ATTACKER]
        shut_out = behind.ask("/healthz", *OPERATOR, source=ATTACKER)
        assert shut_out is not None
        assert shut_out.status == 403
        served = behind.ask("/healthz", *OPERATOR, source=OWNER)
        assert served is not None
        assert served.status == 200
