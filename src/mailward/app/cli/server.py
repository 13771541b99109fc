"""The commands about settings: ``server add-config`` and its sisters."""

from __future__ import annotations

import argparse
import sys

from mailward.app.cli.client import Json, find_daemon
from mailward.app.cli.failures import FailedError
from mailward.app.cli.output import counted, print_json, print_lines, shown, table


def add_config(options: argparse.Namespace) -> int:
    _check_key(options)
    body = {"key": options.key, "value": options.value, "yes": options.yes}
    return _told(options, find_daemon(options).post("/api/settings", body))


def delete_config(options: argparse.Namespace) -> int:
    _check_key(options)
    return _told(options, find_daemon(options).delete("/api/settings", {"key": options.key}))


def list_config(options: argparse.Namespace) -> int:
    """On a terminal a table; in a pipe one line a key, and nothing cut off."""
    found = find_daemon(options).get("/api/settings", {"prefix": options.prefix})["settings"]
    if options.json:
        print_json(found)
    elif options.prefix and not found:
        raise FailedError(
            f'no key in force begins with "{options.prefix}";'
            " mailward server list-config lists them all"
        )
    elif sys.stdout.isatty():
        if found:
            cells = [(known["key"], known["value"], known["origin"]) for known in found]
            print_lines(table(("KEY", "VALUE", "ORIGIN"), cells, (2, 1)))
        print(f"\n{counted(len(found), 'key')} found")
    else:
        for known in found:
            value = f" = {known['value']}" if known["value"] else ""
            print(shown(f"{known['key']}{value}"))
    return 0


def reload_config(options: argparse.Namespace) -> int:
    return _told(options, find_daemon(options).post("/api/reload"))


def reload_certificates(options: argparse.Namespace) -> int:
    return _told(options, find_daemon(options).post("/api/reload-certificates"))


def _check_key(options: argparse.Namespace) -> None:
    if not options.key:
        options.wrong("the key is empty; mailward server list-config lists those in force")


def _told(options: argparse.Namespace, answer: Json) -> int:
    if options.json:
        print_json(answer)
    else:
        print(shown(answer["message"]))
    return 0
