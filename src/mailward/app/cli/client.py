"""Asks the running daemon over its socket. Standard library only: a command has to be quick."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

from mailward.app.paths import CONFIG_VARIABLE, config_path, data_path

if TYPE_CHECKING:
    from mailward.app.cli.unix import Answer

EXIT_FAILED = 1
EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h
SOCKET_NAME = "mailward.sock"

Json = Mapping[str, Any]


class Complaint(NamedTuple):
    """One of several things the daemon has against a request; *place* is where in a list."""

    message: str
    place: int | None


class FailedError(Exception):
    """The command cannot do what it should; the message says why and what to do.

    *lines* tell more, one thing each.
    """

    def __init__(self, message: str, lines: Sequence[str] = (), status: int = EXIT_FAILED) -> None:
        super().__init__(message)
        self.lines = tuple(lines)
        self.status = status


class RefusedError(FailedError):
    """The daemon refused."""

    def __init__(self, message: str, complaints: Sequence[Complaint]) -> None:
        super().__init__(message, [complaint.message for complaint in complaints])
        self.complaints = tuple(complaints)


class Daemon:
    """The daemon behind the Unix socket at *path*. Nothing is opened before it is asked."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, target: str, query: Mapping[str, str | None] | None = None) -> Json:
        return self._ask("GET", _with_query(target, query or {}))

    def post(self, target: str, body: Json | None = None) -> Json:
        return self._ask("POST", target, body)

    def delete(self, target: str, query: Mapping[str, str | None]) -> Json:
        return self._ask("DELETE", _with_query(target, query))

    def events(self) -> Iterator[Json]:
        """The events as they come, until the daemon ends.

        Raises:
            FailedError: it has ended, or cannot be asked.
        """
        with self._answer("GET", "/api/events") as answer:
            for line in answer.lines():
                name, _, data = line.decode().partition(": ")
                if name == "data":
                    yield json.loads(data)
        raise FailedError("the daemon has ended")

    def _ask(self, method: str, target: str, body: Json | None = None) -> Json:
        with self._answer(method, target, body) as answer:
            return self._object(answer)

    def _answer(self, method: str, target: str, body: Json | None = None) -> Answer:
        from mailward.app.cli.unix import BrokenAnswerError, send  # noqa: PLC0415 -- slow to load

        try:
            answer = send(
                self._path, method, target, None if body is None else json.dumps(body).encode()
            )
        except (FileNotFoundError, ConnectionRefusedError):
            raise FailedError(
                f"no mailward answers on {self._path}; start it with: mailward serve "
                "(or name its data directory with --data)"
            ) from None
        except PermissionError:
            raise FailedError(
                f"{self._path} may not be opened; be root or the user that mailward runs as"
            ) from None
        except (OSError, BrokenAnswerError) as error:
            raise FailedError(f"{self._path} does not answer as mailward does: {error}") from None
        if answer.is_ok:
            return answer
        with answer:
            raise self._refusal(answer)

    def _refusal(self, answer: Answer) -> FailedError:
        problem = self._object(answer)
        try:
            complaints = [Complaint(f["message"], f["index"]) for f in problem.get("faults", ())]
            return RefusedError(problem["detail"], complaints)
        except KeyError:
            return self._strange()

    def _object(self, answer: Answer) -> Json:
        from mailward.app.cli.unix import BrokenAnswerError  # noqa: PLC0415 -- slow to load

        try:
            value = json.loads(answer.body())
        except (BrokenAnswerError, ValueError):
            raise self._strange() from None
        if not isinstance(value, dict):
            raise self._strange()
        return value

    def _strange(self) -> FailedError:
        return FailedError(f"the daemon on {self._path} failed; its log says why")


def find_daemon(options: argparse.Namespace) -> Daemon:
    """The daemon whose data directory or configuration *options* or the environment name.

    Raises:
        FailedError: the configuration file that names its socket cannot be read.
    """
    data = data_path(options.data)
    usual = data / SOCKET_NAME
    config = config_path(options.config)
    if config is None or (not _is_named(options) and usual.exists()):
        return Daemon(usual)
    return Daemon(_configured_socket(config, data, usual))


def below(target: str, name: str) -> str:
    """The target with *name* as its last segment, whatever characters it has.

    >>> below("/api/why", "10.0.0.0/8")
    '/api/why/10.0.0.0%2F8'
    """
    return f"{target}/{quote(name, safe='')}"


def _is_named(options: argparse.Namespace) -> bool:
    return bool(options.config or os.environ.get(CONFIG_VARIABLE))


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


def _with_query(path: str, query: Mapping[str, str | None]) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path
