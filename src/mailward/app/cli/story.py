"""``why`` as a story: what is the case, how it came to be, what can be done about it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from mailward.app.cli.client import Json
from mailward.app.cli.output import counted, moment, shown


def story(why: Json) -> Iterator[str]:
    """The sentences for one answer of ``/api/why``."""
    name = shown(why["subject"])
    ban = why["ban"]
    if ban is None:
        yield f"{name} is not banned."
    else:
        yield _banned(name, ban)
        yield _meaning(ban)
        if ban["observed"]:
            yield "That is only observed: server.security.observe is on, so nobody is stopped."
    if why["allowed"] is not None:
        yield f"It is inside the allowed network {why['allowed']}, which wins over every ban:"
        yield "its connections are served and its address is not counted."
    if why["trusted"] is not None:
        yield f"It is inside the trusted network {why['trusted']}: what it connects for itself is"
        yield "served and not counted. The rest is about clients that others name with its address."
    yield ""
    yield from _tally(name, why)
    yield ""
    yield from _undo(why)


def _banned(name: str, ban: Json) -> str:
    since = f"since {moment(ban['since'])} UTC"
    until = "until it is lifted" if ban["until"] is None else f"until {moment(ban['until'])} UTC"
    subject = shown(ban["subject"])
    whom = name if subject == name else f"{name} is inside {subject}, which"
    banned = "would be banned" if ban["observed"] else "is banned"
    return f"{whom} {banned} {since}, {until}, {_cause(ban)}."


def _cause(ban: Json) -> str:
    note = f" ({shown(ban['note'])})" if ban["note"] else ""
    if ban["origin"] == "file":
        return f"because the configuration file blocks it{note}"
    if ban["reason"] == "manual":
        return f"by hand{note}"
    services = f" ({shown(', '.join(ban['services']))})" if ban["services"] else ""
    return f"because {counted(ban['failures'], 'login')} failed{services}"


def _meaning(ban: Json) -> str:
    would = "would be" if ban["observed"] else "are"
    if ban["kind"] == "address":
        return f"Its connections {would} closed before a word is said."
    return f"Attempts with it {would} refused from any address, right password or not."


def _tally(name: str, why: Json) -> Iterator[str]:
    counted_as = shown(why["counted"])
    if counted_as != name:
        yield f"It is counted as {counted_as}."
    if why["limit"] == "none":
        yield "Nothing is counted: the limit is none."
        return
    most, _, period = why["limit"].partition("/")
    if not why["count"]:
        yield f"It has no failures in the last {period}; the limit is {most}."
    else:
        yield f"It has {why['count']} of {counted(int(most), 'failure')} in the last {period}:"
        yield from _failures(why)
    if why["under_way"] or why["waiting"]:
        yield f"Guesses under way: {why['under_way']}; waiting for them: {why['waiting']}."


def _failures(why: Json) -> Iterator[str]:
    failures = why["failures"]
    if len(failures) < why["count"]:
        yield f"  (the last {len(failures)} of them)"
    width = max((len(shown(failure["service"])) for failure in failures), default=0)
    for failure in failures:
        service = shown(failure["service"]).ljust(width)
        yield f"  {moment(failure['at'])}  {service}  {shown(failure['counterpart'])}".rstrip()


def _undo(why: Json) -> Iterator[str]:
    ban = why["ban"]
    subject = shlex.quote(shown(why["subject"]))
    if ban is None:
        if why["count"]:
            yield f"To forget the failures: mailward lift {subject}"
        else:
            yield f"To ban it: mailward ban {subject}"
    elif ban["origin"] == "file":
        yield f"To lift it: delete {shown(ban['key'])} in the configuration file, then run"
        yield "mailward server reload-config"
    else:
        covering = ban["reason"] == "manual"
        target = shlex.quote(shown(ban["subject"])) if covering else subject
        yield f"To lift it: mailward lift {target}"
