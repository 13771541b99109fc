"""What an operator is told of a ban or of lifting one: a sentence for each subject."""

from __future__ import annotations

import shlex

from mailward.admin.control import Imposed
from mailward.admin.names import named
from mailward.admin.views import counted, listed, until_text
from mailward.guard.operations import Lifted
from mailward.rules.addresses import network_name
from mailward.rules.subjects import spelled

_UNSEEN = "No login attempt under that name is on record; check the spelling."


def imposed_text(imposed: Imposed) -> str:
    """What became of a wish to ban."""
    ban = imposed.ban
    name, until = _first(named(ban.subject)), until_text(ban.until)
    if not imposed.is_new:
        return f"{name} is banned {until} already, which is longer: nothing was changed."
    if imposed.is_unseen:
        return f"{name} is banned {until}. {_UNSEEN}"
    if not imposed.exempt:
        return f"{name} is banned {until}."
    exempt = listed(map(network_name, imposed.exempt))
    return f"{name} is banned {until}, except what is allowed: {exempt}."


def lifted_text(lifted: Lifted) -> str:
    """What lifting a ban has changed, and what it has not."""
    return _lifted_itself(lifted) + _inside(lifted)


def _lifted_itself(lifted: Lifted) -> str:
    name, still = _first(named(lifted.subject)), lifted.still
    if still is not None:
        where = (
            "the configuration file" if lifted.still_fixed else f"the ban on {named(still.subject)}"
        )
        return f"{name} is still banned by {where}."
    forgotten = " and its failures are forgotten" if lifted.had_failures else ""
    if lifted.bans:
        others = [named(ban.subject) for ban in lifted.bans if ban.subject != lifted.subject]
        bans = f"the ban on {listed(others)}" if others else "its ban"
        if lifted.inside.bans:
            return f"{name} is not banned as a whole: {bans} is lifted{forgotten}."
        return f"{name} is free: {bans} is lifted{forgotten}."
    itself = " itself" if lifted.inside.bans or lifted.inside_lifted else ""
    if lifted.had_failures:
        return f"{name} was not banned{itself}; its failures are forgotten."
    return f"{name} was not banned{itself}."


def _inside(lifted: Lifted) -> str:
    """What is to say of the bans inside a network, if there are or were any."""
    (bans, fixed), gone = lifted.inside, lifted.inside_lifted
    told = f" {_bans(gone, 'is', 'are')} lifted." if gone else ""
    if fixed == bans:
        where = "in the configuration file"
        return f"{told} {_bans(fixed, 'stands', 'stand')} {where}." if fixed else told
    some = f" ({fixed} of them in the configuration file)" if fixed else ""
    command = f"mailward lift --inside {shlex.quote(spelled(lifted.subject))}"
    return f"{told} {_bans(bans, 'stands', 'stand')}{some}; to lift those, too: {command}"


def _bans(count: int, one: str, several: str) -> str:
    return f"{counted(count, 'ban')} inside it {one if count == 1 else several}"


def _first(text: str) -> str:
    return text[:1].upper() + text[1:]
