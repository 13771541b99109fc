"""Which backend is asked about what another one refuses, and in which protocol."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from mailward.settings.configuration import (
    EMBEDDED,
    NO_OPINION,
    ClientAddress,
    Configuration,
    Listener,
    PassageListener,
    Protocol,
    Upstream,
    WebListener,
)
from mailward.settings.reading import Reading
from mailward.settings.schema import BACKEND_SECOND_OPINION
from mailward.settings.upstreams import BACKENDS

_JUDGES: Mapping[Protocol, Sequence[Protocol]] = {
    Protocol.SUBMISSION: (Protocol.IMAP, Protocol.MANAGESIEVE),
    Protocol.MANAGESIEVE: (Protocol.IMAP,),
    Protocol.IMAP: (),
}
"""What the second backend may speak, by what the first is spoken to in."""
_WANTED = "name an IMAP or ManageSieve backend that shares its accounts"
_Door = Listener | PassageListener | WebListener


def protocol_of(upstream: Upstream, listeners: Sequence[Listener]) -> Protocol:
    """The protocol in which *upstream* is asked for a second opinion.

    It is that of the listeners before it. Where there are none, only ManageSieve has XCLIENT.
    """
    spoken = {door.protocol for door in listeners if door.backend == upstream.name}
    for protocol in (Protocol.IMAP, Protocol.MANAGESIEVE, Protocol.SUBMISSION):
        if protocol in spoken:
            return protocol
    told_by_sieve = upstream.client_address is ClientAddress.XCLIENT
    return Protocol.MANAGESIEVE if told_by_sieve else Protocol.IMAP


def second_opinions(
    configuration: Configuration,
) -> dict[tuple[str, Protocol], tuple[str, Protocol]]:
    """The backend that is asked about refusals, for each backend that has one."""
    judges = {}
    for door in configuration.listeners:
        first = configuration.upstreams.get(door.backend)
        second = None if first is None else first.second_opinion
        if second is not None and second != NO_OPINION:
            protocol = protocol_of(configuration.upstreams[second], configuration.listeners)
            judges[door.backend, door.protocol] = second, protocol
    return judges


def check_opinions(
    reading: Reading,
    upstreams: Mapping[str, Upstream],
    mail: Sequence[Listener],
    others: Sequence[PassageListener | WebListener],
) -> None:
    """Refuse a second opinion that could not be asked for, or that would say nothing."""
    known = reading.ids(BACKENDS)
    for name in known:
        found = reading.given(BACKEND_SECOND_OPINION, name)
        if found is None or found.value == NO_OPINION:
            continue
        why = _why_not_asked(name, [*mail, *others]) or _why_no_other(name, found.value, known)
        if not why and (judge := upstreams.get(found.value)):
            why = _why_not_judge(judge, others) or _why_wrong_protocol(name, judge, mail)
        if why:
            reading.refuse(found.given, why)


def _why_not_asked(name: str, doors: Sequence[_Door]) -> str:
    """Why no backend is asked about what the backend *name* refuses."""
    for door in doors:
        is_asked = isinstance(door, Listener) and _JUDGES[door.protocol]
        if door.backend == name and not is_asked:
            return (
                f"has no use for {door.protocol.value}, which listener {door.name} speaks with it:"
                " it is for submission and managesieve, whose servers say an outage as they say a"
                " wrong password; leave it out"
            )
    return ""


def _why_no_other(name: str, second: str, known: Collection[str]) -> str:
    """Why *second* is the name of no other backend."""
    if second == name:
        return f"a backend is no second opinion on itself: {_WANTED}"
    if second == EMBEDDED:
        return f"the embedded mail server has accounts of its own: {_WANTED}"
    if second in known:
        return ""
    others = ", ".join(other for other in known if other != name)
    return f'there is no backend "{second}"; ' + (
        f"known: {others}" if others else f"add [backend.{second}]"
    )


def _why_not_judge(judge: Upstream, others: Sequence[PassageListener | WebListener]) -> str:
    """Why *judge* is not asked for an opinion."""
    if judge.is_web:
        return f"backend {judge.name} speaks HTTP: {_WANTED}"
    if judge.second_opinion not in (None, NO_OPINION):
        return f"backend {judge.name} has a second opinion itself, and there is no third: {_WANTED}"
    for other in others:
        if other.backend == judge.name:
            spoken = other.protocol.value
            return f"backend {judge.name} speaks {spoken} with listener {other.name}: {_WANTED}"
    return ""


def _why_wrong_protocol(name: str, judge: Upstream, mail: Sequence[Listener]) -> str:
    spoken = protocol_of(judge, mail)
    for door in mail:
        if door.backend == name and spoken not in _JUDGES[door.protocol]:
            known = " or ".join(one.value for one in _JUDGES[door.protocol])
            return (
                f"backend {judge.name} speaks {spoken.value}, and what is refused over"
                f" {door.protocol.value} is asked over {known}: name such a backend, which shares"
                " its accounts"
            )
    return ""
