"""Another program shares the guard of a real daemon, which is killed while it tells."""

from __future__ import annotations

import threading
from contextlib import suppress

from mailward import ReportClient
from mailward.client.news import Seen, UnreachableError
from tests.real.attack import Told, guess
from tests.real.conftest import StartMailward
from tests.real.processes import let_pass

WEBMAIL_USER = "127.0.0.66"


def test_what_is_told_again_after_a_kill_counts_once(mailward: StartMailward) -> None:
    ward = mailward('fail2ban = "10000/1d"')
    seen = [Seen(WEBMAIL_USER, f"login{n}", id=str(n)) for n in range(9_999)]

    def tell() -> None:
        with ReportClient(ward.socket, "webmail", batch_seconds=1) as client:
            for start in range(0, len(seen), 500):
                with suppress(UnreachableError):
                    list(client.failures(seen[start : start + 500]))

    telling = threading.Thread(target=tell)
    telling.start()
    let_pass(0.7)
    ward.crash()
    ward.start()
    telling.join()
    with ReportClient(ward.socket, "webmail") as client:
        told = list(client.failures(seen))
        assert {one.result for one in told} <= {"accepted", "repeated"}
        assert ward.told("why", WEBMAIL_USER)["count"] == 9_999
        assert client.allows(WEBMAIL_USER)
        assert client.failed(WEBMAIL_USER).banned == (WEBMAIL_USER,)
    ward.crash()
    ward.start()
    assert set(ward.bans()) == {WEBMAIL_USER}


def test_failures_at_a_webmail_and_at_the_doors_are_one_count(mailward: StartMailward) -> None:
    ward = mailward('fail2ban = "4/1h"')
    with ReportClient(ward.socket, "webmail") as client:
        for _ in range(3):
            assert client.failed(WEBMAIL_USER, "bob").banned == ()
        assert guess(ward.imap, "bob", "wrong-opensesame", source=WEBMAIL_USER) is Told.WRONG
        assert guess(ward.imap, "bob", "wrong-opensesame", source=WEBMAIL_USER) is Told.DROPPED
        assert not client.allows(WEBMAIL_USER)
        assert not client.allows("127.0.0.5", "bob")
