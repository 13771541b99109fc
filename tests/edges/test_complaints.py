"""Sentences about proxies: one at once, one a minute with the number, and the rest at the stop."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from mailward.edges.complaints import Complaints
from mailward.rules.model import Instant
from tests.edges.house import NOON

PEER = ip_address("203.0.113.9")


def test_what_a_flood_left_unsaid_is_said_after_a_minute_and_at_the_stop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    complaints = Complaints()
    for second in range(90):
        now = Instant(NOON + second)
        complaints.report(now)
        for _ in range(10):
            complaints.untrusted_peer("imap", PEER, now)
    complaints.flush(Instant(NOON + 90))
    complaints.flush(Instant(NOON + 90))
    first, *others = caplog.messages
    assert first.startswith("listener imap: 203.0.113.9 may not connect")
    assert [other.removeprefix(first) for other in others] == [
        " (599 more like it)",
        " (300 more like it)",
    ]
