"""Logins over the sockets: each protocol, each mechanism, and the limits before a login."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode

import pytest
from mailbox_testing.program import PASSWORD, Program, client_at, plain
from mailward_mailbox.serving.connections.waiting import MAX_WAITING_OF_ONE
from scramp import ScramClient  # type: ignore[import-untyped] # it has no types

from tests.wire.stage import to_octets

WRONG = b64encode(b"\0alice\0wrong")


def test_imap_takes_a_login_command_and_lists_mailboxes(served: Program) -> None:
    with served.imap() as talk:
        assert b"INBOX" in talk.command(b'LIST "" *')
        assert talk.command(b"LOGOUT").startswith(b"* BYE")


@pytest.mark.parametrize("initial", [True, False])
def test_imap_takes_plain_with_an_initial_response_and_without(
    served: Program, *, initial: bool
) -> None:
    with served.connect("imap") as talk:
        talk.line()
        if initial:
            answer = talk.ask(b"a AUTHENTICATE PLAIN " + plain("alice") + b"\r\n", b"a ")
        else:
            talk.ask(b"a AUTHENTICATE PLAIN\r\n", b"+")
            answer = talk.ask(plain("alice") + b"\r\n", b"a ")
        assert answer.startswith(b"a OK [CAPABILITY IMAP4rev1")


def test_commands_behind_the_credentials_are_the_session_s(served: Program) -> None:
    with served.connect("imap") as talk:
        talk.say(f"a LOGIN alice {PASSWORD}\r\nb NOOP\r\nc LOGOUT\r\n".encode())
        said = talk.rest()
    assert [line.split()[:2] for line in said.splitlines() if line[:1] in b"abc"] == [
        [b"a", b"OK"],
        [b"b", b"OK"],
        [b"c", b"OK"],
    ]


def test_much_behind_the_credentials_is_read_after_the_login(served: Program) -> None:
    with served.connect("imap") as talk:
        talk.say(f"a LOGIN alice {PASSWORD}\r\n".encode() + b"b NOOP\r\n" * 40_000)
        talk.say(b"c LOGOUT\r\n")
        assert talk.rest().count(b"\nb OK") == 40_000


def test_submission_takes_plain_and_delivers(served: Program) -> None:
    with served.connect("submission") as talk:
        assert talk.line().startswith(b"220 mail.test")
        talk.ask(b"EHLO me.example\r\n", b"250 ")
        assert talk.ask(b"AUTH PLAIN " + plain("alice") + b"\r\n", b"235", b"5").startswith(b"235")
        talk.ask(b"MAIL FROM:<alice@mail.test>\r\nRCPT TO:<bob@mail.test>\r\nDATA\r\n", b"354")
        answer = talk.ask(b"From: alice@mail.test\r\n\r\nhello\r\n.\r\n", b"250", b"5")
        assert answer.startswith(b"250")
    with served.imap("bob") as talk:
        talk.command(b"SELECT INBOX")
        header = talk.command(b"FETCH 1 BODY[HEADER]")
        assert b"from me.example ([192.0.2.7])" in header
        assert b"with ESMTPA" in header


def test_a_message_of_a_client_with_tls_says_so(served: Program) -> None:
    with served.connect("submission", client_at("192.0.2.8", tls=True)) as talk:
        talk.line()
        talk.ask(b"EHLO me.example\r\n", b"250 ")
        talk.ask(b"AUTH PLAIN " + plain("alice") + b"\r\n", b"235")
        talk.ask(b"MAIL FROM:<>\r\nRCPT TO:<alice@mail.test>\r\nDATA\r\n", b"354")
        assert talk.ask(b"Subject: tls\r\n\r\nhello\r\n.\r\n", b"250", b"5").startswith(b"250")
    with served.imap() as talk:
        talk.command(b"SELECT INBOX")
        assert b"with ESMTPSA" in talk.command(b"FETCH * BODY[HEADER]")


def test_managesieve_takes_plain_and_keeps_a_script(served: Program) -> None:
    with served.connect("managesieve") as talk:
        assert b'"SASL" "SCRAM-SHA-256 PLAIN LOGIN"' in talk.up_to(b"OK")
        login = b'AUTHENTICATE "PLAIN" "' + plain("alice") + b'"\r\n'
        assert talk.ask(login, b"OK", b"NO").startswith(b"OK")
        assert talk.ask(b'PUTSCRIPT "one" "keep;"\r\n', b"OK", b"NO").startswith(b"OK")
        assert b'"one"' in talk.ask(b"LISTSCRIPTS\r\n", b"OK", b"NO")


@pytest.mark.parametrize(
    ("service", "hello", "wrong"),
    [
        ("imap", b"a AUTHENTICATE PLAIN " + WRONG, b"a NO [AUTHENTICATIONFAILED]"),
        ("submission", b"EHLO me\r\nAUTH PLAIN " + WRONG, b"535"),
        ("managesieve", b'AUTHENTICATE "PLAIN" "' + WRONG + b'"', b"NO "),
    ],
)
def test_a_wrong_password_is_refused_and_the_client_may_try_again(
    served: Program, service: str, hello: bytes, wrong: bytes
) -> None:
    with served.connect(service) as talk:
        assert wrong in talk.ask(hello + b"\r\n", wrong[:3])
        right = hello.replace(WRONG, plain("alice"))
        assert wrong not in talk.ask(right + b"\r\n", b"a ", b"235", b"OK", wrong[:3])


def test_a_connection_has_ten_tries(served: Program) -> None:
    with served.connect("imap") as talk:
        said = talk.ask(b"a LOGIN alice wrong\r\n" * 11, b"* BYE")
    assert said.count(b"a NO [AUTHENTICATIONFAILED]") == 10
    assert said.endswith(b"* BYE Too many failed logins\r\n")


def test_a_login_may_act_for_itself_alone(served: Program) -> None:
    with served.connect("imap") as talk:
        other = b64encode(f"bob\0alice\0{PASSWORD}".encode())
        talk.line()
        assert b"a NO" in talk.ask(b"a AUTHENTICATE PLAIN " + other + b"\r\n", b"a ")
        own = b64encode(f"alice\0alice\0{PASSWORD}".encode())
        assert b"a OK" in talk.ask(b"a AUTHENTICATE PLAIN " + own + b"\r\n", b"a ")


def test_a_proxy_that_only_looks_is_greeted_and_logs_nobody_in(served: Program) -> None:
    with served.connect("imap", None) as talk:
        talk.say(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")
        assert b"AUTH=PLAIN" in talk.line()
        assert b"t NO [UNAVAILABLE]" in talk.command(f"LOGIN alice {PASSWORD}".encode())


@pytest.mark.parametrize("octets", ["a NOOP\\r\\n", "\\r\\n\\r\\n\\x00\\r\\nQUIT\\nxxxxxxxxxxxx"])
def test_a_connection_without_a_proxy_header_is_closed(served: Program, octets: str) -> None:
    with served.connect("imap", None) as talk:
        talk.say(to_octets(octets))
        assert talk.rest() == b""


def test_one_network_cannot_take_all_places_before_login(served: Program) -> None:
    talks = [served.connect("imap", client_at("198.51.100.1")) for _ in range(MAX_WAITING_OF_ONE)]
    try:
        assert all(b"* OK" in talk.line() for talk in talks)
        with served.connect("imap", client_at("198.51.100.2")) as talk:
            assert b"* BYE [UNAVAILABLE]" in talk.line()
        with served.connect("imap", client_at("203.0.113.1")) as talk:
            assert b"* OK" in talk.line()
    finally:
        for talk in talks:
            talk.close()


def http(target: str, name: str | None, *fields: str) -> bytes:
    lines = [f"GET {target} HTTP/1.1", "Host: mail.test", *fields]
    if name is not None:
        pair = b64encode(f"{name}:{PASSWORD}".encode()).decode()
        lines.append(f"Authorization: Basic {pair}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def test_jmap_takes_basic_and_hears_of_tls_from_the_front_door(served: Program) -> None:
    forwarded = "Forwarded: for=192.0.2.7;proto=https"
    with served.connect("jmap", None) as talk:
        said = talk.ask(http("/jmap/session", "alice", forwarded, "Connection: close"), b"none")
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert json.loads(body)["apiUrl"] == "https://mail.test/jmap/api/"


def test_jmap_refuses_a_request_that_names_no_client(served: Program) -> None:
    with served.connect("jmap", None) as talk:
        assert talk.ask(http("/jmap/session", "alice"), b"none").startswith(b"HTTP/1.1 400")


def test_jmap_asks_for_credentials(served: Program) -> None:
    with served.connect("jmap", None) as talk:
        said = talk.ask(http("/jmap/session", None, "Forwarded: for=192.0.2.7"), b"\r\n")
        assert said.startswith(b"HTTP/1.1 401")
        assert b'WWW-Authenticate: Basic realm="mail"' in said


@pytest.mark.parametrize(("password", "is_right"), [(PASSWORD, True), ("wrong", False)])
def test_scram_proves_the_password_both_ways(
    served: Program, password: str, *, is_right: bool
) -> None:
    client = ScramClient(["SCRAM-SHA-256"], "alice", password)
    with served.connect("imap") as talk:
        assert b"AUTH=SCRAM-SHA-256" in talk.line()
        first = b64encode(client.get_client_first().encode())
        challenge = talk.ask(b"a AUTHENTICATE SCRAM-SHA-256 " + first + b"\r\n", b"+")
        client.set_server_first(b64decode(challenge[2:]).decode())
        said = talk.ask(b64encode(client.get_client_final().encode()) + b"\r\n", b"+", b"a ")
        if is_right:
            client.set_server_final(b64decode(said[2:]).decode())
            said = talk.ask(b"\r\n", b"a ")
    assert said.startswith(b"a OK" if is_right else b"a NO [AUTHENTICATIONFAILED]")


def test_a_client_may_give_scram_up_and_log_in_with_its_password(served: Program) -> None:
    first = b64encode(ScramClient(["SCRAM-SHA-256"], "alice", PASSWORD).get_client_first().encode())
    with served.connect("imap") as talk:
        talk.line()
        talk.ask(b"a AUTHENTICATE SCRAM-SHA-256 " + first + b"\r\n", b"+")
        assert b"a BAD" in talk.ask(b"*\r\n", b"a ")
        assert b"t OK" in talk.command(f"LOGIN alice {PASSWORD}".encode())


def test_a_large_upload_without_credentials_is_answered_before_its_end(served: Program) -> None:
    head = (
        "POST /jmap/upload/x/ HTTP/1.1\r\nHost: mail.test\r\nForwarded: for=192.0.2.7\r\n"
        "Content-Length: 10000000\r\n\r\n"
    )
    with served.connect("jmap", None) as talk:
        talk.say(head.encode() + b"x" * 10_000_000)
        assert talk.line() == b"HTTP/1.1 401 Unauthorized\r\n"
