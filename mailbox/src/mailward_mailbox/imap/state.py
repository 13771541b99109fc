"""What one IMAP session's commands share: the mail, the selected mailbox, the way to the client."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mailward_mailbox.imap.errors import NoError
from mailward_mailbox.imap.output import Output
from mailward_mailbox.imap.reading import MessageReader
from mailward_mailbox.imap.utf7 import to_utf7
from mailward_mailbox.imap.view import Enabled, MailboxView
from mailward_mailbox.imap.words import BadCommandError, ImapWords
from mailward_mailbox.mail.account import AccountMail
from mailward_mailbox.mail.model import Mailbox, NoSuchMailboxError

_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]{1,100}\Z')
_TO_ESCAPE = re.compile(rb'(["\\])')


@dataclass(slots=True)
class SessionState:
    """*tag* is that of the command under way; without a *view* no mailbox is selected."""

    mail: AccountMail
    output: Output
    messages: MessageReader
    enabled: Enabled = field(default_factory=Enabled)
    view: MailboxView | None = None
    tag: bytes = b"*"

    @property
    def selected(self) -> MailboxView:
        """Raises:
        BadCommandError: no mailbox is selected.
        """
        if self.view is None:
            raise BadCommandError("No mailbox is selected")
        return self.view

    @property
    def writable(self) -> MailboxView:
        """Raises:
        BadCommandError: no mailbox is selected.
        NoError: it was opened by EXAMINE.
        """
        view = self.selected
        if view.is_read_only:
            raise NoError("READ-ONLY", "The mailbox is open for reading only")
        return view

    def mailbox_name(self, words: ImapWords) -> str:
        """A blank and the name of a mailbox."""
        words.space()
        return words.mailbox(is_utf8=self.enabled.is_utf8)

    def destination(self, name: str) -> Mailbox:
        """Raises:
        NoError: there is none of that name; the client may create it.
        """
        try:
            return self.mail.mailbox(name)
        except NoSuchMailboxError:
            raise NoError("TRYCREATE", "There is no such mailbox") from None

    def written(self, name: str) -> bytes:
        """A mailbox name as this client reads it."""
        octets = name.encode("utf-8", "replace") if self.enabled.is_utf8 else to_utf7(name)
        if _ATOM.match(octets) and octets.upper() != b"NIL":
            return octets
        return quoted_string(octets)


def quoted_string(octets: bytes) -> bytes:
    """*octets*, which hold no line end, as a quoted string."""
    return b'"%b"' % _TO_ESCAPE.sub(rb"\\\1", octets)
