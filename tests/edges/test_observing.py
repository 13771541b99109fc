"""Over real sockets: a trial of a limit is felt by nobody."""

from __future__ import annotations

from ipaddress import ip_address

from tests.edges.house import limits, open_house, policy
from tests.edges.web import WRONG, open_hall

both_loops = True  # for conftest


async def test_every_door_serves_whoever_would_be_banned() -> None:
    async with open_house(policy("2/1h", observe=True)) as house:
        for _ in range(3):
            wrong = await house.imap_login("ada", "wrong")
            assert wrong.startswith(b"a NO [AUTHENTICATIONFAILED]")
            assert (await house.submission_login("ada", "wrong")).startswith(b"535")
            assert (await house.managesieve_login("ada", "wrong")).startswith(b"NO")
        assert (await house.imap_login("ada", house.server.password.decode())).startswith(b"a OK")
        assert len(house.guard.observed) == 2
        assert len(house.server.guesses) == 10
        assert house.guard.drops.total == 0


async def test_the_guess_that_would_ban_leaves_its_connection_open() -> None:
    async with open_house(policy("1/1h", observe=True), limits(max_attempts=3)) as house:
        reader, writer = await house.connect()
        await reader.readline()
        for tag in (b"a", b"b"):
            writer.write(tag + b" LOGIN ada wrong\r\n")
            assert (await reader.readline()).startswith(tag + b" NO [AUTHENTICATIONFAILED]")
        writer.close()
        assert house.guard.admit(ip_address("127.0.0.1"), house.now[0]) is None


async def test_a_request_over_http_is_answered_as_ever() -> None:
    async with open_hall(policy("2/1h", observe=True)) as hall:
        for _ in range(4):
            wrong = await hall.ask(authorization=WRONG)
            assert wrong is not None
            assert (wrong.status, wrong.fields.get("connection")) == (401, None)
        right = await hall.ask()
        assert right is not None
        assert right.status == 200
        assert hall.server.guesses == 5
