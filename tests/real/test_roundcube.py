"""Roundcube of Debian 13 behind the doors, as the page on webmails has it set up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.real.attack import Told, guess
from tests.real.conftest import ACCOUNTS
from tests.real.daemon import Mailward
from tests.real.processes import eventually, free_port
from tests.real.roundcube import Browser, Roundcube
from tests.real.servers import Guess, running
from tests.real.test_documented import documented
from tests.real.trixie import Trixie
from tests.real.trixie_root import shared_folder

pytestmark = pytest.mark.timeout(1000)  # the root that it runs in is made with the first test

WRONG = "wrong-opensesame"
SENT = "Message sent successfully."
GOOD, BAD = "127.0.1.7", "127.0.1.8"
_MORE = """
[server.proxy]
trusted-networks = {{ "127.0.0.1" }}

[server.listener.starttls]
protocol = "submission"
bind = ["127.0.0.1:{starttls}"]
backend = "postfix"

[certificate.default]
cert = "{folder}/cert.pem"
private-key = "{folder}/key.pem"
"""


@dataclass(frozen=True, slots=True)
class Webmail:
    """A Roundcube, the mailward before its mail servers, and what it has to be configured with."""

    roundcube: Roundcube
    ward: Mailward
    settings: str
    starttls: int
    """The port of another listener for submission: TLS begins with STARTTLS, or not at all."""

    def log_in(self, source: str, login: str, password: str) -> Browser | str:
        """A browser that is logged in, or what it is told instead."""
        browser = Browser(self.roundcube.port, source)
        status, page = browser.log_in(login, password)
        if status == HTTPStatus.FOUND:
            return browser
        assert status == HTTPStatus.UNAUTHORIZED, page
        told: list[str] = re.findall(r'display_message\("([^"]*)"', page)
        return told[0]


@pytest.fixture
def webmail(folder: Path, trixie: Trixie) -> Iterator[Webmail]:
    starttls = free_port()
    leaf = trixie.authority.issue_cert("127.0.0.1")
    ward = Mailward(
        folder / "ward",
        security='fail2ban = "3/1h"',
        dovecot=trixie.dovecot.haproxy_port,
        postfix=trixie.postfix.haproxy_port,
        pigeonhole=trixie.dovecot.sieve_haproxy_port,
        more=_MORE.format(folder=folder, starttls=starttls),
    )
    leaf.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    leaf.private_key_pem.write_to_path(folder / "key.pem")
    text = ward.configuration.read_text()
    for name in ("imap", "submission"):
        head = f"[server.listener.{name}]\n"
        text = text.replace(head, f"{head}tls.implicit = true\n")
    ward.configuration.write_text(text)
    settings = documented("webmail.md", "/etc/roundcube/config.inc.php")
    for door, port in zip(ward.doors, (993, 465, 4190), strict=True):
        settings = settings.replace(f"mail.example.org:{port}", f"127.0.0.1:{door.port}")
    with ExitStack() as stack:
        stack.callback(ward.finish)
        elsewhere = stack.enter_context(shared_folder(trixie.root))
        trixie.authority.cert_pem.write_to_path(elsewhere / "ca.pem")
        roundcube = Roundcube(trixie.root, elsewhere, authority=elsewhere / "ca.pem")
        stack.enter_context(running(roundcube))
        plugin = "/var/lib/roundcube/plugins/mailward/mailward.php"
        roundcube.add_plugin("mailward", documented("webmail.md", plugin))
        roundcube.configure(settings)
        ward.start(knows_backends=False)
        eventually(ward.is_well, "the doors know their servers")
        trixie.dovecot.forget_guesses()
        yield Webmail(roundcube, ward, settings, starttls)


def test_one_browser_is_banned_and_another_one_is_served(webmail: Webmail, trixie: Trixie) -> None:
    for number in range(3):
        assert webmail.log_in(BAD, f"user{number}", WRONG) == "Login failed."
    assert list(webmail.ward.bans()) == [BAD]
    asked = trixie.dovecot.guesses()
    assert asked == [Guess(f"user{number}", ip_address(BAD)) for number in range(3)]
    told = webmail.log_in(BAD, "alice", ACCOUNTS["alice"])
    assert told == "Connection to storage server failed."
    assert trixie.dovecot.guesses() == asked
    served = webmail.log_in(GOOD, "alice", ACCOUNTS["alice"])
    assert isinstance(served, Browser)
    assert "INBOX" in served.open("/?_task=mail")
    assert trixie.dovecot.guesses()[-1] == Guess("alice", ip_address(GOOD))
    assert webmail.ward.told("why", "127.0.0.1")["count"] == 0
    assert guess(webmail.ward.managesieve, "bob", ACCOUNTS["bob"], source=BAD) is Told.DROPPED


def test_mail_is_sent_however_the_connection_is_encrypted(webmail: Webmail, trixie: Trixie) -> None:
    """Without STARTTLS it says HELO after its XCLIENT."""
    browser = webmail.log_in(GOOD, "alice", ACCOUNTS["alice"])
    assert isinstance(browser, Browser)
    elsewhere = f"127.0.0.1:{webmail.starttls}"
    for host in ("", elsewhere, f"tls://{elsewhere}"):
        ours = f"$config['smtp_host'] = '{host}';\n" if host else ""
        webmail.roundcube.configure(webmail.settings + ours)
        trixie.dovecot.forget_guesses()
        assert SENT in browser.send("friend@elsewhere.test", "hello"), webmail.roundcube.said()
        assert "sasl_method=PLAIN, sasl_username=alice" in trixie.postfix.log()
        assert {one.address for one in trixie.dovecot.guesses()} == {ip_address(GOOD)}
        trixie.postfix.forget_log()


def test_its_scram_ends_with_noop_and_the_mail_is_sent(webmail: Webmail, trixie: Trixie) -> None:
    """One signature in 16 it takes for wrong, before any server."""
    browser = webmail.log_in(GOOD, "alice", ACCOUNTS["alice"])
    assert isinstance(browser, Browser)
    webmail.roundcube.configure(f"{webmail.settings}$config['smtp_auth_type'] = null;\n")
    told = (browser.send("friend@elsewhere.test", "hello") for _ in range(6))
    assert any(SENT in page for page in told), webmail.roundcube.said()
    assert "sasl_method=SCRAM-SHA-256, sasl_username=alice" in trixie.postfix.log()
    assert webmail.ward.told("why", "alice")["count"] == 0


def test_filters_are_kept(webmail: Webmail, trixie: Trixie) -> None:
    browser = webmail.log_in(GOOD, "alice", ACCOUNTS["alice"])
    assert isinstance(browser, Browser)
    page = browser.open("/?_task=settings&_action=plugin.managesieve")
    assert "filterslist" in page
    assert (trixie.folder / "dovecot/mail/alice/sieve/roundcube.sieve").exists()
