"""``why`` as a story: what is the case, how it came to be, what can be done about it."""

from __future__ import annotations

from collections.abc import Iterator

from mailward.app.cli.client import Json
from mailward.app.cli.output import counted, moment, quoted, shown


def story(why: Json) -> Iterator[str]:
    """The sentences for one answer of ``/api/why``."""
    name = f"{_kind(why)} {shown(why['subject'])}"
    yield from _state(name, why)
    if why["inside"]:
        bans = counted(why["inside"], "ban")
        yield f"Inside it {bans} {'stands' if why['inside'] == 1 else 'stand'}; to list them:"
        yield f"mailward bans --address {quoted(why['subject'])}"
    if why["trusted"] is not None:
        yield f"It is inside the trusted network {why['trusted']}: what it connects for itself is"
        yield "served and not counted. The rest is about clients that others name with its address."
    yield ""
    yield from _tally(why)
    yield ""
    yield from _undo(why)


def _state(name: str, why: Json) -> Iterator[str]:
    ban = why["ban"]
    if why["allowed"] is not None:
        yield f"{_first(name)} is not banned: it is inside the allowed network {why['allowed']},"
        yield "which wins over every ban: its connections are served, and it is not counted."
        if ban is not None:
            yield f"A ban on {shown(ban['subject'])} is stored ({_span(ban)}, {_cause(ban)}),"
            yield "but does nothing here as long as that network is allowed."
    elif ban is None:
        yield f"{_first(name)} is not banned."
    else:
        yield _banned(name, ban)
        yield _meaning(ban)
        if why["held"]:
            yield "That is only observed while many logins succeed from it, as"
            yield "server.security.hold-shared-addresses says: see mailward status."
        elif ban["observed"]:
            yield "That is only observed: server.security.observe is on, so nobody is stopped."


def _kind(row: Json) -> str:
    """What the subject of *row* is, in a word."""
    is_network = row["kind"] == "address" and "/" in row["subject"]
    return "network" if is_network else str(row["kind"])


def _first(text: str) -> str:
    return text[:1].upper() + text[1:]


def _banned(name: str, ban: Json) -> str:
    subject = f"{_kind(ban)} {shown(ban['subject'])}"
    whom = name if subject == name else f"{name} is inside {subject}, which"
    banned = "would be banned" if ban["observed"] else "is banned"
    return f"{_first(whom)} {banned} {_span(ban)}, {_cause(ban)}."


def _span(ban: Json) -> str:
    until = "until it is lifted" if ban["until"] is None else f"until {moment(ban['until'])} UTC"
    return f"since {moment(ban['since'])} UTC, {until}"


def _cause(ban: Json) -> str:
    note = f" ({shown(ban['note'])})" if ban["note"] else ""
    if ban["origin"] == "file":
        return f"because the configuration file blocks it{note}"
    if ban["reason"] == "manual":
        return f"by hand{note}"
    services = f" ({shown(', '.join(ban['services']))})" if ban["services"] else ""
    return f"because {counted(ban['failures'], 'login')} failed{services}{note}"


def _meaning(ban: Json) -> str:
    would = "would be" if ban["observed"] else "are"
    if ban["kind"] == "address":
        return f"Its connections {would} closed before a word is said."
    return f"Attempts with it {would} refused from any address, right password or not."


def _tally(why: Json) -> Iterator[str]:
    if why["counted"] != why["subject"]:
        yield f"It is counted as {shown(why['counted'])}."
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
    subject = quoted(why["subject"])
    if ban is None:
        if why["count"]:
            yield f"To forget the failures: mailward lift {subject}"
        elif why["allowed"] is None and not why["inside"]:
            yield f"To ban it: mailward ban {subject}"
    elif ban["origin"] == "file":
        yield f"To lift it: delete {shown(ban['key'])} in the configuration file, then run"
        yield "mailward server reload-config"
    else:
        covering = ban["reason"] == "manual"
        target = quoted(ban["subject"]) if covering else subject
        yield f"To lift it: mailward lift {target}"
    if why["inside"]:
        yield f"To lift the bans inside, too: mailward lift --inside {subject}"
