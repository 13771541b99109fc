"""Which accounts' files cannot be read or written now, for the log and for ``status``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from mailward_mailbox.instant import Instant
from mailward_mailbox.mail.model import BrokenError, DamagedError, NoRoomError, OverQuotaError

MAX_LINES = 20
MAX_LOGGED = 1_000
LOG_AGAIN_SECONDS = 600.0
"""A full disk takes a small change now and then: not each turn of it is worth two lines."""

_log = logging.getLogger("mailbox.mail")


class MailFaults:
    """The faults at present; each is logged when it begins. *name_of* names an account."""

    def __init__(self, name_of: Callable[[str], str], clock: Callable[[], Instant]) -> None:
        self._name_of = name_of
        self._clock = clock
        self._faults: dict[str, NoRoomError | BrokenError] = {}
        self._logged: dict[tuple[str, str], Instant] = {}

    def opened(self, account: str, error: BaseException | None) -> None:
        """The account's file was opened, or failed to."""
        if error is None:
            self._end(account)
        else:
            self.used(account, error)

    def used(self, account: str, error: BaseException | None) -> None:
        """Something in the account's open file was done, or failed."""
        if error is None:
            if not self.is_lasting(account):
                self._end(account)
        elif isinstance(error, NoRoomError | BrokenError) and not isinstance(error, OverQuotaError):
            if str(error) != str(self._faults.get(account)):
                self._log(account, error)
            self._faults[account] = error

    def is_lasting(self, account: str) -> bool:
        """Whether the file itself is at fault, until it is opened well."""
        return isinstance(self._faults.get(account), DamagedError)

    def lines(self) -> Sequence[str]:
        """One line for each account, with its name; of many the first."""
        found = [f"the mail of {self._name_of(one)}: {e}" for one, e in self._faults.items()]
        more = len(found) - MAX_LINES
        return found if more <= 0 else [*found[:MAX_LINES], f"and the mail of {more} more accounts"]

    def _log(self, account: str, error: NoRoomError | BrokenError) -> None:
        now, what = self._clock(), (account, str(error))
        last = self._logged.pop(what, None)
        is_due = last is None or now - last >= LOG_AGAIN_SECONDS
        if is_due:
            _log.error("the mail of %s: %s", self._name_of(account), error)
        self._logged[what] = now if is_due or last is None else last
        while len(self._logged) > MAX_LOGGED:
            del self._logged[next(iter(self._logged))]

    def _end(self, account: str) -> None:
        was_lasting = self.is_lasting(account)
        self._faults.pop(account, None)
        if was_lasting:
            _log.warning("the mail of %s can be used again", self._name_of(account))
