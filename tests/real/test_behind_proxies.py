"""The doors behind HAProxy and nginx: the client counts, and never the proxy.

Whoever is not trusted is not believed.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import pytest

from mailward.app.clock import SteadyClock
from mailward.app.selfsigned import CERTIFICATE_NAME, KEY_NAME, make_certificate
from tests.real.attack import Door, Line, Service, Told, guess, offer
from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.daemon import Mailward
from tests.real.processes import eventually, free_port, let_pass
from tests.real.proxies import CHECKS_SECONDS, HAPROXY_ADDRESS, NGINX_ADDRESS, HaProxy, Nginx, Way
from tests.real.servers import Dovecot, Postfix, running

WRONG = "wrong-opensesame"
BAD, GOOD = "127.0.1.1", "127.0.1.2"

_TRUST = f"""
[server.proxy]
trusted-networks = {{ "{HAPROXY_ADDRESS}", "{NGINX_ADDRESS}" }}
"""
_TRUST_IN_OTHERS = """
[server.proxy]
trusted-networks = { "192.0.2.0/24" }
"""
_LISTENER = """
[server.listener.{name}-proxied]
protocol = "{protocol}"
bind = ["127.0.0.1:{port}"]
backend = "{backend}"
proxy-protocol = {expects}
{tls}
"""
_CERTIFICATE = f"""
[certificate.default]
cert = "{CERTIFICATE_NAME}"
private-key = "{KEY_NAME}"
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """A door, and by which words a health check knows that it is there."""

    protocol: str
    backend: str
    words: str
    is_tls: bool = False


KINDS = {
    "imap": Kind("imap", "dovecot", "* OK"),
    "imaps": Kind("imap", "dovecot", "* OK", is_tls=True),
    "submission": Kind("submission", "postfix", "220 "),
    "submissions": Kind("submission", "postfix", "220 ", is_tls=True),
    "managesieve": Kind("managesieve", "pigeonhole", '"SIEVE"'),
    "smtp": Kind("smtp", "postfix", "220 "),
}
LOGIN_DOORS = {
    "imap": Service.IMAP,
    "submission": Service.SUBMISSION,
    "managesieve": Service.MANAGESIEVE,
}


class Town:
    """A mailward with a second set of doors, for proxies, and the ways through a proxy to them."""

    def __init__(
        self,
        mailward: StartMailward,
        dovecot: Dovecot,
        *,
        trust: str = _TRUST,
        expects: bool = True,
    ) -> None:
        ports = {name: free_port() for name in KINDS}
        tables = [
            _LISTENER.format(
                name=name,
                protocol=kind.protocol,
                port=ports[name],
                backend=kind.backend,
                expects=str(expects).lower(),
                tls="tls.implicit = true" if kind.is_tls else "",
            )
            for name, kind in KINDS.items()
        ]
        self.ward: Mailward = mailward(
            'fail2ban = "6/1h"',
            more="".join([trust, *tables, _CERTIFICATE]),
            running=False,
        )
        make_certificate(self.ward.data, datetime.fromtimestamp(SteadyClock()(), UTC))
        self.ward.start()
        dovecot.forget_guesses()
        self.ways = {
            name: Way(name, ports[name], kind.words, is_tls=kind.is_tls)
            for name, kind in KINDS.items()
        }

    def door(self, name: str) -> Door:
        """The proxy's port before one of the doors where somebody logs in without TLS."""
        return Door(LOGIN_DOORS[name], self.ways[name].port)

    def over_tls(self, name: str, source: str) -> bytes:
        """What is said first where TLS begins at once; nothing where somebody is dropped."""
        context = ssl.create_default_context(cafile=self.ward.data / CERTIFICATE_NAME)
        try:
            with (
                socket.create_connection(
                    ("127.0.0.1", self.ways[name].port), 10, source_address=(source, 0)
                ) as line,
                context.wrap_socket(line, server_hostname="localhost") as encrypted,
            ):
                return encrypted.recv(4096)
        except (ConnectionError, ssl.SSLEOFError):
            return b""

    def complaints(self, words: str) -> list[str]:
        return [line for line in self.ward.log().splitlines() if words in line]


StartProxy = Callable[[Path, list[Way]], HaProxy | Nginx]
PROXIES: dict[str, StartProxy] = {
    "HAProxy, version 2": HaProxy,
    "HAProxy, version 1": partial(HaProxy, header="send-proxy"),
    "nginx": Nginx,
}


@pytest.fixture(params=PROXIES)
def start_proxy(request: pytest.FixtureRequest) -> StartProxy:
    return PROXIES[request.param]


def test_only_the_attacker_is_dropped(
    mailward: StartMailward,
    dovecot: Dovecot,
    postfix: Postfix,
    folder: Path,
    start_proxy: StartProxy,
) -> None:
    town = Town(mailward, dovecot)
    with running(start_proxy(folder, list(town.ways.values()))):
        assert town.over_tls("imaps", BAD).startswith(b"* OK ")
        for number in range(6):
            name = list(LOGIN_DOORS)[number % 3]
            assert guess(town.door(name), f"user{number}", WRONG, source=BAD) is Told.WRONG
        assert list(town.ward.bans()) == [BAD]
        for name in LOGIN_DOORS:
            assert guess(town.door(name), "alice", ACCOUNTS["alice"], source=BAD) is Told.DROPPED
            assert guess(town.door(name), "alice", ACCOUNTS["alice"], source=GOOD) is Told.OK
        for name, words in (("imaps", b"* OK "), ("submissions", b"220 ")):
            assert town.over_tls(name, BAD) == b""
            assert town.over_tls(name, GOOD).startswith(words)
        assert mail_from_elsewhere(town, BAD) == "dropped"
        assert mail_from_elsewhere(town, GOOD) == "554 5.7.1"
    assert [one.address for one in dovecot.guesses()] == [ip_address(BAD)] * 6 + [
        ip_address(GOOD)
    ] * 3
    for client in (BAD, GOOD):
        assert f"connect from unknown[{client}]" in postfix.log()
    for proxy in (HAPROXY_ADDRESS, NGINX_ADDRESS):
        assert proxy not in dovecot.log()
        assert town.ward.told("why", proxy)["count"] == 0


def mail_from_elsewhere(town: Town, source: str) -> str:
    """What becomes of a message for somebody whom this Postfix does not know."""
    port = town.ways["smtp"].port
    try:
        with closing(
            smtplib.SMTP("127.0.0.1", port, "mx.test", 10, source_address=(source, 0))
        ) as line:
            line.sendmail("eve@elsewhere.test", ["alice@postfix.test"], "Subject: hi\r\n\r\nhi")
    except smtplib.SMTPRecipientsRefused as refused:
        [(code, text)] = refused.recipients.values()
        return f"{code} {text.decode().split()[0]}"
    except (smtplib.SMTPServerDisconnected, ConnectionError):
        return "dropped"
    return "taken"


def test_health_checks_find_all_doors_open_and_disturb_nobody(
    mailward: StartMailward, dovecot: Dovecot, postfix: Postfix, folder: Path
) -> None:
    town = Town(mailward, dovecot)
    postfix.forget_log()
    proxy = HaProxy(folder, list(town.ways.values()))
    with running(proxy):
        in_order = dict.fromkeys(KINDS, "L7OK")
        eventually(lambda: proxy.checks() == in_order, "all doors are found open")
        for number in range(6):
            assert guess(town.door("imap"), f"user{number}", WRONG, source=BAD) is Told.WRONG
        let_pass(10 * CHECKS_SECONDS)
        assert proxy.checks() == in_order
        assert proxy.failed_checks() == 0
        assert guess(town.door("imap"), "alice", ACCOUNTS["alice"], source=GOOD) is Told.OK
    assert list(town.ward.bans()) == [BAD]
    assert town.ward.told("why", HAPROXY_ADDRESS)["count"] == 0
    assert town.complaints(f"{HAPROXY_ADDRESS} ") == []
    assert HAPROXY_ADDRESS not in dovecot.log()


def test_a_proxy_that_is_not_trusted_is_refused_and_reported_once_a_minute(
    mailward: StartMailward, dovecot: Dovecot, folder: Path
) -> None:
    town = Town(mailward, dovecot, trust=_TRUST_IN_OTHERS)
    proxy = HaProxy(folder, list(town.ways.values()))
    with running(proxy):
        for name in LOGIN_DOORS:
            for _ in range(3):
                assert guess(town.door(name), "alice", WRONG, source=BAD) is Told.DROPPED
        eventually(lambda: "L7OK" not in proxy.checks().values(), "no door is found open")
    for name in KINDS:
        said = f"listener {name}-proxied: {HAPROXY_ADDRESS} may not connect, as only trusted"
        assert len(town.complaints(said)) == 1
    assert f"add server.proxy.trusted-networks.{HAPROXY_ADDRESS}" in town.ward.log()
    assert dovecot.guesses() == []
    assert town.ward.bans() == {}
    assert town.ward.told("why", HAPROXY_ADDRESS)["count"] == 0


def test_a_header_where_none_is_expected_is_believed_by_nobody_and_reported(
    mailward: StartMailward, dovecot: Dovecot, folder: Path
) -> None:
    town = Town(mailward, dovecot, expects=False)
    with running(HaProxy(folder, list(town.ways.values()), "send-proxy")):
        for name in LOGIN_DOORS:
            for _ in range(3):
                with Line(town.door(name), source=BAD) as line:
                    line.say(offer(town.door(name), "alice", WRONG))
                    line.hear_all()
    for name in LOGIN_DOORS:
        said = f"listener {name}-proxied: {HAPROXY_ADDRESS} has sent a PROXY header"
        assert len(town.complaints(said)) == 1
    assert dovecot.guesses() == []
    assert town.ward.bans() == {}
