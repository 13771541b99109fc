"""Dovecot 2.4 and Postfix 3.10 behind the doors: all that is claimed holds there, too."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from itertools import cycle
from pathlib import Path

import pytest

from mailward.wire.proxyline import TlsFacts, proxy_v2_header
from tests.real.attack import Door, Line, Service, Told, guess, guess_together, offer
from tests.real.conftest import ACCOUNTS
from tests.real.daemon import Mailward
from tests.real.processes import eventually, free_port
from tests.real.servers import Guess, running
from tests.real.test_backend_ways import Way
from tests.real.test_mechanisms import SCRAM, Scram, log_in
from tests.real.test_webmail import ANSWERS
from tests.real.trixie import NewDovecot, Trixie
from tests.real.trixie_root import shared_folder

pytestmark = pytest.mark.timeout(1000)  # the root that they run in is made with the first test

WRONG = "wrong-opensesame"
SOURCES = [
    ("198.51.100.7", TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384")),
    ("2001:db8::7", None),
]

_LOST = """
sql_driver = sqlite
sqlite_path = {folder}/empty.db
passdb sql {{
  query = SELECT password FROM accounts WHERE name = '%{{user}}'
}}
"""
FAREWELL = {
    Service.IMAP: b"z LOGOUT\r\n",
    Service.SUBMISSION: b"QUIT\r\n",
    Service.MANAGESIEVE: b"LOGOUT\r\n",
}

_LISTENER = """
[server.listener.{name}]
protocol = "{protocol}"
bind = ["127.0.0.1:{port}"]
proxy-protocol = true
allow-plaintext = true
backend = "{name}"

[backend.{name}]
address = "127.0.0.1:{behind}"
{way}
"""


@dataclass(frozen=True, slots=True)
class Behind:
    """A service of one of the servers, and how it is told who connects."""

    service: Service
    way: Way
    port: int
    name: str


def ways(trixie: Trixie) -> Iterator[Behind]:
    """Every way to tell each of four services who connects."""
    dovecot, postfix = trixie.dovecot, trixie.postfix
    plain = {
        "imap": (Service.IMAP, dovecot.port, dovecot.haproxy_port),
        "postfix": (Service.SUBMISSION, postfix.port, postfix.haproxy_port),
        "submission": (Service.SUBMISSION, *trixie.submission),
        "sieve": (Service.MANAGESIEVE, dovecot.sieve_port, dovecot.sieve_haproxy_port),
    }
    encrypted = {
        "imap": trixie.encrypted[Service.IMAP],
        "postfix": trixie.encrypted[Service.SUBMISSION],
    }
    for name, (service, bare, haproxy) in plain.items():
        own = "imap-id" if service is Service.IMAP else "xclient"
        for told in ("none", "proxy-v1", "proxy-v2", own):
            for tls in ("none", "starttls", "implicit"):
                with_header = told.startswith("proxy")
                if tls != "implicit":
                    port = haproxy if with_header else bare
                elif name in encrypted:
                    port = encrypted[name][with_header]
                else:
                    continue
                yield Behind(service, Way(told, tls), port, f"{name}-{told}-{tls}")


@pytest.fixture
def ward(folder: Path, trixie: Trixie) -> Iterator[Mailward]:
    """A mailward before them."""
    ward = Mailward(
        folder / "ward",
        security='fail2ban = "10/1h"',
        dovecot=trixie.dovecot.haproxy_port,
        postfix=trixie.postfix.haproxy_port,
        pigeonhole=trixie.dovecot.sieve_haproxy_port,
    )
    try:
        ward.start()
        trixie.dovecot.forget_guesses()
        yield ward
    finally:
        ward.finish()


def log_in_from(door: Door, source: str, tls: TlsFacts | None, login: str, password: str) -> Told:
    """What becomes of a login that a proxy brings from *source*."""
    client, here = (ip_address(source), 50_000), (ip_address(source), door.port)
    with Line(door) as line:
        line.say(
            proxy_v2_header(client, here, tls)
            + offer(door, login, password)
            + FAREWELL[door.service]
        )
        return answer(line.hear_all())


def answer(heard: bytes) -> Told:
    """What *heard* says of a login."""
    lines = heard.splitlines()
    return next(
        (told for words, told in ANSWERS.items() if any(x.startswith(words) for x in lines)),
        Told.LATER,
    )


def test_both_learn_the_true_client_by_every_way_there_is(ward: Mailward, trixie: Trixie) -> None:
    """One listener for each way; half of the clients have TLS, which proxy-v2 tells of."""
    doors = [(behind, Door(behind.service, free_port())) for behind in ways(trixie)]
    text = ward.configuration.read_text().replace("10/1h", "500/1h")
    text += '[server.proxy]\ntrusted-networks = { "127.0.0.1" }\n'
    for behind, door in doors:
        text += _LISTENER.format(
            name=behind.name,
            protocol=door.service.value,
            port=door.port,
            behind=behind.port,
            way=behind.way.lines,
        )
    ward.configuration.write_text(text)
    trixie.authority.cert_pem.write_to_path(ward.data / "ca.pem")
    ward.cli("server", "reload-config")
    eventually(ward.is_well, "all doors know their servers")
    trixie.dovecot.forget_guesses()
    expected, told = [], []
    for behind, door in doors:
        for source, tls in SOURCES:
            seen = "127.0.0.1" if behind.way.told == "none" else source
            for password in (WRONG, ACCOUNTS["alice"]):
                told.append((behind.name, log_in_from(door, source, tls, "alice", password)))
                expected.append((behind.name, Guess("alice", ip_address(seen))))
    assert told == [
        (name, [Told.WRONG, Told.OK][number % 2]) for number, (name, _) in enumerate(expected)
    ]
    assert trixie.dovecot.guesses() == [guessed for _, guessed in expected]


def test_every_mechanism_works_through_the_doors(ward: Mailward, trixie: Trixie) -> None:
    expected = []
    for door in ward.doors:
        for mechanism in SCRAM:
            assert exchange(door, mechanism, "bob", WRONG) is Told.WRONG
            assert exchange(door, mechanism, "alice", ACCOUNTS["alice"]) is Told.OK
            expected += ["bob", "alice"]
        assert guess(door, "alice", ACCOUNTS["alice"]) is Told.OK
        expected.append("alice")
        assert log_in_by_login(door, "alice", ACCOUNTS["alice"]) is Told.OK
        expected.append("alice")
    assert [one.login for one in trixie.dovecot.guesses()] == expected
    assert ward.told("why", "bob")["count"] == 6


def exchange(door: Door, mechanism: str, login: str, password: str) -> Told:
    return log_in(door, mechanism, Scram(mechanism, login, password), "127.0.0.7")


def log_in_by_login(door: Door, login: str, password: str) -> Told:
    """SASL LOGIN: the name, then the password."""
    messages = [b64encode(word.encode()) for word in (login, password)]
    match door.service:
        case Service.IMAP:
            said = [b"a AUTHENTICATE LOGIN", *messages]
        case Service.SUBMISSION:
            said = [b"EHLO client.test", b"AUTH LOGIN", *messages]
        case Service.MANAGESIEVE:
            said = [b'AUTHENTICATE "LOGIN"', *(b'"%b"' % message for message in messages)]
    with Line(door) as line:
        line.say(b"".join(words + b"\r\n" for words in said) + FAREWELL[door.service])
        return answer(line.hear_all())


def test_its_outage_is_counted_for_nobody_and_its_distrust_is_told(
    ward: Mailward, trixie: Trixie
) -> None:
    """A second Dovecot, whose database has no table, and which trusts nobody's word of clients."""
    with shared_folder(trixie.root) as elsewhere:
        lost = NewDovecot(trixie.root, elsewhere, {}, more=_LOST.format(folder=elsewhere))
        with running(lost):
            ward.cli("server", "add-config", *_address(lost.haproxy_port))
            ward.cli("server", "reload-config")
            eventually(ward.is_well, "the door knows the other Dovecot")
            guesses = [partial(guess, ward.imap, f"user{number}", WRONG) for number in range(12)]
            told = guess_together(guesses, at_once=12)
            assert "no such table" in lost.log()
            ward.cli("server", "add-config", *_address(lost.port))
            ward.cli("server", "add-config", "backend.dovecot.client-address", "imap-id")
            ward.cli("server", "reload-config")
            distrust = "backend dovecot does not believe what ID says of clients"
            eventually(lambda: distrust in str(ward.told("status")["warnings"]), "status tells")
            assert ward.is_well()
    assert told == [Told.LATER] * 12
    assert ward.bans() == {}
    assert ward.told("why", "127.0.0.1")["count"] == 0


def _address(port: int) -> tuple[str, str]:
    return "backend.dovecot.address", f"127.0.0.1:{port}"


def test_parallel_guesses_cannot_overrun_the_limit(ward: Mailward, trixie: Trixie) -> None:
    doors = cycle(ward.doors)
    told = guess_together(
        [
            partial(guess, next(doors), "alice", f"{WRONG}-{n}", source="127.0.0.66")
            for n in range(60)
        ],
        at_once=30,
    )
    assert told.count(Told.WRONG) == 10
    assert Told.OK not in told
    assert len(trixie.dovecot.guesses()) == 10
    assert list(ward.bans()) == ["127.0.0.66", "alice"]
    assert {guess(door, "bob", ACCOUNTS["bob"]) for door in ward.doors} == {Told.OK}
