"""JMAP: requests are screened, proven and passed on, each by itself."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import struct
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address

from mailward.guard import operations
from mailward.rules.model import Instant, Subject, SubjectKind
from mailward.settings.configuration import ClientAddress
from tests.edges.house import NOON, limits, policy, until
from tests.edges.web import RIGHT, SESSION, WRONG, Request, basic, open_hall, read_response, request

both_loops = True


async def test_the_right_password_is_passed_on_with_the_body_both_ways() -> None:
    async with open_hall() as hall:
        answer = await hall.ask("/jmap/api/?x=1", method="POST", body=b'{"using":[]}')
        assert answer is not None
        assert (answer.status, answer.body, answer.one("x-server")) == (200, b'{"using":[]}', "yes")
        passed = hall.server.requests[-1]
        assert (passed.method, passed.target) == ("POST", "/jmap/api/?x=1")
        assert passed.one("host") == "mail.test"
        assert passed.one("authorization") == RIGHT
        assert passed.one("x-forwarded-for") == "127.0.0.1"
        assert passed.one("forwarded") == "for=127.0.0.1;proto=http"


async def test_without_credentials_the_door_answers_by_itself() -> None:
    async with open_hall() as hall:
        answer = await hall.ask(authorization=None)
        assert answer is not None
        assert answer.status == 401
        assert [value.split()[0] for value in answer.fields["www-authenticate"]] == [
            *("Basic", "Bearer")
        ]
        assert answer.one("content-type") == "application/problem+json"
        assert json.loads(answer.body)["status"] == 401
        assert hall.server.connections == 0


async def test_the_failure_that_reaches_the_limit_bans_the_address_and_the_login() -> None:
    async with open_hall(policy("3/1h")) as hall:
        for _ in range(2):
            answer = await hall.ask(authorization=WRONG)
            assert answer is not None
            assert answer.status == 401
        last = await hall.ask(authorization=WRONG)
        assert last is not None
        assert (last.status, last.one("connection")) == (401, "close")
        assert await hall.ask() is None
        elsewhere = await hall.ask(source="127.0.0.9")
        assert elsewhere is not None
        assert elsewhere.status == 429
        assert int(elsewhere.one("retry-after")) > 0
        assert hall.server.guesses == 3
        other = await hall.ask(authorization=basic("ann", "right"), source="127.0.0.9")
        assert other is not None
        assert other.status == 200


async def test_a_proof_is_remembered_for_a_minute_and_for_one_address() -> None:
    async with open_hall() as hall:
        for _ in range(3):
            assert await hall.ask() is not None
        assert hall.server.guesses == 1
        assert await hall.ask(source="127.0.0.2") is not None
        assert hall.server.guesses == 2
        hall.now[0] = Instant(NOON + 59.9)
        assert await hall.ask() is not None
        assert hall.server.guesses == 2
        hall.now[0] = Instant(NOON + 60)
        assert await hall.ask() is not None
        assert hall.server.guesses == 3


async def test_a_password_that_was_changed_ends_the_proof_and_counts() -> None:
    async with open_hall(policy("2/1h")) as hall:
        assert await hall.ask() is not None
        hall.server.password = "new"
        answer = await hall.ask()
        assert answer is not None
        assert answer.status == 401
        assert b"own words" not in answer.body
        assert hall.server.guesses == 1
        again = await hall.ask()
        assert again is not None
        assert again.status == 401
        assert hall.server.guesses == 2
        assert await hall.ask() is None  # both were counted


async def test_a_token_counts_for_the_address_alone_and_not_once_it_was_right() -> None:
    async with open_hall(policy("2/1h")) as hall:
        right = await hall.ask(authorization="Bearer t0k3n")
        assert right is not None
        assert right.status == 200
        hall.server.token = "other"
        hall.now[0] = Instant(NOON + 61)
        for _ in range(5):
            expired = await hall.ask(authorization="Bearer t0k3n")
            assert expired is not None
            assert expired.status == 401
        for _ in range(2):
            assert await hall.ask(authorization="Bearer made-up") is not None
        assert await hall.ask(authorization="Bearer made-up") is None


async def test_a_kept_connection_gets_no_answer_once_its_address_is_banned() -> None:
    async with open_hall() as hall:
        reader, writer = await hall.connect("127.0.0.5")
        for _ in range(3):
            writer.write(request())
            answer = await read_response(reader)
            assert answer is not None
            assert answer.status == 200
        assert hall.server.connections == 2  # one for the proof, one that is kept
        subject = hall.guard.policy.prefixes.subject(ip_address("127.0.0.5"))
        await operations.ban(hall.guard, subject, None, "", NOON)
        writer.write(request())
        assert await read_response(reader) is None
        assert len(hall.server.requests) == 4
        writer.close()


async def test_what_changes_something_goes_over_the_kept_connection_and_is_never_sent_twice() -> (
    None
):
    async def leaves(asked: Request) -> None:
        await asked.body()
        asked.writer.close()

    async with open_hall() as hall:
        reader, writer = await hall.connect()
        for _ in range(3):
            writer.write(request(method="POST", body=b"{}"))
            answer = await read_response(reader)
            assert answer is not None
            assert (answer.status, answer.body) == (200, b"{}")
        assert hall.server.connections == 2  # one for the proof, one that is kept
        hall.server.behaviours["/jmap/api/"] = leaves
        for method, times in (("POST", 1), ("DELETE", 1), ("GET", 2)):
            writer.close()
            reader, writer = await hall.connect()
            writer.write(request("/jmap/other"))  # it leaves a connection that is kept
            assert await read_response(reader) is not None
            hall.server.requests.clear()
            writer.write(request(method=method))
            answer = await read_response(reader)
            assert answer is not None
            assert answer.status == 503
            assert len(hall.server.requests) == times
        writer.close()


async def test_every_request_of_a_kept_connection_is_screened_for_its_login() -> None:
    async with open_hall() as hall:
        reader, writer = await hall.connect()
        writer.write(request())
        assert await read_response(reader) is not None
        subject = Subject(SubjectKind.LOGIN, "joe")
        await operations.ban(hall.guard, subject, None, "", NOON)
        writer.write(request())
        answer = await read_response(reader)
        assert answer is not None
        assert answer.status == 429
        writer.close()


async def test_a_connection_is_closed_after_so_many_failures() -> None:
    async with open_hall(policy("100/1h"), limits(max_attempts=2)) as hall:
        reader, writer = await hall.connect()
        for connection in ([], ["close"]):
            writer.write(request(authorization=WRONG))
            answer = await read_response(reader)
            assert answer is not None
            assert (answer.status, answer.fields.get("connection", [])) == (401, connection)
        assert await reader.read() == b""
        writer.close()


async def test_hundreds_at_once_never_guess_more_often_than_the_limit() -> None:
    async with open_hall(policy("5/1h"), limits(max_waiting_per_address=500)) as hall:
        answers = await asyncio.gather(*(hall.ask(authorization=WRONG) for _ in range(60)))
        assert hall.server.guesses == 5
        assert sum(answer is not None and answer.status == 401 for answer in answers) <= 5


async def test_a_backend_that_is_down_or_fails_counts_for_nobody() -> None:
    async def fails(asked: Request) -> None:
        asked.answer("500 Oops", b"")

    async with open_hall(policy("1/1h"), behind=lambda usual: replace(usual, port=1)) as hall:
        for _ in range(3):
            answer = await hall.ask()
            assert answer is not None
            assert (answer.status, answer.one("retry-after")) == (503, "10")
        assert "cannot connect" in hall.upstream.state
    async with open_hall(policy("1/1h")) as hall:
        hall.server.behaviours["/jmap/session"] = fails
        for _ in range(3):
            answer = await hall.ask(authorization=WRONG)
            assert answer is not None
            assert answer.status == 503
        assert hall.upstream.state.endswith("answers 500 at /.well-known/jmap")


async def test_a_backend_that_says_nothing_is_not_waited_for_longer_than_configured() -> None:
    async def silent(asked: Request) -> None:
        await asked.reader.read()

    async with open_hall(answer_ms=100) as hall:
        hall.server.behaviours["/jmap/api/"] = silent
        answer = await hall.ask()
        assert answer is not None
        assert answer.status == 503
        hall.server.behaviours["/jmap/session"] = silent
        again = await hall.ask(source="127.0.0.2")
        assert again is not None
        assert again.status == 503
        assert hall.upstream.state.endswith("did not answer in time")


async def test_paths_are_learnt_from_the_session_resource_and_all_else_is_not_here() -> None:
    async with open_hall(is_known=False) as hall:
        unknown = await hall.ask("/jmap/api/")
        assert unknown is not None
        assert unknown.status == 404
        assert hall.server.connections == 0
        first = await hall.ask("/.well-known/jmap")
        assert first is not None
        assert first.status == 301
        assert set(hall.upstream.paths) == {
            *("/ws", "/jmap/api/", "/jmap/download/", "/jmap/upload/", "/jmap/eventsource/")
        }
        for path in ("/jmap/api/", "/jmap/download/a/b/c%2Fd.txt?accept=x"):
            known = await hall.ask(path)
            assert known is not None
            assert known.status == 200
        for path in ("/", "/admin", "/jmap", "/jmap/apis", "/dav/", "/%6amap/api/"):
            other = await hall.ask(path)
            assert other is not None
            assert other.status == 404


async def test_paths_may_be_configured() -> None:
    async with open_hall(
        is_known=False, before=lambda usual: replace(usual, paths=("/other",))
    ) as hall:
        answer = await hall.ask("/other/thing")
        assert answer is not None
        assert answer.status == 200


async def test_the_well_known_path_leads_to_the_session_without_credentials() -> None:
    async with open_hall(is_known=False) as hall:
        probing = asyncio.ensure_future(hall.upstream.keep_probing())  # noqa: TID251 -- the daemon's own
        await until(lambda: hall.upstream.state == "ok")
        probing.cancel()
        answer = await hall.ask("/.well-known/jmap", None)
        assert answer is not None
        assert (answer.status, answer.one("location")) == (307, "/jmap/session")
        session = await hall.ask("/jmap/session")
        assert session is not None
        assert json.loads(session.body) == SESSION


async def test_a_redirect_to_another_server_proves_nothing() -> None:
    async def leads_away(asked: Request) -> None:
        asked.answer("302 Found", b"", "Location: http://elsewhere.test/jmap")

    async def leads_round(asked: Request) -> None:
        asked.answer("302 Found", b"", "Location: /jmap/session")

    async with open_hall() as hall:
        for behaviour, asked in ((leads_away, 1), (leads_round, 4)):
            hall.server.behaviours["/jmap/session"] = behaviour
            hall.server.requests.clear()
            answer = await hall.ask()
            assert answer is not None
            assert answer.status == 503
            assert hall.server.guesses == asked


async def test_a_server_that_shows_the_same_to_whoever_asks_proves_nobody() -> None:
    async def shows_all(asked: Request) -> None:
        asked.answer("200 OK", b"{}")

    async def leads_to_a_login(asked: Request) -> None:
        asked.answer("302 Found", b"", "Location: /login")

    async with open_hall(is_known=False) as hall:
        hall.server.behaviours |= {"/.well-known/jmap": leads_to_a_login, "/login": shows_all}
        probing = asyncio.ensure_future(hall.upstream.keep_probing())  # noqa: TID251 -- the daemon's own
        await until(lambda: "shows /login to whoever asks" in hall.upstream.state)
        probing.cancel()
        for offered in (RIGHT, WRONG):
            answer = await hall.ask("/.well-known/jmap", offered)
            assert answer is not None
            assert answer.status == 503
        assert hall.guard.admit(ip_address("127.0.0.1"), NOON) is None


async def test_a_page_for_people_proves_nobody() -> None:
    async def catches_all(asked: Request) -> None:
        asked.answer("200 OK", b"<html>", "Content-Type: text/html; charset=utf-8")

    async with open_hall() as hall:
        hall.server.behaviours["/jmap/session"] = catches_all
        answer = await hall.ask()
        assert answer is not None
        assert answer.status == 503
        assert "something else than a session resource" in hall.upstream.state


async def test_a_redirect_may_spell_the_server_as_it_knows_itself() -> None:
    # nginx names the host as it was asked for, and its own port.
    for itself in ("mail.test:8080", "MAIL.test", "127.0.0.1:9", "[::ffff"):
        location = f"Location: http://{itself}/jmap/there"

        async def leads_on(asked: Request, location: str = location) -> None:
            asked.answer("302 Found", b"", location)

        async with open_hall() as hall:
            hall.server.behaviours["/jmap/session"] = leads_on
            answer = await hall.ask()
            assert answer is not None
            assert answer.status == (503 if itself == "[::ffff" else 200), itself


async def test_a_redirect_of_the_backend_keeps_the_scheme_that_the_client_has() -> None:
    async def leads_on(asked: Request) -> None:
        asked.answer("301 Moved", b"", f"Location: {asked.target.partition('?')[2]}")

    async with open_hall() as hall:
        hall.server.behaviours["/jmap/api/"] = leads_on
        own = hall.upstream.settings.port
        # By the name that the client has used, or by its own, without a port or with its own.
        for place in (
            "mail.test",
            f"mail.test:{own}",
            "127.0.0.1",
            f"127.0.0.1:{own}",
            "MAIL.test",
        ):
            answer = await hall.ask(f"/jmap/api/?http://{place}/jmap/api/x")
            assert answer is not None
            assert answer.one("location") == "/jmap/api/x"
        for place in ("http://mail.test:8443/", "https://elsewhere.test/", "/there", "there"):
            answer = await hall.ask(f"/jmap/api/?{place}")
            assert answer is not None
            assert answer.one("location") == place


async def test_what_is_about_one_connection_goes_no_further() -> None:
    async def talks(asked: Request) -> None:
        asked.answer(
            "200 OK", b"", "Connection: X-Own", "X-Own: 1", 'Alt-Svc: h3=":443"', "X-End: 1"
        )

    async with open_hall() as hall:
        hall.server.behaviours["/jmap/api/"] = talks
        answer = await hall.ask(
            "/jmap/api/",
            RIGHT,
            *("Connection: keep-alive, X-Secret", "X-Secret: 1", "Keep-Alive: 5", "TE: trailers"),
            *("Upgrade: h2c", "HTTP2-Settings: AAA", "Proxy-Authorization: Basic x", "X-End: 1"),
            *("X-Forwarded-For: 198.51.100.1", "Forwarded: for=198.51.100.1", "X-Real-IP: 1.2.3.4"),
            *("X_Forwarded_For: 198.51.100.1", "True-Client-IP: 198.51.100.1"),
        )
        assert answer is not None
        assert set(answer.fields) == {"content-length", "x-end"}
        passed = hall.server.requests[-1].fields
        assert set(passed) == {
            *("host", "authorization", "x-end"),
            *("forwarded", "x-forwarded-for", "x-forwarded-proto"),
        }
        assert passed["x-forwarded-for"] == ["127.0.0.1"]


async def test_a_backend_that_is_told_nothing_is_told_nothing_by_clients_either() -> None:
    async with open_hall(
        behind=lambda usual: replace(usual, client_address=ClientAddress.NONE)
    ) as hall:
        assert await hall.ask("/jmap/api/", RIGHT, "X-Forwarded-For: 1.2.3.4") is not None
        assert set(hall.server.requests[-1].fields) == {"host", "authorization"}


async def test_a_slow_head_is_not_waited_for_longer_than_a_login() -> None:
    async with open_hall(doors=limits(login_timeout=200)) as hall:
        reader, writer = await hall.connect()
        writer.write(b"GET /jmap/api/ HTTP/1.1\r\nHost: mail.test\r\n")
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        kept, writing = await hall.connect()
        writing.write(request())
        assert await read_response(kept) is not None
        writing.write(b"GET /jm")
        assert await kept.read() == b""
        writing.close()


async def test_a_minute_is_not_the_time_of_a_request_that_is_proven() -> None:
    async def slow(asked: Request) -> None:
        await asyncio.sleep(0.4)
        asked.answer("200 OK", b"at last")

    async with open_hall(doors=limits(login_timeout=200)) as hall:
        hall.server.behaviours["/jmap/api/"] = slow
        answer = await hall.ask()
        assert answer is not None
        assert answer.body == b"at last"


async def test_a_guess_counts_though_its_client_has_left() -> None:
    released = asyncio.Event()

    async def hesitates(asked: Request) -> None:
        await released.wait()
        asked.answer("401 No", b"")

    async with open_hall(policy("1/1h")) as hall:
        hall.server.behaviours["/jmap/session"] = hesitates
        _, writer = await hall.connect("127.0.0.4")
        writer.write(request(authorization=WRONG))
        await until(lambda: hall.server.guesses == 1)
        writer.transport.abort()
        released.set()
        await until(lambda: hall.guard.admit(ip_address("127.0.0.4"), NOON) is not None)


async def test_http_1_0_is_answered_without_chunks() -> None:
    async def streams(asked: Request) -> None:
        asked.writer.write(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        )

    async with open_hall() as hall:
        hall.server.behaviours["/jmap/api/"] = streams
        octets = request("/jmap/api/").replace(b"HTTP/1.1", b"HTTP/1.0")
        answer = await hall.raw(octets)
        assert answer is not None
        assert (answer.body, answer.one("connection")) == (b"abc", "close")
        assert "transfer-encoding" not in answer.fields


async def test_a_head_is_answered_without_a_body() -> None:
    async with open_hall() as hall:
        reader, writer = await hall.connect()
        for authorization, status in ((None, 401), (RIGHT, 200)):
            writer.write(request("/jmap/api/", authorization, method="HEAD"))
            answer = await read_response(reader, "HEAD")
            assert answer is not None
            assert answer.status == status
        writer.close()


async def test_preflights_pass_without_credentials() -> None:
    async with open_hall() as hall:
        answer = await hall.ask("/jmap/api/", None, method="OPTIONS")
        assert answer is not None
        assert answer.one("x-server") == "yes"
        other = await hall.ask("/admin", None, method="OPTIONS")
        assert other is not None
        assert other.status == 404


async def test_a_client_that_leaves_while_it_is_proven_starts_nothing() -> None:
    released = asyncio.Event()

    async def hesitates(asked: Request) -> None:
        await released.wait()
        asked.answer("200 OK", b"{}")

    async with open_hall() as hall:
        hall.server.behaviours["/jmap/session"] = hesitates
        _, writer = await hall.connect()
        writer.write(request("/jmap/eventsource/"))
        await until(lambda: hall.server.guesses == 1)
        line = writer.get_extra_info("socket")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        await until(lambda: hall.lobby.present == 0)
        released.set()
        await until(lambda: hall.guard.reservations.under_way == 0)
        assert len(hall.server.requests) == 1


async def test_a_connection_that_is_reset_leaves_no_error_behind_that_is_reported_later() -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: reported.append(what))
    async with open_hall() as hall:
        for octets in (b"", b"GET", request("/jmap/upload/", RIGHT, "Content-Length: 9")):
            _, writer = await hall.connect()
            writer.write(octets)
            await until(lambda: hall.lobby.present == 1)
            line = writer.get_extra_info("socket")
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            await until(lambda: hall.lobby.present == 0)
            await until(lambda: hall.guard.reservations.under_way == 0)  # it may have guessed
    gc.collect()  # an error that nobody has asked for is reported by the collector
    assert reported == []


async def test_one_connection_too_many_of_an_address_is_told_so() -> None:
    async with open_hall(doors=limits(max_waiting_per_address=1)) as hall:
        _, first = await hall.connect()
        await until(lambda: hall.lobby.waiting == 1)
        reader, second = await hall.connect()
        answer = await read_response(reader)
        assert answer is not None
        assert (answer.status, answer.one("retry-after")) == (429, "10")
        for writer in (first, second):
            writer.close()
            await writer.wait_closed()
