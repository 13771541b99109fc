"""The man page mailward(1), from the grammar and from what a grammar cannot tell.

``python -m mailward.app.cli.printed.manual`` prints it, in the man(7) macros.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from textwrap import wrap

from mailward import VERSION
from mailward.app.cli.grammar import make_parser
from mailward.app.cli.printed.shape import Command, Option, shape_of
from mailward.app.clock import SteadyClock

_DESCRIPTION = """\
mailward listens on the mail ports, speaks each protocol up to login, asks its guard, passes the
login to the mail server behind it, watches the answer, counts, and then pumps bytes. Failed logins
of all services are counted together, by address and by login, over a sliding period. An address
over the limit is dropped when it connects, on every door; a login over the limit is refused from
everywhere.

"mailward serve" is the daemon. The other commands, but for "hash-password" and "completion", ask
the running daemon: over the socket in its data directory, which no ban applies to, or from afar at
the URL of a manage listener.

A subject is an address (203.0.113.9), a network (2001:db8::/64), a login (jdoe@example.org) or an
operator (operator:admin). A login that could be an address needs "login:" in front."""

_FILES = (
    ("/etc/mailward/config.toml", "the configuration, if it is there"),
    ("/var/lib/mailward", "the data directory, with mailward.db and mailward.sock"),
    (
        "~/.config/mailward/config.toml, ~/.local/share/mailward",
        "the same for other users than root; the service is told to use those of root",
    ),
)
_ENVIRONMENT = (
    ("MAILWARD_CONFIG", "the configuration file, unless --config names one"),
    ("MAILWARD_DATA", "the data directory, unless --data names one; goes before URL"),
    ("URL", "of a manage listener, unless --url names one"),
    ("CREDENTIALS", "of the operator there, unless --credentials or --credentials-file gives them"),
    ("NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID", "set by systemd: see sd_notify(3)"),
)
_SIGNALS = (
    ("SIGHUP", "the daemon reads its configuration and its certificates anew, or changes nothing"),
    ("SIGTERM, SIGINT", "the daemon ends within ten seconds, and with it all sessions"),
)
_STATUS = (
    ("0", "done"),
    ("1", "refused or failed: stderr says why and what to do"),
    ("2", "wrong usage"),
    ("78", "wrong configuration: stderr lists every fault with its file, line and key"),
)
_EXAMPLES = (
    ("mailward serve --check", "says what is wrong with the configuration"),
    ("mailward why 203.0.113.9", "why an address is blocked, or why not"),
    ("mailward lift jdoe@example.org", "unblocks a login and forgets its failures"),
    ('mailward ban 203.0.113.0/24 --for 1w --note "scanner"', "blocks a network for a week"),
    (
        "mailward server add-config server.security.allowed-networks.198.51.100.0/24",
        "never blocks the office",
    ),
    ("mailward events --follow", "shows who is at it now"),
)


def manual(program: Command, description: str, made: date) -> str:
    """The page about *program* as of *made*; *description* is what it is in one sentence."""
    what = f"{description[0].lower()}{description[1:].rstrip('.')}"
    lines = [
        f'.TH MAILWARD 1 "{made:%F}" "mailward {VERSION}" "User Commands"',
        # Left-aligned and without hyphens: keys and commands are there to be copied.
        ".nh",
        ".ad l",
        *_section("NAME", [f"mailward \\- {_text(what)}"]),
        *_section("SYNOPSIS", _synopsis(program)),
        *_section("DESCRIPTION", _paragraphs(_DESCRIPTION)),
        *_section("OPTIONS", _common(program)),
        *_section("COMMANDS", _commands(program)),
        *_section("FILES", _list(_FILES)),
        *_section("ENVIRONMENT", _list(_ENVIRONMENT)),
        *_section("SIGNALS", _list(_SIGNALS)),
        *_section("EXIT STATUS", _list(_STATUS)),
        *_section("EXAMPLES", _list(_EXAMPLES)),
        *_section("SEE ALSO", [".BR systemctl (1),", ".BR journalctl (1)"]),
    ]
    return "\n".join(lines) + "\n"


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield f'.SH "{title}"'
    yield from lines


def _synopsis(program: Command) -> Iterator[str]:
    for command in program.all():
        if not command.below:
            options = " ".join(map(_use, _own(program, command)))
            arguments = " ".join(argument.form for argument in command.arguments)
            words = f"\\fBmailward {_text(' '.join(command.words))}\\fR"
            yield f"{words} {_text(f'{options} {arguments}'.strip())}".rstrip()
            yield ".br"
    yield f"\\fBmailward\\fR {_text('[--help | --version]')}"


def _common(program: Command) -> Iterator[str]:
    """What every command takes, if it can do anything with it."""
    yield "These may stand before a command or behind it."
    yield from _options(program.options)


def _commands(program: Command) -> Iterator[str]:
    for command in program.all():
        if command.below:
            continue
        words = " ".join((*command.words, *(argument.form for argument in command.arguments)))
        yield f'.SS "{_text(words)}"'
        yield f"{_text(command.does[0].upper() + command.does[1:])}."
        for argument in command.arguments:
            if argument.help:
                yield from _item(f"\\fI{_text(argument.form.strip('[]'))}\\fR", argument.help)
        yield from _options(_own(program, command))


def _own(program: Command, command: Command) -> list[Option]:
    """The options of *command* that the program as a whole has not got."""
    common = {option.names for option in program.options}
    return [option for option in command.options if option.names not in common]


def _options(options: Sequence[Option]) -> Iterator[str]:
    for option in options:
        names = ", ".join(f"\\fB{_text(name)}\\fR" for name in option.names)
        metavar = f" \\fI{_text(option.metavar)}\\fR" if option.metavar else ""
        needed = " (needed)" if option.is_required else ""
        yield from _item(f"{names}{metavar}", f"{option.help}{needed}")


def _use(option: Option) -> str:
    form = f"{option.names[-1]} {option.metavar}".rstrip()
    return form if option.is_required else f"[{form}]"


def _list(items: Sequence[tuple[str, str]]) -> Iterator[str]:
    for name, means in items:
        yield from _item(f"\\fB{_text(name)}\\fR", means)


def _item(head: str, means: str) -> Iterator[str]:
    yield from (".TP", head, *_lines(means))


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ".PP"
        yield from _lines(paragraph)


def _lines(text: str) -> Iterator[str]:
    return map(_text, wrap(text, 60, break_long_words=False, break_on_hyphens=False))


def _text(text: str) -> str:
    """*text* as it is: nothing in it is a command, a hyphen can be copied as the minus it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    text = text.replace("~", "\\(ti").replace("'", "\\(aq")
    return f"\\&{text}" if text.startswith(".") else text


def main() -> int:
    # Who wants the same page from the same sources says when they are from.
    now = float(os.environ.get("SOURCE_DATE_EPOCH", "") or SteadyClock()())
    parser = make_parser()
    page = manual(shape_of(parser), parser.description or "", datetime.fromtimestamp(now, UTC))
    print(page, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
