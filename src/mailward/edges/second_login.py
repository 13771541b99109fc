"""Somebody tries to log in again inside a session: that is over, and a wrong guess counts."""

from __future__ import annotations

import logging

from mailward.edges.house import House
from mailward.rules.model import Attempt, Outcome
from mailward.wire.dialogue import SecondLoginError

_log = logging.getLogger("mailward.session")


def count_second_login(house: House, nobody: Attempt, whose: str, error: SecondLoginError) -> None:
    """Say what has ended *whose* session, and count the guess if there was one.

    *nobody* is what is known of the attempt: all but its login.
    """
    _log.warning(
        "%s of %s closed: %s inside a session",
        whose,
        nobody.address,
        error,
        extra={"about": house.guard.policy.prefixes.subject(nobody.address)},
    )
    if not error.failed:
        return
    now = house.clock()

    async def report() -> None:
        await house.guard.report(nobody, Outcome.FAILED, now, now)

    house.begin(report, whose, lambda: None)
