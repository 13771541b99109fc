"""Asks the running daemon. Standard library only: a command has to be quick."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import stat
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from getpass import getpass
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

from mailward.app.cli.failures import Complaint, FailedError, RefusedError, UnreachableError
from mailward.app.cli.places import At, HttpUrl, SocketPath, find_place

if TYPE_CHECKING:
    from mailward.app.cli.calling import Answer

CREDENTIALS_VARIABLE = "CREDENTIALS"
_USUAL_USER = "admin"
_MAX_CREDENTIALS_OCTETS = 4_096

Json = Mapping[str, Any]


class Told(NamedTuple):
    """An event with its id."""

    id: str
    event: Json


class Daemon:
    """The daemon at a place. Nothing is opened before it is asked.

    *credentials* are ``user:secret``, for one that is far.
    """

    def __init__(self, at: At, credentials: str | None = None) -> None:
        self._at = at
        self._credentials = credentials

    @property
    def is_here(self) -> bool:
        """Whether it is asked over its socket."""
        return isinstance(self._at, SocketPath)

    def get(self, target: str, query: Mapping[str, str | None] | None = None) -> Json:
        return self._ask("GET", _with_query(target, query or {}))

    def post(self, target: str, body: Json | None = None) -> Json:
        return self._ask("POST", target, body)

    def delete(self, target: str, query: Mapping[str, str | None]) -> Json:
        return self._ask("DELETE", _with_query(target, query))

    def events(self, last: int, *, follows: bool, seen: str | None = None) -> Iterator[Told]:
        """The *last* events that were kept, or those behind the one *seen* (an id), and if it
        *follows* those that come, until the daemon ends. It is asked at once.

        Raises:
            FailedError: it cannot be asked.
        """
        query = {"last": str(last), "follow": "true" if follows else "false"}
        headers = {} if seen is None else {"Last-Event-ID": seen}
        return _told(self._answer("GET", _with_query("/api/events", query), None, headers))

    def _ask(self, method: str, target: str, body: Json | None = None) -> Json:
        with self._answer(method, target, body, {}) as answer:
            return self._object(answer)

    def _answer(
        self, method: str, target: str, body: Json | None, headers: Mapping[str, str]
    ) -> Answer:
        octets = None if body is None else json.dumps(body).encode()
        match self._at:
            case SocketPath():
                answer = self._send_here(self._at, method, target, octets, headers)
            case HttpUrl(prefix=prefix):
                answer = self._send_far(self._at, method, f"{prefix}{target}", octets, headers)
        if answer.is_ok:
            return answer
        with answer:
            if answer.is_unauthorized:
                raise FailedError(
                    f"authentication failed: {self._at} knows no such user and secret; "
                    "see management.admin in its configuration"
                )
            raise self._refusal(answer)

    def _send_here(
        self,
        at: SocketPath,
        method: str,
        target: str,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> Answer:
        from mailward.app.cli.calling import BrokenAnswerError, send  # noqa: PLC0415 -- slow to load

        try:
            return send(at, method, target, body, headers)
        except (FileNotFoundError, ConnectionRefusedError):
            raise UnreachableError(
                f"no mailward answers on {at}; start it with: mailward serve "
                "(or name its data directory with --data)"
            ) from None
        except PermissionError:
            raise FailedError(
                f"{at} may not be opened; be root or the user that mailward runs as"
            ) from None
        except (OSError, BrokenAnswerError) as error:
            raise UnreachableError(f"{at} does not answer as mailward does: {error}") from None

    def _send_far(
        self, at: HttpUrl, method: str, target: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        from mailward.app.cli import calling  # noqa: PLC0415 -- slow to load

        try:
            headers = {**headers, "Authorization": self._authorization()}
            return calling.send(at, method, target, body, headers)
        except calling.UntrustedError as error:
            raise FailedError(str(error)) from None
        except ConnectionRefusedError:
            raise UnreachableError(f"cannot connect to {at}: nobody listens there") from None
        except ConnectionError:
            raise UnreachableError(
                f"{at} closed the connection; if this address is banned there, lift that on the "
                "machine itself"
            ) from None
        except OSError as error:
            raise UnreachableError(f"cannot connect to {at}: {error.strerror or error}") from None
        except calling.BrokenAnswerError as error:
            raise UnreachableError(f"{at} does not answer as mailward does: {error}") from None

    def _authorization(self) -> str:
        if self._credentials is None:
            self._credentials = _asked_for()
        user, colon, secret = self._credentials.partition(":")
        pair = f"{user}:{secret}" if colon else f"{_USUAL_USER}:{user}"
        return f"Basic {b64encode(pair.encode()).decode()}"

    def _refusal(self, answer: Answer) -> FailedError:
        problem = self._object(answer)
        try:
            complaints = [Complaint(f["message"], f["index"]) for f in problem.get("faults", ())]
            return RefusedError(problem["detail"], complaints, is_wrong=answer.is_wrong)
        except KeyError:
            return self._strange()

    def _object(self, answer: Answer) -> Json:
        from mailward.app.cli.calling import BrokenAnswerError  # noqa: PLC0415 -- slow to load

        try:
            value = json.loads(answer.body())
        except (BrokenAnswerError, ValueError):
            raise self._strange() from None
        if not isinstance(value, dict):
            raise self._strange()
        return value

    def _strange(self) -> FailedError:
        return UnreachableError(f"the daemon on {self._at} failed; its log says why")


def _told(answer: Answer) -> Iterator[Told]:
    seen = ""
    with answer:
        for line in answer.lines():
            name, _, data = line.decode().rstrip("\r\n").partition(": ")
            if name == "id":
                seen = data
            elif name == "data":
                yield Told(seen, json.loads(data))


def find_daemon(options: argparse.Namespace) -> Daemon:
    """The daemon that *options* or the environment name.

    Raises:
        FailedError: they name none.
    """
    if options.credentials is not None and options.credentials_file is not None:
        options.wrong("--credentials and --credentials-file are two operators; name one")
    place = find_place(options)
    if isinstance(place, SocketPath):
        for name in ("credentials", "credentials_file", "ca"):
            if getattr(options, name) is not None:
                option = name.replace("_", "-")
                options.wrong(f"--{option} is for a daemon elsewhere: name that with --url")
    if options.credentials_file is not None:
        return Daemon(place, _read_credentials(options.credentials_file))
    credentials = options.credentials or os.environ.get(CREDENTIALS_VARIABLE)
    return Daemon(place, credentials or None)


def below(target: str, name: str) -> str:
    """The target with *name* as its last segment, whatever characters it has.

    >>> below("/api/why", "10.0.0.0/8")
    '/api/why/10.0.0.0%2F8'
    """
    return f"{target}/{quote(name, safe='')}"


def _read_credentials(name: str) -> str:
    """The one line of the file *name*, which nobody else may read.

    Raises:
        FailedError: it cannot be read, others can read it, or it is not one line.
    """
    try:
        with open(name, "rb") as file:  # noqa: PTH123 -- Path would take a command longer to load
            mode = os.fstat(file.fileno()).st_mode
            octets = file.read(_MAX_CREDENTIALS_OCTETS + 1)
    except OSError as error:
        raise FailedError(f"{name} cannot be read: {error.strerror}") from None
    if stat.S_ISREG(mode) and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise FailedError(f"{name} can be read by others: chmod 600 {shlex.quote(name)}")
    try:
        lines = octets.decode().splitlines()
    except UnicodeDecodeError:
        lines = []
    if len(lines) != 1 or not lines[0].strip() or len(octets) > _MAX_CREDENTIALS_OCTETS:
        raise FailedError(f"{name} is not one line with user:secret")
    return lines[0].strip()


def _asked_for() -> str:
    """The credentials as somebody types them, unseen."""
    if not sys.stdin.isatty():
        raise FailedError(
            "credentials are missing: give a file with the line user:secret by --credentials-file"
        )
    typed = getpass("Credentials (user:secret, or the secret of admin): ")
    if not typed:
        raise FailedError("credentials are missing; nothing was sent")
    return typed


def _with_query(path: str, query: Mapping[str, str | None]) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path
