"""The commands that look on: ``status``, ``top`` and ``events``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TypeVar

from mailward.app.cli.client import Daemon, Json, Told, find_daemon
from mailward.app.cli.failures import UnreachableError
from mailward.app.cli.output import (
    counted,
    moment,
    print_json,
    print_lines,
    quoted,
    shown,
    table,
)
from mailward.rules.marks import has_many_marks

TOP_SECONDS = 2.0
AGAIN_SECONDS = 1.0
MAX_KEPT = 1_000  # as many as the daemon keeps
_AWAY = "the daemon does not answer any more; waiting for it (Ctrl-C ends this)"
_CLEAR = "\x1b[H\x1b[2J"

_STATUS_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_DOOR_HEAD = ("DOOR", "PROTOCOL", "LISTENS ON", "BACKEND", "STATE")
_DOOR_FIELDS = ("listener", "protocol", "bind", "backend", "state")
_SERVICE_HEAD = ("SERVICE", "FAILED", "SUCCEEDED", "REFUSED", "UNAVAILABLE")
_OUTCOMES = ("failed", "succeeded", "refused", "unavailable")


def status(options: argparse.Namespace) -> int:
    answer = find_daemon(options).get("/api/status")
    if options.json:
        print_json(answer)
    else:
        print_lines(_status_lines(answer))
    return 0


def _status_lines(answer: Json) -> Iterator[str]:
    up = _lasting(answer["uptime_seconds"])
    yield f"mailward {answer['version']}, up {up}, since {moment(answer['started'])} UTC"
    store, policy, bans = answer["store"], answer["policy"], answer["bans"]
    if store["state"] == "ok":
        yield "store     ok"
    else:
        yield f"store     DEGRADED: {shown(store['reason'])}; {store['behind']} changes wait"
    yield f"addresses {_limit(policy['fail2ban'], policy['ban-period'])}"
    yield f"logins    {_limit(policy['login-fail2ban'], policy['login-ban-period'])}"
    if answer["observe"]:
        seen = answer["observed"]
        yield "observing nobody is dropped or refused, except by hand"
        yield f"          {counted(bans['observed'], 'ban')} would be in force; of the attempts"
        yield f"          they would stop {seen['failed']} failed and {seen['succeeded']} succeeded"
    elif bans["observed"]:
        yield f"held      {counted(bans['observed'], 'ban')} only observed: the address is shared"
    yield f"bans      {bans['all']}, {bans['file']} of them in the configuration file"
    known = answer["counted"]
    yield f"counting  {known['address']} addresses and {known['login']} logins with failures"
    crowd = answer["connections"]
    if crowd["lowered-from"]:
        waiting, most = crowd["waiting"], crowd["max-waiting"]
        yield f"waiting   {waiting} of at most {most} connections before login"
        yield f"          ({crowd['lowered-from']} by default, for which the system gives too few"
        yield "          descriptors: LimitNOFILE in systemd, ulimit -n in a shell)"
    yield f"dropped   {counted(answer['dropped'], 'connection')} of banned addresses"
    yield ""
    if answer["doors"]:
        cells = [tuple(str(door.get(f, "")) for f in _DOOR_FIELDS) for door in answer["doors"]]
        yield from table(_DOOR_HEAD, cells, (4,))
    else:
        yield "There are no doors: the configuration has no listener."
    if answer["services"]:
        yield ""
        yield from table(
            _SERVICE_HEAD,
            [
                (service, *(str(counts[outcome]) for outcome in _OUTCOMES))
                for service, counts in sorted(answer["services"].items())
            ],
        )
    if answer["pending"]:
        yield ""
        yield f"Waiting for reload-config: {shown(', '.join(answer['pending']))}"
    if answer["faults"]:
        yield ""
        yield "Stored keys that are wrong and not in force:"
        yield from map(shown, answer["faults"])
    if answer["warnings"]:
        yield ""
        yield "Warnings:"
        yield from map(shown, answer["warnings"])


def _limit(limit: str, term: str) -> str:
    """A limit and how long its bans last.

    >>> _limit("100/1d", "never"), _limit("none", "never")
    ('banned at 100/1d, until lifted', 'not counted')
    """
    if limit == "none":
        return "not counted"
    match term:
        case "never":
            lasting = "until lifted"
        case "limit":
            lasting = "until the window has room again"
        case period:
            lasting = f"for {period}"
    return f"banned at {limit}, {lasting}"


def _lasting(seconds: int) -> str:
    """A time that has passed, in its two greatest units.

    >>> _lasting(90_061), _lasting(59)
    ('1d 1h', '59s')
    """
    parts: list[str] = []
    for unit, length in _STATUS_UNITS:
        if seconds >= length or (unit == "s" and not parts):
            parts.append(f"{seconds // length}{unit}")
            seconds %= length
    return " ".join(parts[:2])


def top(options: argparse.Namespace) -> int:
    """Once, or with ``--follow`` again and again until Ctrl-C."""
    daemon = find_daemon(options)
    query = {"count": str(options.count)}
    answer = daemon.get("/api/top", query)
    if not options.follow:
        if options.json:
            print_json(answer)
        else:
            print_lines(_top_lines(answer))
        return 0
    with suppress(KeyboardInterrupt):
        while True:
            if options.json:
                print(json.dumps(answer), flush=True)
            else:
                if sys.stdout.isatty():
                    print(_CLEAR, end="")
                print_lines(_top_lines(answer))
                sys.stdout.flush()
            time.sleep(TOP_SECONDS)
            answer = _once_there(lambda: daemon.get("/api/top", query))
    return 0


T = TypeVar("T")


def _once_there(ask: Callable[[], T], *, has_ended: bool = False) -> T:
    """What *ask* says, as soon as the daemon is there to be asked."""
    is_away = has_ended
    if is_away:
        _say(_AWAY)
    while True:
        try:
            answer = ask()
        except UnreachableError:
            if not is_away:
                _say(_AWAY)
            is_away = True
            time.sleep(AGAIN_SECONDS)
            continue
        if is_away:
            _say("the daemon answers again")
        return answer


def _say(what: str) -> None:
    print(f"mailward: {what}", file=sys.stderr, flush=True)


def _top_lines(answer: Json) -> Iterator[str]:
    tables = (
        ("ADDRESS", "LOGINS", "addresses", "No address has failures."),
        ("LOGIN", "ADDRESSES", "logins", "No login has failures."),
    )
    for name, others, field, nothing in tables:
        if answer[field]:
            head = (name, "FAILURES", "BANNED", "LAST", "SERVICES", others)
            yield from table(head, [_busy_cells(row) for row in answer[field]], (4, 5))
        else:
            yield nothing
        yield ""


def _busy_cells(row: Json) -> tuple[str, ...]:
    most = row["limit"].partition("/")[0]
    return (
        quoted(row["subject"]),
        f"{row['failures']} of {most}",
        _banned_cell(row["ban"]),
        moment(row["last"]) if row["last"] else "",
        " ".join(row["services"]),
        " ".join(row["counterparts"]),
    )


def _banned_cell(ban: Json | None) -> str:
    if ban is None:
        return "no"
    if ban["observed"]:
        return "would be"
    return "yes" if ban["until"] is None else f"until {moment(ban['until'])[:16]}"


def events(options: argparse.Namespace) -> int:
    """The last ones that were kept; a follower goes on until Ctrl-C."""
    daemon = find_daemon(options)
    follows = sys.stdout.isatty() if options.follow is None else options.follow
    told = _followed(daemon) if follows else daemon.events(MAX_KEPT, follows=False)
    with suppress(KeyboardInterrupt):
        for one in told:
            line = json.dumps(one.event) if options.json else _event_line(one.event)
            print(line, flush=follows)
    return 0


def _followed(daemon: Daemon) -> Iterator[Told]:
    """The events as they come. A daemon that was started anew tells all since its start."""
    seen: str | None = None
    told = daemon.events(MAX_KEPT, follows=True)
    while True:
        for one in told:
            seen = one.id
            yield one
        told = _once_there(
            partial(daemon.events, MAX_KEPT, follows=True, seen=seen or ""), has_ended=True
        )


def _event_line(event: Mapping[str, object]) -> str:
    fields = [
        f"{name}={_printable(value)}"
        for name, value in event.items()
        if name not in {"event", "time"}
    ]
    return " ".join([moment(str(event["time"])), str(event["event"]), *fields])


def _printable(value: object) -> str:
    """A value that cannot break out of its place in the line."""
    text = json.dumps(value) if isinstance(value, bool) else str(value)
    is_plain = text.isprintable() and not has_many_marks(text)
    if text and is_plain and not set(text) & set(' "=\\'):
        return text
    return json.dumps(text)
