"""Port 25: what a client of it sees, what the server behind it hears, and who is counted."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from ipaddress import ip_address

import pytest
import trustme

from mailward.guard import operations
from mailward.guard.journal import Event
from mailward.rules.model import Subject
from mailward.settings.configuration import ClientAddress, DoorTls, Passage
from tests.edges.house import NOON, limits, policy, until
from tests.edges.passages import Crossing, Server, open_crossing, postfix, reply, rest
from tests.edges.proxies import CLIENT, OTHER, PROXY, binary, line, trusted
from tests.edges.test_tls import begin_tls, keys

both_loops = True
STARTTLS = DoorTls(implicit=False, certificate="default")
GONE = b"421 4.3.2 mail.test No mail can be taken now, try again later\r\n"


def subject_of(crossing: Crossing, address: str) -> Subject:
    return crossing.guard.policy.prefixes.subject(ip_address(address))


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


async def test_mail_passes_octet_by_octet() -> None:
    said = b"MAIL FROM:<a@c.test>\r\nRCPT TO:<b@mail.test>\r\nBDAT 10 LAST\r\nhi\nthere.\nNOOP\r\n"
    async with open_crossing(Passage.SMTP, Server(postfix)) as crossing:
        reader, writer = await crossing.connect()
        assert await reply(reader) == [b"220 mx.behind ESMTP"]
        writer.write(b"EHLO client.test\r\n")
        assert await reply(reader) == [b"250-mx.behind", b"250-PIPELINING", b"250 CHUNKING"]
        assert crossing.lobby.waiting == 1
        writer.write(said)
        assert await reply(reader) == [b"250 2.0.0 Ok"]
        assert crossing.lobby.waiting == 0
        writer.write(b"QUIT\r\n")
        assert (await rest(reader)).endswith(b"221 2.0.0 Bye\r\n")
        assert bytes(crossing.server.heard) == b"EHLO client.test\r\n" + said + b"QUIT\r\n"
        writer.close()


async def test_a_hundred_thousand_recipients_pass_without_growing_anything() -> None:
    count = 100_000
    async with open_crossing(Passage.SMTP, Server(postfix)) as crossing:
        reader, writer = await crossing.greeted()
        writer.write(b"MAIL FROM:<>\r\n" + b"RCPT TO:<b@mail.test>\r\n" * count + b"QUIT\r\n")
        answers = 0
        async with asyncio.timeout(60):
            while line := await reader.readline():
                answers += line == b"250 2.0.0 Ok\r\n"
        assert answers == count + 1
        assert crossing.server.heard.count(b"RCPT") == count
        writer.close()


async def test_auth_is_refused_and_the_server_hears_nothing_of_it() -> None:
    async with open_crossing(Passage.SMTP, Server(postfix)) as crossing:
        reader, writer = await crossing.greeted()
        writer.write(b"NOOP\r\nAUTH PLAIN AGpvZQBzM2NyZXQ=\r\nNOOP\r\n")
        assert await reply(reader) == [b"250 2.0.0 Ok"]
        assert await reply(reader) == [b"502 5.5.1 There is no AUTH here"]
        assert await reply(reader) == [b"250 2.0.0 Ok"]
        assert b"AUTH" not in crossing.server.heard
        writer.close()


async def test_no_password_gets_to_the_server_behind_mail_and_the_session_goes_on() -> None:
    server = Server(postfix, replies={b"AUTH": b"535 5.7.8 Error: authentication failed\r\n"})
    async with open_crossing(Passage.SMTP, server, rules=policy("2/1h")) as crossing:
        reader, writer = await crossing.greeted("127.0.0.9")
        writer.write(b"MAIL FROM:<>\r\n" + b"RSET\r\nAUTH PLAIN AGpvZQBzM2NyZXQ=\r\n" * 300)
        assert await reply(reader) == [b"250 2.0.0 Ok"]
        for _ in range(300):
            assert await reply(reader) == [b"250 2.0.0 Ok"]
            assert await reply(reader) == [b"502 5.5.1 There is no AUTH here"]
        assert b"AUTH" not in server.heard
        assert crossing.guard.journal.counts[Event.AUTH_FAILED, "smtp"] == 0
        writer.close()


async def test_lines_of_a_message_that_read_as_commands_pass() -> None:
    async with open_crossing(Passage.SMTP, Server(postfix)) as crossing:
        reader, writer = await crossing.greeted()
        writer.write(b"MAIL FROM:<>\r\nRCPT TO:<b@mail.test>\r\nDATA\r\n")
        assert [(await reply(reader))[0][:3] for _ in range(3)] == [b"250", b"250", b"354"]
        message = b"Subject: help\r\n\r\nAUTH PLAIN x\r\nSTARTTLS\r\n..\r\n" * 20_000
        writer.write(message + b".\r\nAUTH PLAIN x\r\nQUIT\r\n")
        assert await reply(reader) == [b"250 2.0.0 Ok"]
        assert await reply(reader) == [b"502 5.5.1 There is no AUTH here"]
        assert await rest(reader) == b"221 2.0.0 Bye\r\n"
        assert crossing.server.heard.endswith(b"DATA\r\n" + message + b".\r\nQUIT\r\n")
        writer.close()


async def test_lines_behind_data_that_is_refused_are_commands() -> None:
    server = Server(postfix, replies={b"DATA": b"503 5.5.1 Error: need RCPT command\r\n"})
    async with open_crossing(Passage.SMTP, server) as crossing:
        reader, writer = await crossing.greeted()
        writer.write(b"MAIL FROM:<>\r\nDATA\r\nAUTH PLAIN x\r\n.\r\n" + b"NOOP\r\n" * 2_000)
        writer.write_eof()
        said = await rest(reader)
        assert said.startswith(
            b"250 2.0.0 Ok\r\n503 5.5.1 Error: need RCPT command\r\n"
            b"502 5.5.1 There is no AUTH here\r\n500 5.5.2 Unknown command\r\n250 2.0.0 Ok\r\n"
        )
        assert said.count(b"250 2.0.0 Ok") == 2_001
        assert b"AUTH" not in server.heard
        writer.close()


async def test_no_more_is_read_of_a_client_that_sends_on_behind_data() -> None:
    async def silent(_: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx.behind ESMTP\r\n")
        for answer in (b"250 mx.behind\r\n", b"250 2.0.0 Ok\r\n"):
            await reader.readline()
            writer.write(answer)
        await reader.readline()
        await reader.read()

    async with open_crossing(Passage.SMTP, Server(silent)) as crossing:
        reader, writer = await crossing.greeted()
        writer.write(b"MAIL FROM:<>\r\nDATA\r\n")
        assert await reply(reader) == [b"250 2.0.0 Ok"]
        flood = b"x" * 1_000_000
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                for _ in range(40):
                    writer.write(flood)
                    await writer.drain()
                pytest.fail("forty megabytes were taken")
        writer.transport.abort()


async def test_an_end_of_a_message_that_only_some_servers_see_closes_unseen() -> None:
    async with open_crossing(Passage.SMTP, Server(postfix)) as crossing:
        reader, writer = await crossing.greeted()
        writer.write(b"MAIL FROM:<>\r\nDATA\r\n")
        assert [(await reply(reader))[0][:3] for _ in range(2)] == [b"250", b"354"]
        writer.write(b"hello\n.\nAUTH PLAIN x\r\n.\r\n")
        words = b"521 5.5.2 A line of one dot must stand between two CRLF\r\n"
        assert await rest(reader) == words
        await until(lambda: crossing.server.gone == 1)
        assert b"AUTH" not in crossing.server.heard
        writer.close()


async def test_a_password_that_a_server_has_read_after_all_counts() -> None:
    server = Server(postfix, replies={b"NOOP": b"535 5.7.8 Error: authentication failed\r\n"})
    async with open_crossing(Passage.SMTP, server, rules=policy("2/1h")) as crossing:
        for _ in range(2):
            reader, writer = await crossing.greeted("127.0.0.9")
            writer.write(b"MAIL FROM:<>\r\nNOOP\r\n")
            assert b"535" not in await rest(reader)
            writer.close()
        await until(lambda: crossing.guard.admit(ip_address("127.0.0.9"), NOON) is not None)
        assert await crossing.drops("127.0.0.9")
        assert crossing.guard.journal.counts[Event.AUTH_FAILED, "smtp"] == 2


@pytest.mark.parametrize("name", [b"my phone", b"M\xfcller-PC", b"x" * 300])
@pytest.mark.parametrize("verb", [b"EHLO", b"HELO"])
async def test_a_name_that_no_server_could_read_is_taken_and_the_address_is_told(
    verb: bytes, name: bytes
) -> None:
    async with open_crossing(Passage.SMTP, Server(postfix)) as crossing:
        reader, writer = await crossing.connect("127.0.0.7")
        await reply(reader)
        writer.write(verb + b" " + name + b"\r\nMAIL FROM:<>\r\n" + verb + b" again " + name)
        writer.write(b"\r\nQUIT\r\n")
        assert (await rest(reader)).endswith(b"221 2.0.0 Bye\r\n")
        assert bytes(crossing.server.heard) == (
            verb + b" [127.0.0.7]\r\nMAIL FROM:<>\r\n" + verb + b" [127.0.0.7]\r\nQUIT\r\n"
        )
        writer.close()


@pytest.mark.parametrize("offer", [b"AUTH PLAIN LOGIN", b"XCLIENT NAME ADDR", b"XFORWARD NAME"])
@pytest.mark.parametrize(
    "command", [b"AUTH PLAIN AGpvZQBzM2NyZXQ=", b"XCLIENT ADDR=192.0.2.1", b"XFORWARD ADDR=1.2.3.4"]
)
async def test_a_server_that_would_take_somebody_for_another_is_never_asked(
    offer: bytes, command: bytes
) -> None:
    server = Server(postfix, keywords=(b"PIPELINING", offer, b"CHUNKING"))
    async with open_crossing(Passage.SMTP, server) as crossing:
        reader, writer = await crossing.greeted()
        writer.write(b"MAIL FROM:<>\r\nRSET\r\n" + command + b"\r\nQUIT\r\n")
        codes = [line[:4] for line in (await rest(reader)).splitlines()]
        assert codes in ([b"250 ", b"250 ", refusal, b"221 "] for refusal in (b"502 ", b"550 "))
        assert command not in server.heard
        writer.close()


@pytest.mark.parametrize("code", [220, 235, 334])
async def test_a_reply_that_begins_anew_closes_before_it_is_passed_on(code: int) -> None:
    server = Server(postfix, replies={b"NOOP": b"%d go\r\n" % code})
    async with open_crossing(Passage.SMTP, server) as crossing:
        reader, writer = await crossing.greeted()
        writer.write(b"MAIL FROM:<>\r\n")
        assert await reply(reader) == [b"250 2.0.0 Ok"]
        writer.write(b"NOOP\r\n")
        assert await rest(reader) == b""
        assert crossing.guard.journal.counts[Event.AUTH_FAILED, "smtp"] == 0
        writer.close()


# -- TLS -------------------------------------------------------------------------------------------


async def test_the_door_begins_tls_and_the_server_hears_a_new_ehlo(authority: trustme.CA) -> None:
    server = Server(postfix)
    async with open_crossing(
        Passage.SMTP, server, tls=STARTTLS, certificates=keys(authority)
    ) as crossing:
        reader, writer = await crossing.connect()
        await reply(reader)
        writer.write(b"EHLO before.test\r\n")
        assert (await reply(reader))[-1] == b"250 STARTTLS"
        writer.write(b"STARTTLS\r\n")
        assert await reply(reader) == [b"220 2.0.0 Begin TLS now"]
        await begin_tls(writer, authority)
        writer.write(b"MAIL FROM:<>\r\n")
        assert await reply(reader) == [b"503 5.5.1 Send EHLO first"]
        writer.write(b"EHLO inside.test\r\n")
        assert b"250 STARTTLS" not in await reply(reader)
        writer.write(b"MAIL FROM:<>\r\n")
        assert await reply(reader) == [b"250 2.0.0 Ok"]
        heard = b"EHLO before.test\r\nEHLO inside.test\r\nMAIL FROM:<>\r\n"
        assert bytes(server.heard) == heard
        assert server.connections == 1
        writer.close()


async def test_what_is_pipelined_behind_starttls_is_never_done(authority: trustme.CA) -> None:
    async with open_crossing(
        Passage.SMTP, Server(postfix), tls=STARTTLS, certificates=keys(authority)
    ) as crossing:
        reader, writer = await crossing.greeted()
        writer.write(b"STARTTLS\r\nMAIL FROM:<evil@client.test>\r\n")
        assert await rest(reader) == b"421 4.7.0 mail.test Plaintext behind STARTTLS\r\n"
        assert b"evil" not in crossing.server.heard
        writer.close()


async def test_who_speaks_no_tls_after_all_is_closed(authority: trustme.CA) -> None:
    async with open_crossing(
        Passage.SMTP, Server(postfix), tls=STARTTLS, certificates=keys(authority)
    ) as crossing:
        reader, writer = await crossing.greeted()
        writer.write(b"STARTTLS\r\n")
        await reply(reader)
        writer.write(b"MAIL FROM:<>\r\n")
        assert b"250" not in await rest(reader)
        await until(lambda: crossing.server.gone == 1)
        writer.close()


async def test_implicit_tls_comes_before_the_greeting(authority: trustme.CA) -> None:
    tls = DoorTls(implicit=True, certificate="default")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with open_crossing(
        Passage.SMTP, Server(postfix), tls=tls, certificates=keys(authority)
    ) as crossing:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", crossing.port, ssl=context, server_hostname="mail.test"
        )
        assert await reply(reader) == [b"220 mx.behind ESMTP"]
        writer.write(b"EHLO c\r\n")
        assert b"250 STARTTLS" not in await reply(reader)
        writer.close()


# -- bad weather -----------------------------------------------------------------------------------


async def test_a_server_that_is_down_is_told_as_such_and_counts_for_nobody() -> None:
    async with open_crossing(Passage.SMTP, Server(postfix), is_up=False) as crossing:
        for _ in range(4):
            reader, writer = await crossing.connect()
            assert await rest(reader) == GONE
            writer.close()
        assert crossing.guard.admit(ip_address("127.0.0.1"), NOON) is None
        (status,) = crossing.doors.status()
        assert status.state.startswith("cannot connect to 127.0.0.1:")


async def test_a_server_that_hangs_up_without_an_answer_is_unavailable() -> None:
    async def hang_up(
        _: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"220 mx.behind ESMTP\r\n")
        await reader.readline()

    async with open_crossing(Passage.SMTP, Server(hang_up)) as crossing:
        reader, writer = await crossing.connect()
        await reply(reader)
        writer.write(b"EHLO c\r\n")
        assert await rest(reader) == GONE
        writer.close()


@pytest.mark.parametrize("octets", [b"EHLO c\nMAIL FROM:<>\n", b"\n", b"EHLO c\rQUIT\r\n"])
async def test_only_crlf_ends_a_line_before_mail(octets: bytes) -> None:
    async with open_crossing(Passage.SMTP, Server(postfix)) as crossing:
        reader, writer = await crossing.connect()
        await reply(reader)
        writer.write(octets)
        assert (await rest(reader)).startswith(b"421 4.7.0 mail.test Lines must end in CRLF")
        assert not crossing.server.heard
        writer.close()


async def test_who_does_not_begin_is_told_that_the_time_is_over() -> None:
    async with open_crossing(
        Passage.SMTP, Server(postfix), doors=limits(login_timeout=50)
    ) as crossing:
        reader, writer = await crossing.connect()
        await reply(reader)
        assert await rest(reader) == b"421 4.4.2 mail.test The time for beginning is over\r\n"
        assert crossing.guard.journal.counts[Event.CONNECTION_TIMEOUT, "smtp"] == 1
        writer.close()


async def test_who_has_begun_may_take_his_time() -> None:
    async with open_crossing(
        Passage.SMTP, Server(postfix), doors=limits(login_timeout=300)
    ) as crossing:
        reader, writer = await crossing.greeted()
        writer.write(b"MAIL FROM:<>\r\n")
        await reply(reader)
        late, other = await crossing.connect()
        await reply(late)
        assert b"421" in await rest(late)  # a whole time-out has gone by
        writer.write(b"NOOP\r\n")
        assert await reply(reader) == [b"250 2.0.0 Ok"]
        writer.close()
        other.close()


async def test_an_address_with_too_many_waiting_is_told_so() -> None:
    async with open_crossing(
        Passage.SMTP, Server(postfix), doors=limits(max_waiting_per_address=1)
    ) as crossing:
        _, first = await crossing.greeted()
        reader, writer = await crossing.connect()
        assert await rest(reader) == b"421 4.7.0 mail.test Too many connections are waiting\r\n"
        writer.close()
        first.close()


@pytest.mark.parametrize("closes_sessions", [True, False])
async def test_a_ban_ends_who_has_not_begun_and_others_as_it_is_set(closes_sessions: bool) -> None:
    rules = policy("1/1h", ban_closes_sessions=closes_sessions)
    async with open_crossing(Passage.SMTP, Server(postfix), rules=rules) as crossing:
        begun, inside = await crossing.greeted("127.0.0.5")
        inside.write(b"MAIL FROM:<>\r\n")
        assert await reply(begun) == [b"250 2.0.0 Ok"]
        waiting, outside = await crossing.greeted("127.0.0.5")
        await operations.ban(crossing.guard, subject_of(crossing, "127.0.0.5"), None, "", NOON)
        assert await rest(waiting) == b"421 4.7.0 mail.test Too many failed logins\r\n"
        inside.write(b"NOOP\r\n")
        assert await reply(begun) == ([] if closes_sessions else [b"250 2.0.0 Ok"])
        inside.close()
        outside.close()


async def test_who_has_not_begun_is_told_that_the_door_shuts() -> None:
    async with open_crossing(Passage.SMTP, Server(postfix)) as crossing:
        reader, writer = await crossing.greeted()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(crossing.doors.shut(2.0))
            assert await rest(reader) == b"421 4.3.2 mail.test The server is stopping\r\n"
            writer.close()


async def test_a_client_that_leaves_takes_its_connection_to_the_server_along() -> None:
    async with open_crossing(Passage.SMTP, Server(postfix)) as crossing:
        _, writer = await crossing.greeted()
        writer.close()
        await until(lambda: crossing.server.gone == 1)


async def test_a_client_that_ends_writing_is_answered_first() -> None:
    async with open_crossing(Passage.SMTP, Server(postfix)) as crossing:
        reader, writer = await crossing.connect()
        writer.write(b"EHLO c\r\nNOOP\r\nNOOP\r\n")
        writer.write_eof()
        assert (await rest(reader)).count(b"250 2.0.0 Ok") == 2
        writer.close()


# -- who the server is told --------------------------------------------------------------------


async def test_the_server_learns_the_client_by_a_proxy_header() -> None:
    async with open_crossing(
        Passage.SMTP, Server(postfix), client_address=ClientAddress.PROXY_V1
    ) as crossing:
        reader, writer = await crossing.connect("127.0.0.7")
        await reply(reader)
        assert crossing.server.heard.startswith(b"PROXY TCP4 127.0.0.7 127.0.0.1 ")
        writer.close()


async def test_the_server_learns_the_client_by_xclient_and_greets_him_once() -> None:
    server = Server(
        postfix,
        keywords=(b"XCLIENT NAME ADDR PORT PROTO HELO", b"PIPELINING"),
        replies={b"XCLIENT": b"220 mx.behind for you\r\n"},
    )
    async with open_crossing(
        Passage.SMTP, server, client_address=ClientAddress.XCLIENT
    ) as crossing:
        reader, writer = await crossing.connect("127.0.0.7")
        assert await reply(reader) == [b"220 mx.behind for you"]
        assert b"XCLIENT ADDR=127.0.0.7 PORT=" in server.heard
        writer.write(b"EHLO c\r\n")
        assert await reply(reader) == [b"250-mx.behind", b"250 PIPELINING"]
        writer.close()


async def test_behind_a_proxy_the_client_is_told_of_and_counted_and_not_the_proxy() -> None:
    server = Server(postfix, replies={b"NOOP": b"535 5.7.8 no\r\n"})
    rules = policy("1/1h", trusted=trusted(PROXY))
    async with open_crossing(
        Passage.SMTP,
        server,
        rules=rules,
        client_address=ClientAddress.PROXY_V1,
        proxy_protocol=True,
    ) as crossing:
        reader, writer = await crossing.connect(PROXY)
        writer.write(line(CLIENT))
        await reply(reader)
        writer.write(b"EHLO c\r\n")
        await reply(reader)
        writer.write(b"MAIL FROM:<>\r\nNOOP\r\n")
        await rest(reader)
        writer.close()
        assert server.heard.startswith(b"PROXY TCP4 203.0.113.9 192.0.2.1 50000 ")
        await until(lambda: crossing.guard.admit(ip_address(CLIENT), NOON) is not None)
        for client, words in ((CLIENT, []), (OTHER, [b"220 mx.behind ESMTP"])):
            reader, writer = await crossing.connect(PROXY)
            writer.write(line(client))
            with suppress(ConnectionError):
                assert await reply(reader) == words
            writer.close()


@pytest.mark.parametrize("header", [line(CLIENT), binary(CLIENT)], ids=["v1", "v2"])
async def test_a_proxy_header_that_nobody_expects_closes_and_is_reported(
    header: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_crossing(Passage.SMTP, Server(postfix)) as crossing:
        reader, writer = await crossing.connect()
        writer.write(header)
        assert b"421 4.7.0 mail.test " in await rest(reader)
        writer.close()
    assert caplog.text.count("127.0.0.1 has sent a PROXY header, which is not expected") == 1


async def test_a_probe_tells_whether_the_server_is_there() -> None:
    async with open_crossing(Passage.SMTP, Server(postfix)) as crossing:
        assert crossing.upstream.state == "not asked yet"
        async with asyncio.TaskGroup() as tasks:
            probing = tasks.create_task(crossing.upstream.keep_probing())
            await until(lambda: crossing.upstream.state == "ok")
            assert crossing.server.heard.startswith(b"EHLO probe.invalid\r\nQUIT\r\n")
            probing.cancel()
