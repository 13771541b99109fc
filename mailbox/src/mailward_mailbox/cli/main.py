"""``mailward-mailbox``: reads the command line and runs what it asks for."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mailward_mailbox.accounts.errors import AccountError
from mailward_mailbox.accounts.file import check_account_file
from mailward_mailbox.cli.accounts import add_accounts
from mailward_mailbox.cli.failures import FailedError
from mailward_mailbox.serving.confinement import confine
from mailward_mailbox.serving.plan import Plan, Service, StartError
from mailward_mailbox.settings import UnfitSettingsError, host_and_port, read_settings


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status (sysexits(3): 78 is a configuration error)."""
    options = _parser().parse_args(argv)
    try:
        status: int = options.run(options)
    except FailedError as error:
        print(f"mailward-mailbox: {error}", file=sys.stderr)
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("mailward-mailbox", description="A small mail server.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    serve = commands.add_parser("serve", help="serve mail until SIGTERM")
    serve.set_defaults(run=_serve)
    serve.add_argument("--data", type=Path, required=True, metavar="DIR", help="accounts and mail")
    serve.add_argument("--hostname", default="", help="the name of this server")
    serve.add_argument("--relay", metavar="HOST:PORT", help="takes mail for other servers")
    serve.add_argument("--quota", type=int, metavar="OCTETS", help="of each account")
    serve.add_argument("--default-domain", default="", help="of account names without one")
    for service in Service:
        serve.add_argument(
            f"--listen-{service.value}",
            metavar="ADDRESS:PORT",
            help=f"speak {service.value} there, too, without TLS",
        )
    serve.add_argument(
        "--allow-remote", action="store_true", help="listen on other addresses than loopback"
    )
    serve.add_argument(
        "--supervised", action="store_true", help="take the settings from standard input"
    )
    serve.add_argument(
        "--check", action="store_true", help="look whether the data can be used, and change nothing"
    )
    add_accounts(commands)
    return parser


def _serve(options: argparse.Namespace) -> int:
    if options.supervised:
        confine()
    # No other command has to wait for them, and they are confined by now.
    from mailward_mailbox.server import ACCOUNTS  # noqa: PLC0415
    from mailward_mailbox.serving.process import run  # noqa: PLC0415

    try:
        if options.check:
            check_account_file(options.data / ACCOUNTS)
        else:
            run(_plan(options))
    except (AccountError, StartError, UnfitSettingsError) as error:
        _fail(str(error), is_supervised=options.supervised)
        return os.EX_CONFIG
    return os.EX_OK


def _plan(options: argparse.Namespace) -> Plan:
    """Raises:
    UnfitSettingsError: an option's value cannot be used.
    """
    told = {
        "hostname": options.hostname,
        "relay": options.relay,
        "quota": options.quota,
        "naming": {"default_domain": options.default_domain},
    }
    ports = {
        service: host_and_port(f"--listen-{service.value}", text)
        for service in Service
        if (text := getattr(options, f"listen_{service.value}")) is not None
    }
    settings = read_settings(json.dumps(told).encode())
    return Plan(options.data, settings, options.supervised, ports, options.allow_remote)


def _fail(why: str, *, is_supervised: bool) -> None:
    if is_supervised:
        told = json.dumps({"level": "error", "logger": "mailbox.process", "message": why})
    else:
        told = f"mailward-mailbox: {why}"
    print(told, file=sys.stderr)
