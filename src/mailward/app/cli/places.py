"""Where the daemon is that a command talks to: a socket here, or a URL elsewhere."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from mailward.app.cli.failures import EXIT_CONFIG, EXIT_USAGE, FailedError
from mailward.app.paths import CONFIG_VARIABLE, DATA_VARIABLE, config_path, data_path

SOCKET_NAME = "mailward.sock"
URL_VARIABLE = "URL"


class SocketPath(NamedTuple):
    """A Unix socket."""

    path: str

    def __str__(self) -> str:
        return self.path


class HttpUrl(NamedTuple):
    """A manage listener. *prefix* goes before every path, *ca* is a file of authorities."""

    host: str
    port: int
    prefix: str
    is_encrypted: bool
    ca: str | None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.is_encrypted else 'http'}://{host}:{self.port}{self.prefix}"


At = SocketPath | HttpUrl


def find_place(options: argparse.Namespace) -> At:
    """Where *options* or the environment say that the daemon is.

    What was typed goes before the environment, and there a data directory before a URL.

    Raises:
        FailedError: the URL is none; the configuration that names the socket cannot be read.
    """
    for name in ("data", "config"):
        if getattr(options, name) == "":
            options.wrong(f"--{name} is empty")
    if options.url is not None:
        if options.data is not None:
            options.wrong("--url and --data are two daemons; name one")
        return _url(options.url, options.ca)
    is_here = options.data or options.config or os.environ.get(DATA_VARIABLE)
    url = os.environ.get(URL_VARIABLE)
    if url and not is_here:
        return _url(url, options.ca)
    return SocketPath(str(_socket(options)))


def _url(text: str, ca: str | None) -> HttpUrl:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _no_url(text) from None
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    if usual is None or not parts.hostname or parts.query or parts.fragment:
        raise _no_url(text)
    if "@" in parts.netloc:
        raise FailedError(
            "a URL is shown and logged: give the credentials with --credentials-file",
            (),
            EXIT_USAGE,
        )
    return HttpUrl(
        parts.hostname,
        usual if port is None else port,
        _prefix(parts),
        parts.scheme == "https",
        ca,
    )


def _prefix(parts: SplitResult) -> str:
    return parts.path.rstrip("/")


def _no_url(text: str) -> FailedError:
    why = f'"{text}" is no URL of a manage listener; write "https://HOST:PORT"'
    return FailedError(why, (), EXIT_USAGE)


def _socket(options: argparse.Namespace) -> Path:
    data = data_path(options.data)
    usual = data / SOCKET_NAME
    config = config_path(options.config)
    is_named = bool(options.config or os.environ.get(CONFIG_VARIABLE))
    if config is None or (not is_named and usual.exists()):
        return usual
    return _configured_socket(config, data, usual)


def _configured_socket(config: Path, data: Path, usual: Path) -> Path:
    from mailward.settings.dialect import read_keys  # noqa: PLC0415 -- most commands need no file
    from mailward.settings.errors import SettingsError  # noqa: PLC0415 -- the same

    try:
        keys = read_keys(config.read_text(encoding="utf-8"), str(config))
    except (OSError, ValueError, SettingsError) as error:
        # A daemon that runs has to be reached most of all when its file is wrong.
        if usual.exists():
            return usual
        why = [str(fault) for fault in error.faults] if isinstance(error, SettingsError) else []
        raise FailedError(
            f"{config}, which tells where the socket is, cannot be read", why, EXIT_CONFIG
        ) from None
    entry = keys.get("management.socket")
    return usual if entry is None else data / entry.value
