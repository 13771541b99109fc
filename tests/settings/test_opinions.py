"""A second opinion: what may be named, and what each fault says."""

from __future__ import annotations

import pytest

from mailward.settings.advice import advice
from mailward.settings.configuration import NO_OPINION, Protocol
from mailward.settings.opinions import protocol_of
from tests.settings.sample import configured, faults, stored_faults

IMAP = """\
[server.listener.imap]
protocol = "imap"
bind = ["127.0.0.1:143"]
backend = "dovecot"
[backend.dovecot]
address = "127.0.0.1:10143"
client-address = "proxy-v2"
"""
SIEVE = """\
[server.listener.sieve]
protocol = "managesieve"
bind = ["127.0.0.1:4190"]
backend = "pigeonhole"
[backend.pigeonhole]
address = "127.0.0.1:14190"
client-address = "proxy-v2"
"""
SUBMISSION = """\
[server.listener.submission]
protocol = "submission"
bind = ["127.0.0.1:587"]
backend = "postfix"
[backend.postfix]
address = "127.0.0.1:10587"
client-address = "proxy-v2"
"""
JMAP = '[backend.web]\naddress = "http://127.0.0.1:8080"\n'
MX = """\
[server.listener.mx]
protocol = "smtp"
bind = ["127.0.0.1:25"]
backend = "mx"
allow-plaintext = true
[backend.mx]
address = "127.0.0.1:10025"
client-address = "proxy-v2"
"""


def asking(second: str, more: str = "") -> str:
    return f'{SUBMISSION}second-opinion = "{second}"\n{more}'


def test_an_imap_or_managesieve_backend_can_be_named() -> None:
    assert configured(asking("dovecot", IMAP)).upstreams["postfix"].second_opinion == "dovecot"
    configured(asking("pigeonhole", SIEVE))
    configured(f'{SIEVE}second-opinion = "dovecot"\n{IMAP}')
    assert configured(asking("none")).upstreams["postfix"].second_opinion == NO_OPINION


@pytest.mark.parametrize(
    ("second", "more", "why"),
    [
        ("nope", IMAP, 'there is no backend "nope"; known: dovecot'),
        ("nope", "", 'there is no backend "nope"; add [backend.nope]'),
        ("postfix", IMAP, "a backend is no second opinion on itself: name an IMAP"),
        ("embedded", IMAP, "the embedded mail server has accounts of its own"),
        ("web", JMAP, "backend web speaks HTTP: name an IMAP"),
        ("mx", MX, "backend mx speaks smtp with listener mx: name an IMAP"),
        (
            "pigeonhole",
            f'{SIEVE}second-opinion = "dovecot"\n{IMAP}',
            "backend pigeonhole has a second opinion itself, and there is no third",
        ),
        (
            "other",
            SUBMISSION.replace("postfix", "other").replace("submission]", "second]", 1),
            "backend other speaks submission, and what is refused over submission is asked",
        ),
    ],
)
def test_a_second_opinion_that_cannot_be_one_is_a_fault_where_it_stands(
    second: str, more: str, why: str
) -> None:
    text = asking(second, more).replace("127.0.0.1:587", "127.0.0.1:1", 1)
    (fault,) = faults(text)
    assert fault.startswith(f"mail.toml:8: backend.postfix.second-opinion: {why}")


def test_managesieve_asks_imap_alone() -> None:
    other = SIEVE.replace("pigeonhole", "other").replace("sieve]", "second]").replace("4190", "1")
    (fault,) = faults(f'{SIEVE}second-opinion = "other"\n{other}')
    assert "what is refused over managesieve is asked over imap: name such a backend" in fault


def test_a_backend_whose_outages_are_plain_asks_nobody() -> None:
    (fault,) = faults(f'{IMAP}second-opinion = "pigeonhole"\n{SIEVE}')
    assert "has no use for imap, which listener imap speaks with it" in fault
    (fault,) = faults(f'{MX}second-opinion = "dovecot"\n{IMAP}')
    assert "has no use for smtp, which listener mx speaks with it" in fault


def test_a_stored_one_is_left_out() -> None:
    (fault,) = stored_faults(SUBMISSION + IMAP, {"backend.postfix.second-opinion": "nope"})
    assert 'there is no backend "nope"; known: dovecot' in fault
    stored = {"backend.postfix.second-opinion": "dovecot"}
    assert configured(SUBMISSION + IMAP, stored).upstreams["postfix"].second_opinion == "dovecot"


@pytest.mark.parametrize(
    ("told", "protocol"), [("proxy-v2", Protocol.IMAP), ("xclient", Protocol.MANAGESIEVE)]
)
def test_a_backend_without_a_listener_is_asked_over_imap(told: str, protocol: Protocol) -> None:
    alone = f'[backend.dovecot]\naddress = "127.0.0.1:1"\nclient-address = "{told}"\n'
    read = configured(asking("dovecot", alone))
    assert protocol_of(read.upstreams["dovecot"], read.listeners) is protocol


def test_submission_without_a_second_opinion_is_advised_one() -> None:
    def advised(text: str) -> list[str]:
        return [line for line in advice(configured(text), None) if "second-opinion" in line]

    (line,) = advised(SUBMISSION + SIEVE + IMAP)
    assert 'set backend.postfix.second-opinion = "dovecot"' in line
    (line,) = advised(SUBMISSION + SIEVE)
    assert 'set backend.postfix.second-opinion = "pigeonhole"' in line
    (line,) = advised(SUBMISSION)
    assert "let backend.postfix.second-opinion name an IMAP server that shares" in line
    assert advised(asking("dovecot", IMAP)) == []
    assert advised(asking("none", IMAP)) == []
    embedded = SUBMISSION.replace('backend = "postfix"', 'backend = "embedded"')
    assert advised(embedded + IMAP) == []
    (line,) = advised(SUBMISSION + IMAP.replace('backend = "dovecot"', 'backend = "embedded"'))
    assert "name an IMAP server" in line
