"""How commands fail: NO with a response code (RFC 5530, RFC 9051 section 7.1)."""

from __future__ import annotations

from mailward_mailbox.mail.model import (
    BrokenError,
    MailboxExistsError,
    MailError,
    NoRoomError,
    NoSuchMailboxError,
    OverQuotaError,
)


class NoError(Exception):
    """A command fails: the session answers ``NO [code] text``; both in ASCII."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def no_error(error: MailError) -> NoError:
    """What a client is told of *error*."""
    match error:
        case OverQuotaError():
            return NoError("OVERQUOTA", "The account has no room left: delete some mail")
        case NoRoomError():
            return NoError("OVERQUOTA", "There is no room on the server's disk")
        case BrokenError():
            return NoError("UNAVAILABLE", "The mail cannot be read or written now")
        case NoSuchMailboxError():
            return NoError("NONEXISTENT", "There is no such mailbox")
        case MailboxExistsError():
            return NoError("ALREADYEXISTS", "There is such a mailbox already")
        case _:
            return NoError("CANNOT", str(error).encode("ascii", "replace").decode())
