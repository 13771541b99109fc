"""The commands that look on: ``status``, ``top`` and ``events``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping

from mailward.app.cli.client import Json, find_daemon
from mailward.app.cli.output import counted, moment, print_json, print_lines, quoted, shown, table

TOP_SECONDS = 2.0
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
    while True:
        answer = daemon.get("/api/top", {"count": str(options.count)})
        if options.follow and not options.json and sys.stdout.isatty():
            print(_CLEAR, end="")
        if options.json:
            print(json.dumps(answer), flush=True)
        else:
            print_lines(_top_lines(answer))
            sys.stdout.flush()
        if not options.follow:
            return 0
        try:
            time.sleep(TOP_SECONDS)
        except KeyboardInterrupt:
            return 0


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
    """Until the daemon ends, or Ctrl-C."""
    try:
        for event in find_daemon(options).events():
            line = json.dumps(event) if options.json else _event_line(event)
            print(line, flush=True)
    except KeyboardInterrupt:
        pass
    return 0


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
    if text and text.isprintable() and not set(text) & set(' "=\\'):
        return text
    return json.dumps(text)
