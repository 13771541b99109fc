"""A backend that goes down or up is said once, and one that flaps floods no log."""

from __future__ import annotations

import logging

import pytest

from mailward.app.health import MAX_LINES, PERIOD_SECONDS, Health, Standing
from mailward.guard.journal import Entry, Event, Journal
from mailward.rules.model import Instant

NOON = Instant(1_790_000_000.0)


class Watched:
    """One backend as it turns, and the events of that."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "mailward")
        self.said: list[Entry] = []
        self.journal = Journal()
        self.journal.lines = self
        self.health = Health(self.journal)
        self.now = NOON

    def tell(self, level: int, entry: Entry) -> None:
        self.said.append(entry)

    def turn(self, *states: str) -> bool:
        is_waiting = False
        for state in states:
            is_waiting = self.health.look([Standing("dovecot", "imap", state)], self.now)
        return is_waiting

    def events(self) -> list[Event]:
        return [entry.event for entry in self.said]


def test_each_turn_is_said_once_and_a_start_that_goes_well_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watched = Watched(caplog)
    assert not watched.turn("not asked yet", "ok", "ok")
    assert watched.events() == []
    assert not watched.turn("cannot connect", "did not answer in time", "not asked yet")
    assert not watched.turn("ok", "ok")
    down, up = watched.said
    assert (down.event, up.event) == (Event.BACKEND_UNAVAILABLE, Event.BACKEND_RECOVERED)
    assert str(down) == ('backend.unavailable backend=dovecot service=imap reason="cannot connect"')
    assert str(up) == "backend.recovered backend=dovecot service=imap"


def test_one_that_is_down_at_the_start_is_said(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched(caplog)
    watched.turn("not asked yet", "cannot connect")
    assert watched.events() == [Event.BACKEND_UNAVAILABLE]


def test_one_that_flaps_writes_few_lines_and_its_last_state_is_said_at_last(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watched = Watched(caplog)
    for _ in range(1_000):
        watched.turn("down", "ok")
    assert len(watched.said) == MAX_LINES
    assert watched.turn("down")
    watched.now = Instant(watched.now + PERIOD_SECONDS)
    assert not watched.turn("down")
    assert watched.events()[-1] is Event.BACKEND_UNAVAILABLE
    assert watched.said[-1].fields["turns"] == 1_997
    assert len(watched.said) == MAX_LINES + 1


def test_one_that_is_taken_out_of_the_configuration_is_forgotten(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watched = Watched(caplog)
    watched.turn("down")
    assert not watched.health.look([], watched.now)
    watched.turn("down")
    assert watched.events() == [Event.BACKEND_UNAVAILABLE] * 2
