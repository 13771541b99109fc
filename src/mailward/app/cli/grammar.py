"""The words of the command line: every command with its arguments."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from mailward import VERSION
from mailward.app.cli import (
    accounts,
    password,
    reporting,
    server,
    sessions,
    subjects,
    watching,
)

Run = Callable[[argparse.Namespace], int]

_SUBJECT = (
    'an address, a network, a range "A-B" or a login; "address:", "login:" or "operator:" in front'
    " says what is meant"
)
_FILE = 'read subjects from FILE, one a line, "#" or ";" begins a comment ("-": standard input)'
_BANS_FILE = (
    f"{_FILE}; what bans --format list or --json printed is taken with until, reason and note"
)
_MAX_DIGITS = 12
_MAX_ROWS = 100
_REPORTS = (
    "many from FILE, one a line: JSON, or address, login, service, time and id with tabs between"
    ' ("-": standard input)'
)


def parse(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """What *words* ask for; wrong usage ends the program with the usage of the command."""
    options, unknown = parser.parse_known_args(words)
    wrong: Callable[[str], NoReturn] = getattr(options, "wrong", parser.error)
    if unknown:
        wrong(_unknown(unknown[0], options))
    if options.run is None:
        parser.print_help(sys.stderr)
        parser.exit(2, f"\n{parser.prog}: error: a command is missing\n")
    return options


def _unknown(word: str, options: argparse.Namespace) -> str:
    """What is said of a word that the command does not take."""
    if not word.startswith("-"):
        return f'"{word}" is one word too many; quote what has blanks in it'
    known = options.parser.options if hasattr(options, "parser") else []
    near = difflib.get_close_matches(word.partition("=")[0], known, n=1, cutoff=0.8)
    if near:
        return f"{word} is no option of this command; {near[0]} is the nearest"
    is_subject = hasattr(options, "subjects") or hasattr(options, "subject")
    hint = f"; for a login of that name write login:{word}" if is_subject else ""
    return f"{word} is no option of this command{hint}"


def make_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="mailward",
        description="Brute-force protection built into a mail server's front door.",
        epilog="Exit status: 0 done, 1 refused or failed, 2 wrong usage, 78 wrong configuration.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"mailward {VERSION}")
    parser.set_defaults(
        run=None,
        data=None,
        config=None,
        json=False,
        url=None,
        credentials=None,
        ca=None,
        credentials_file=None,
    )
    _add_global(parser)
    grammar = _Grammar(parser.add_subparsers(title="commands", metavar="COMMAND"))
    _add_serve(grammar)
    _add_server(grammar)
    _add_bans(grammar)
    _add_accounts(grammar)
    _add_backup(grammar)
    _add_looking(grammar)
    return parser


class _Parser(argparse.ArgumentParser):
    """Values may begin with a minus and a digit: it is no option that ``-1h`` is meant as."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        # argparse takes -1 for a value, but -1h for an option, and can be told in no other way.
        self._negative_number_matcher = re.compile(r"-[0-9]")

    @property
    def options(self) -> list[str]:
        """Every option that it takes."""
        return list(self._option_string_actions)


class _Grammar:
    """The commands below one parser."""

    def __init__(self, commands: argparse._SubParsersAction[_Parser]) -> None:
        self._commands = commands

    def command(self, name: str, does: str, run: Run | None) -> _Parser:
        """A command that runs *run*, or one (``None``) that has others below it."""
        parser = self._commands.add_parser(
            name, help=does, description=f"{does[0].upper()}{does[1:]}.", allow_abbrev=False
        )
        asks = run not in {_serve, _backup, _restore, password.hash_password, _completion}
        _add_global(parser, answers=run not in {_serve, _completion}, asks=asks)
        if run is not None:
            parser.set_defaults(run=run, wrong=parser.error, parser=parser)
        return parser


def _add_global(
    parser: argparse.ArgumentParser, *, answers: bool = True, asks: bool = True
) -> None:
    """What every command takes, before its name or behind it.

    *answers* can be had as JSON; who *asks* may ask a daemon elsewhere.
    """
    unset = argparse.SUPPRESS
    parser.add_argument(
        "--data", metavar="DIR", default=unset, help="the data directory (MAILWARD_DATA)"
    )
    parser.add_argument(
        "--config", metavar="FILE", default=unset, help="the configuration (MAILWARD_CONFIG)"
    )
    if asks:
        parser.add_argument(
            "-u", "--url", metavar="URL", default=unset, help="of a manage listener (URL)"
        )
        parser.add_argument(
            "-c",
            "--credentials",
            metavar="USER:SECRET",
            default=unset,
            help="of the operator there (CREDENTIALS); all users of this machine can read it",
        )
        parser.add_argument(
            "--credentials-file",
            metavar="FILE",
            default=unset,
            help="a file of mode 0600 with the line USER:SECRET",
        )
        parser.add_argument(
            "--ca", metavar="FILE", default=unset, help="who vouches for its certificate"
        )
    if answers:
        parser.add_argument(
            "--json", action="store_true", default=unset, help="print JSON instead of text"
        )


def _add_serve(grammar: _Grammar) -> None:
    serve = grammar.command("serve", "run the daemon in the foreground", _serve)
    serve.add_argument("--check", action="store_true", help="only check the configuration")


def _serve(options: argparse.Namespace) -> int:
    from mailward.app.daemon import serve  # noqa: PLC0415 -- no other command has to wait for it

    return serve(options.config, options.data, options.check)


def _add_backup(grammar: _Grammar) -> None:
    saving = grammar.command("backup", "save the store in one file, also while it is used", _backup)
    saving.add_argument("file", metavar="FILE", help="the file to make, mode 0600")
    saving.add_argument("--overwrite", action="store_true", help="replace FILE if it is there")
    taking = grammar.command(
        "restore", "put a backup in the place of the store, with the daemon stopped", _restore
    )
    taking.add_argument("file", metavar="FILE", help="one that mailward backup made")
    taking.add_argument(
        "--incomplete",
        action="store_true",
        help="take a store that was copied without its log as it is; what came last is lost",
    )


def _backup(options: argparse.Namespace) -> int:
    from mailward.app.backup import backup  # noqa: PLC0415 -- no other command has to wait for it

    return backup(options)


def _restore(options: argparse.Namespace) -> int:
    from mailward.app.backup import restore  # noqa: PLC0415 -- as above

    return restore(options)


def _add_server(grammar: _Grammar) -> None:
    parent = grammar.command("server", "add, delete, list and reload settings", None)
    below = _Grammar(parent.add_subparsers(metavar="COMMAND", required=True))
    add = below.command("add-config", "store a key", server.add_config)
    add.add_argument("key", metavar="KEY", help="like server.security.blocked-networks.192.0.2.1")
    add.add_argument("value", metavar="VALUE", nargs="?", default="", help="default: empty")
    add.add_argument("--yes", action="store_true", help="yes, a network of everybody is meant")
    delete = below.command(
        "delete-config", "delete a key, or lift the ban that it is", server.delete_config
    )
    delete.add_argument("key", metavar="KEY", help="a dot at its end: all keys below it")
    listing = below.command("list-config", "list the keys in force", server.list_config)
    listing.add_argument("prefix", metavar="PREFIX", nargs="?", help="how the keys begin")
    below.command(
        "reload-config", "read the configuration file anew, and apply all", server.reload_config
    )
    below.command("reload-certificates", "read the certificates anew", server.reload_certificates)


def _add_bans(grammar: _Grammar) -> None:
    bans = grammar.command("bans", "list the bans in force", subjects.bans)
    bans.add_argument("--address", metavar="A", help="those that cover A or lie inside it")
    bans.add_argument("--login", metavar="L", help="that of the login L")
    _add_reason(bans, "those with this reason")
    bans.add_argument(
        "--format",
        choices=("table", "list"),
        default="table",
        help="list: for ban --file, with tabs between subject, until, reason and note",
    )
    bans.add_argument("--limit", metavar="N", type=_count, help="the first N only")
    bans.add_argument(
        "--sort",
        choices=("subject", "since", "until", "failures"),
        help="the newest first, or those that end soonest, or have most failures",
    )

    ban = grammar.command("ban", "ban by hand, in force at once", subjects.ban)
    ban.add_argument("subjects", metavar="SUBJECT", nargs="*", help=_SUBJECT)
    ban.add_argument(
        "--for", dest="period", metavar="PERIOD", help='like "4w"; default: never ends'
    )
    ban.add_argument("--note", metavar="TEXT", help="why, for whoever looks at the ban later")
    ban.add_argument("--file", metavar="FILE", help=_BANS_FILE)
    ban.add_argument(
        "--close", action="store_true", help="end sessions of addresses, too; a login's always end"
    )
    ban.add_argument("--yes", action="store_true", help="yes, a network of everybody is meant")

    lift = grammar.command("lift", "lift bans and forget the failures", subjects.lift)
    lift.add_argument("subjects", metavar="SUBJECT", nargs="*", help=_SUBJECT)
    lift.add_argument("--all", action="store_true", help="every automatic ban")
    lift.add_argument("--inside", action="store_true", help="the bans inside a network, too")
    _add_reason(lift, "with --all: those with this reason")
    lift.add_argument("--file", metavar="FILE", help=_FILE)

    listing = grammar.command(
        "sessions", "list the sessions that are logged in, or close them", sessions.sessions
    )
    listing.add_argument(
        "words",
        metavar="SUBJECT",
        nargs="*",
        help=f'those of SUBJECT; with "close" in front they are ended: {_SUBJECT}',
    )
    listing.add_argument(
        "--limit",
        metavar="N",
        type=_count,
        default=sessions.USUAL_LIMIT,
        help=f"the first N only ({sessions.USUAL_LIMIT})",
    )
    listing.add_argument(
        "--yes", action="store_true", help="yes, close those of a network of everybody"
    )

    why = grammar.command("why", "tell why a subject is banned, or is not", subjects.why)
    why.add_argument("subject", metavar="SUBJECT", help=_SUBJECT)

    report = grammar.command("report", "report logins that another program saw", reporting.report)
    report.add_argument("outcome", metavar="failure|success", choices=("failure", "success"))
    report.add_argument("--address", metavar="A", help="where it came from")
    report.add_argument("--login", metavar="L", help="whom it was for, if anybody")
    report.add_argument("--service", metavar="S", help='like "webmail"')
    report.add_argument("--time", metavar="T", help='like "2026-01-31T12:00:00Z"; default: now')
    report.add_argument(
        "--id", metavar="ID", help="what is told again with the same ID counts once"
    )
    report.add_argument("--file", metavar="FILE", help=_REPORTS)


def _add_accounts(grammar: _Grammar) -> None:
    parent = grammar.command("accounts", "look after the accounts that are kept here", None)
    below = _Grammar(parent.add_subparsers(metavar="COMMAND", required=True))
    for name, does, run in (
        ("add", "add an account", accounts.add),
        ("passwd", "give an account another password", accounts.passwd),
    ):
        asking = below.command(name, does, run)
        asking.add_argument("name", metavar="NAME", help='like "alice" or "alice@example.org"')
        asking.add_argument(
            "--password-stdin", action="store_true", help="read the password from standard input"
        )
    below.command("list", "list the accounts", accounts.listed)
    for name, does, run in (
        ("remove", "remove an account; its mail is left where it is", accounts.remove),
        ("disable", "let nobody log in to an account", accounts.disable),
        ("enable", "let its owner log in again", accounts.enable),
    ):
        below.command(name, does, run).add_argument("name", metavar="NAME")
    taking = below.command("import", "take in a passwd-file of Dovecot", accounts.take_in)
    taking.add_argument("file", metavar="FILE", help='"-": standard input')


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS and int(text)):
        raise argparse.ArgumentTypeError(f'"{text}" is no number from 1')
    return int(text)


def _rows(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise argparse.ArgumentTypeError(f'"{text}" is no number from 1 to {_MAX_ROWS}')
    if not 1 <= int(text) <= _MAX_ROWS:
        raise argparse.ArgumentTypeError(f'"{text}" is no number from 1 to {_MAX_ROWS}')
    return int(text)


def _add_reason(parser: argparse.ArgumentParser, help_: str) -> None:
    parser.add_argument("--reason", choices=("authentication", "manual"), help=help_)


def _add_looking(grammar: _Grammar) -> None:
    grammar.command("status", "show doors, store, limits and counts", watching.status)
    top = grammar.command("top", "show who has the most failures", watching.top)
    top.add_argument("--count", metavar="N", type=_rows, default=10, help="rows, at most 100 (10)")
    top.add_argument("--follow", action="store_true", help="again and again, until Ctrl-C")
    events = grammar.command("events", "show the last 1,000 events", watching.events)
    events.add_argument(
        "--follow",
        action="store_true",
        default=None,
        help="and those that come, until Ctrl-C (on a terminal it does that unasked)",
    )
    events.add_argument(
        "--no-follow", action="store_false", dest="follow", help="those alone, on a terminal, too"
    )
    grammar.command("hash-password", "print the hash of a password", password.hash_password)
    script = grammar.command("completion", "print the completion script of a shell", _completion)
    script.add_argument(
        "shell",
        metavar="bash|zsh|fish",
        choices=("bash", "zsh", "fish"),
        help="the shell that reads it",
    )


def _completion(options: argparse.Namespace) -> int:
    from mailward.app.cli.printed.completion import Shell, completion  # noqa: PLC0415 -- as above
    from mailward.app.cli.printed.shape import shape_of  # noqa: PLC0415 -- as above

    print(completion(shape_of(make_parser()), Shell(options.shell)), end="")
    return 0
