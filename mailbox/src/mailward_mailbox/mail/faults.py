"""Which accounts' files cannot be read or written now, for the log and for ``status``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from mailward_mailbox.mail.model import BrokenError, DamagedError, NoRoomError, OverQuotaError

MAX_LINES = 20

_log = logging.getLogger("mailward.embedded")


class MailFaults:
    """The faults at present; each is logged once, when it begins. *name_of* names an account."""

    def __init__(self, name_of: Callable[[str], str]) -> None:
        self._name_of = name_of
        self._faults: dict[str, NoRoomError | BrokenError] = {}

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
                _log.error("the mail of %s: %s", self._name_of(account), error)
            self._faults[account] = error

    def is_lasting(self, account: str) -> bool:
        """Whether the file itself is at fault, until it is opened well."""
        return isinstance(self._faults.get(account), DamagedError)

    def lines(self) -> Sequence[str]:
        """One line for each account, with its name; of many the first."""
        found = [f"the mail of {self._name_of(one)}: {e}" for one, e in self._faults.items()]
        more = len(found) - MAX_LINES
        return found if more <= 0 else [*found[:MAX_LINES], f"and the mail of {more} more accounts"]

    def _end(self, account: str) -> None:
        if self._faults.pop(account, None) is not None:
            _log.warning("the mail of %s can be used again", self._name_of(account))
