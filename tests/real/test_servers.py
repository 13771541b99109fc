"""The witnesses are to be trusted: what the servers do and log without a guard before them."""

from __future__ import annotations

import smtplib
from functools import partial
from ipaddress import ip_address
from pathlib import Path

from tests.real.attack import Door, Line, Service, Told, guess, guess_together, hydra, plain, swaks
from tests.real.conftest import ACCOUNTS
from tests.real.processes import answers, eventually
from tests.real.servers import Dovecot, Guess, Postfix, running


def test_dovecot_names_every_guess_of_both_services(dovecot: Dovecot, postfix: Postfix) -> None:
    imap = Door(Service.IMAP, dovecot.port)
    submission = Door(Service.SUBMISSION, postfix.port)
    assert guess(imap, "alice", "wrong-opensesame", source="127.0.0.7") is Told.WRONG
    assert guess(imap, "alice", ACCOUNTS["alice"]) is Told.OK
    assert guess(submission, "nobody", "wrong-opensesame", source="127.0.0.8") is Told.WRONG
    assert guess(submission, "bob", ACCOUNTS["bob"]) is Told.OK
    assert dovecot.guesses() == [
        Guess("alice", ip_address("127.0.0.7")),
        Guess("alice", ip_address("127.0.0.1")),
        Guess("nobody", ip_address("127.0.0.8")),
        Guess("bob", ip_address("127.0.0.1")),
    ]


def test_both_take_the_address_of_a_proxy_header(dovecot: Dovecot, postfix: Postfix) -> None:
    header = b"PROXY TCP4 198.51.100.7 127.0.0.1 4444 143\r\n"
    with Line(Door(Service.IMAP, dovecot.haproxy_port)) as line:
        line.say(header + b"a LOGIN alice wrong-opensesame\r\n")
        assert line.hear().startswith(b"* OK")
        assert line.hear().startswith(b"a NO [AUTHENTICATIONFAILED]")
    with Line(Door(Service.SUBMISSION, postfix.haproxy_port)) as line:
        line.say(header)
        assert line.hear().startswith(b"220 ")
        line.say(b"EHLO client.test\r\nAUTH PLAIN " + plain("bob", "wrong-opensesame") + b"\r\n")
        assert b"535 5.7.8" in line.hear(b"535 5.7.8")
    client = ip_address("198.51.100.7")
    assert dovecot.guesses() == [Guess("alice", client), Guess("bob", client)]
    eventually(lambda: f"connect from unknown[{client}]" in postfix.log(), "Postfix logs it")


def test_hydra_left_alone_tries_every_word(dovecot: Dovecot, folder: Path) -> None:
    words = [f"wrong-opensesame-{number}" for number in range(12)]
    hydra(Door(Service.IMAP, dovecot.port), "alice", words, at_once=4, folder=folder)
    assert len(dovecot.guesses()) >= len(words)


def test_many_can_guess_at_once(dovecot: Dovecot) -> None:
    door = Door(Service.IMAP, dovecot.port)
    told = guess_together(
        (
            partial(guess, door, "alice", f"wrong-opensesame-{number}", source=f"127.0.3.{number}")
            for number in range(1, 101)
        ),
        at_once=16,
    )
    assert told == [Told.WRONG] * 100
    assert len({guess.address for guess in dovecot.guesses()}) == 100


def test_postfix_takes_messages_and_sends_them_nowhere(postfix: Postfix) -> None:
    door = Door(Service.SUBMISSION, postfix.port)
    assert swaks(door, "alice", ACCOUNTS["alice"]).returncode == 0
    with smtplib.SMTP(door.host, door.port, "client.test", 10) as client:
        client.login("bob", ACCOUNTS["bob"])
        client.sendmail("bob@postfix.test", ["friend@elsewhere.test"], "Subject: hello\n\nhello")
    eventually(lambda: postfix.log().count("status=sent") == 2, "both messages are discarded")


def test_servers_stop_and_start_again_and_leave_nothing(folder: Path) -> None:
    dovecot = Dovecot(folder, ACCOUNTS)
    for _ in range(2):
        with running(dovecot):
            assert guess(Door(Service.IMAP, dovecot.port), "bob", ACCOUNTS["bob"]) is Told.OK
        assert not answers(dovecot.port)
