"""The machines that transcripts name, and how a transcript is played.

What a machine's backend offers stands in ``offer``, between ``;``, or between ``|`` where there is
one. What is left out has its usual value.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from ipaddress import ip_address
from typing import TypedDict

from mailbox_testing.stage import SubmissionStage

from mailward.wire.dialogue import Origin
from mailward.wire.door import (
    BearerMechanism,
    BearerToken,
    Credentials,
    Mechanism,
    Opening,
    ScramMechanism,
)
from mailward.wire.imap.backend import ImapLogin
from mailward.wire.imap.door import ImapDoor
from mailward.wire.imap.watch import imap_watch
from mailward.wire.managesieve.backend import ManageSieveLogin
from mailward.wire.managesieve.door import ManageSieveDoor
from mailward.wire.managesieve.watch import ManageSieveWatch
from mailward.wire.scram import Fault, read_client_first
from mailward.wire.secret import Secret
from mailward.wire.smtp.arrival import SmtpArrival
from mailward.wire.smtp.backend import SmtpLogin
from mailward.wire.smtp.door import SubmissionDoor, has_chunking
from mailward.wire.smtp.passage import SmtpPassage
from mailward.wire.smtp.watch import AFTER_LOGIN, AT_PORT_25, SubmissionWatch
from tests.wire.stage import (
    DialogueStage,
    DoorStage,
    PassageStage,
    Script,
    Stage,
    WatchStage,
    to_octets,
)

Options = dict[str, str]
LITERAL = b"[192.0.2.7]"


def _offer(options: Options) -> list[str]:
    offered = options.get("offer", "")
    separator = "|" if "|" in offered else ";"
    return [item.strip() for item in offered.split(separator) if item.strip()]


def _takes_passwords(options: Options) -> bool:
    return options.get("passwords", "yes") == "yes"


def _imap_door(options: Options) -> Stage:
    offer = " ".join(_offer(options)).split()
    believes = "believes" in options
    return DoorStage(ImapDoor(offer, passwords=_takes_passwords(options), believes=believes))


def _submission_door(options: Options) -> Stage:
    passwords = _takes_passwords(options)
    return DoorStage(
        SubmissionDoor(
            _offer(options),
            hostname="mail.example.org",
            passwords=passwords,
            believes="believes" in options,
        )
    )


def _managesieve_door(options: Options) -> Stage:
    return DoorStage(
        ManageSieveDoor(
            _offer(options),
            passwords=_takes_passwords(options),
            starttls="starttls" in options,
            believes="believes" in options,
        )
    )


def _imap_login(options: Options) -> Stage:
    return DialogueStage(ImapLogin(_credentials(options), **_approach(options)))


def _smtp_login(options: Options) -> Stage:
    client_name = options.get("name", "").encode()
    return DialogueStage(
        SmtpLogin(_credentials(options), client_name=client_name, **_approach(options))
    )


def _managesieve_login(options: Options) -> Stage:
    return DialogueStage(ManageSieveLogin(_credentials(options), **_approach(options)))


def _imap_watch(options: Options) -> Stage:
    return WatchStage(imap_watch(" ".join(_offer(options)).split()))


def _submission_watch(options: Options) -> Stage:
    refusals = AT_PORT_25 if "port25" in options else AFTER_LOGIN
    watch = SubmissionWatch(
        chunking=has_chunking(_offer(options)), literal=LITERAL, refusals=refusals
    )
    return WatchStage(watch)


def _managesieve_watch(_: Options) -> Stage:
    return WatchStage(ManageSieveWatch())


def _smtp_passage(options: Options) -> Stage:
    starttls = options.get("starttls", "yes") == "yes"
    passage = SmtpPassage(hostname="mail.example.org", starttls=starttls, literal=LITERAL)
    return PassageStage(passage, _offer(options))


def _smtp_arrival(options: Options) -> Stage:
    return DialogueStage(SmtpArrival(**_approach(options)))


def _embedded_submission(options: Options) -> Stage:
    return SubmissionStage(int(options.get("room", "1000")))


_MACHINES: dict[str, Callable[[Options], Stage]] = {
    "imap-door": _imap_door,
    "submission-door": _submission_door,
    "managesieve-door": _managesieve_door,
    "imap-login": _imap_login,
    "smtp-login": _smtp_login,
    "managesieve-login": _managesieve_login,
    "imap-watch": _imap_watch,
    "submission-watch": _submission_watch,
    "managesieve-watch": _managesieve_watch,
    "smtp-passage": _smtp_passage,
    "smtp-arrival": _smtp_arrival,
    "embedded-submission": _embedded_submission,
}


def stage(machine: str) -> Stage:
    """The machine that a script's first line names."""
    name, *words = shlex.split(machine)
    return _MACHINES[name](dict(word.partition("=")[::2] for word in words))


class Approach(TypedDict):
    starttls: bool
    origin: Origin | None


def _approach(options: Options) -> Approach:
    """How the backend is come by: ``tls=starttls``, and the client's address in ``from``."""
    origin = None
    if "from" in options:
        origin = Origin((ip_address(options["from"]), 50_000), (ip_address("192.0.2.1"), 143))
    return Approach(starttls=options.get("tls") == "starttls", origin=origin)


def _credentials(options: Options) -> Opening | None:
    if "scram" in options:
        opening = read_client_first(ScramMechanism(options["by"]), options["scram"].encode())
        assert not isinstance(opening, Fault)
        return opening
    if "login" not in options:
        return None
    login = to_octets(options["login"] + "\\c")
    if "token" in options:
        return BearerToken(BearerMechanism(options["by"]), login, Secret(options["token"].encode()))
    password = to_octets(options["password"] + "\\c")
    return Credentials(
        Mechanism(options["by"]), login, Secret(password), options.get("as", "").encode()
    )


def play(script: Script, step: int) -> list[str]:
    """What really happens in *script* if its lines are fed *step* octets at a time."""
    actor = stage(script.machine)
    shown = actor.opening()
    for line in script.lines:
        kind, _, text = line.partition(": ")
        if kind == "D":
            word, *arguments = text.split()
            shown += [line, *actor.tell(word, arguments)]
        elif kind and kind in actor.fed:
            shown.append(line)
            octets = to_octets(text)
            if isinstance(actor, WatchStage | PassageStage):
                actor.side = kind
            if isinstance(actor, WatchStage):
                shown += actor.feed(octets)
            else:
                for at in range(0, len(octets), step):
                    shown += actor.feed(octets[at : at + step])
    return shown
