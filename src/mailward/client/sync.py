"""The client for programs with threads, or with none."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from http import HTTPStatus
from os import PathLike, fspath
from time import monotonic, sleep
from typing import NamedTuple, Self, TypeVar
from urllib.parse import urlencode
from uuid import uuid4

from mailward.client.answers import all_told, is_banned, told, understood
from mailward.client.lines import Lines, StaleError
from mailward.client.news import Seen, Told, UnreachableError

MAX_BATCH = 10_000  # what the daemon takes at once
_MAX_BATCH_OCTETS = 7_900_000  # the same, with the brackets around them
_FIRST_PAUSE_SECONDS = 0.05

# After these the same request may well be answered; after any other refusal it never is.
_PASSING = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
}

_T = TypeVar("_T")


class _Report(NamedTuple):
    """One report as it is sent."""

    id: str
    octets: bytes


class ReportClient:
    """Asks the guard who is banned, and tells it what became of logins.

    *at* is the socket of the daemon, or the URL of a manage listener; that one needs *credentials*
    (``user:secret``), and *ca* names a file of authorities for it. *service* is what this program
    is called in the guard's log: 1 to 32 of ``a-z``, ``0-9`` and ``-``.

    No call takes longer than *seconds* (one with a list: *batch_seconds* for every 10,000): until
    then it is repeated with the same id, so nothing counts twice. All threads may share a client,
    and so may the processes of a program that forks.

    Raises:
        ValueError: *at* or *credentials* cannot be used.
        OSError: *ca* cannot be read.
    """

    def __init__(
        self,
        at: str | PathLike[str],
        service: str,
        *,
        credentials: str | None = None,
        ca: str | None = None,
        seconds: float = 2.0,
        batch_seconds: float = 60.0,
    ) -> None:
        self._lines = Lines(fspath(at), credentials, ca)
        self._service = service
        self._seconds = seconds
        self._batch_seconds = batch_seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connections; the client may be used again."""
        self._lines.close()

    def allows(self, address: str, login: str | None = None) -> bool:
        """Whether neither *address* nor *login* is banned: ask before looking at a password.

        Raises:
            UnreachableError: nobody knows. Whoever goes on then is not protected, whoever refuses
                then is down together with the guard.
            RefusedError: the guard takes *address* or *login* for none, or the credentials.
        """
        wanted = {"address": address} if login is None else {"address": address, "login": login}
        target = f"/api/check?{urlencode(wanted)}"
        return not self._ask("GET", target, None, self._seconds, is_banned)

    def failed(
        self,
        address: str,
        login: str | None = None,
        *,
        at: datetime | None = None,
        id: str | None = None,  # noqa: A002 -- it is called so everywhere else
    ) -> Told:
        """Tell that a login was refused: the password was wrong, or there is no such account.

        Only that: an outage, a cancelled login or one that the guard refused is no failure.

        Raises:
            UnreachableError: the guard did not hear it.
            RefusedError: the guard cannot use it.
        """
        return self._tell_one("/api/failures", Seen(address, login, at, id))

    def succeeded(
        self,
        address: str,
        login: str | None = None,
        *,
        at: datetime | None = None,
        id: str | None = None,  # noqa: A002 -- the same
    ) -> Told:
        """Tell that a login was right: it counts for nobody, but is seen to be somebody real.

        Raises:
            UnreachableError: the guard did not hear it.
            RefusedError: the guard cannot use it.
        """
        return self._tell_one("/api/successes", Seen(address, login, at, id))

    def failures(self, seen: Iterable[Seen]) -> Iterator[Told]:
        """Tell of any number of failures; what the guard makes of each comes in their order.

        They are sent as the answers are asked for, up to 10,000 at once. One that is refused does
        not keep the others from counting.

        Raises:
            UnreachableError: the guard did not hear those that have no answer yet.
            RefusedError: it cannot use any of them.
        """
        return self._tell_all("/api/failures", seen)

    def successes(self, seen: Iterable[Seen]) -> Iterator[Told]:
        """The same for successes."""
        return self._tell_all("/api/successes", seen)

    def _tell_one(self, target: str, seen: Seen) -> Told:
        report = self._report(seen)
        return self._ask(
            "POST", target, report.octets, self._seconds, lambda answer: told(answer, report.id)
        )

    def _tell_all(self, target: str, seen: Iterable[Seen]) -> Iterator[Told]:
        for reports in _parts(map(self._report, seen)):
            body = b'{"reports": [%s]}' % b", ".join(report.octets for report in reports)
            ids = [report.id for report in reports]
            yield from self._ask("POST", target, body, self._batch_seconds, _reader(ids))

    def _report(self, seen: Seen) -> _Report:
        if seen.at is not None and seen.at.tzinfo is None:
            raise ValueError(f"{seen.at} does not say of which zone it is")
        id_ = uuid4().hex if seen.id is None else seen.id
        report = {
            "address": seen.address,
            "login": seen.login,
            "service": self._service if seen.service is None else seen.service,
            "time": None if seen.at is None else seen.at.isoformat(),
            "id": id_,
        }
        said = {name: value for name, value in report.items() if value is not None}
        return _Report(id_, json.dumps(said).encode())

    def _ask(
        self,
        method: str,
        target: str,
        octets: bytes | None,
        seconds: float,
        read: Callable[[object], _T],
    ) -> _T:
        deadline, pause = monotonic() + seconds, _FIRST_PAUSE_SECONDS
        while True:
            try:
                status, said = self._lines.ask(method, target, octets, deadline)
                if status not in _PASSING:
                    return understood(self._lines.at, status, said, read)
                why = HTTPStatus(status).phrase
            except StaleError:
                continue
            except ssl.SSLError as error:
                raise UnreachableError(f"{self._lines.at}: {error}") from None
            except (OSError, http.client.HTTPException) as error:
                why = str(error) or type(error).__name__
            if monotonic() + pause >= deadline:
                raise UnreachableError(f"{self._lines.at} gave no answer: {why}")
            sleep(pause)
            pause *= 2


def _reader(ids: Sequence[str]) -> Callable[[object], Sequence[Told]]:
    return lambda answer: all_told(answer, ids)


def _parts(reports: Iterable[_Report]) -> Iterator[Sequence[_Report]]:
    """As many at once as the daemon takes."""
    part: list[_Report] = []
    octets = 0
    for report in reports:
        size = len(report.octets) + len(", ")
        if part and (len(part) >= MAX_BATCH or octets + size > _MAX_BATCH_OCTETS):
            yield part
            part, octets = [], 0
        part.append(report)
        octets += size
    if part:
        yield part
