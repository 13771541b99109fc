"""Which names and passwords an account may have."""

from __future__ import annotations

import re

from mailward.wire.door import MAX_PASSWORD_OCTETS
from mailward.wire.secret import Secret
from mailward_mailbox.accounts.errors import UnfitAccountError
from mailward_mailbox.accounts.naming import MAX_NAME_OCTETS, AccountNaming

# RFC 5321 section 4.1.2's atoms, without what means something to files and to IMAP's patterns.
_NAME = re.compile(r"[a-z0-9!#$&'+=?^_{|}~.-]+(?:@[a-z0-9.-]+)?")


def fit_account_name(text: str, naming: AccountNaming) -> str:
    """The one spelling of a name that an account may have.

    >>> fit_account_name("Alice@Example.ORG", AccountNaming())
    'alice@example.org'

    Raises:
        UnfitAccountError: it may not.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_NAME_OCTETS:
        raise UnfitAccountError(f"a name has {MAX_NAME_OCTETS} octets at most")
    try:
        login = naming.login(text.encode())
    except UnicodeEncodeError:
        login = None
    if login is None:
        raise UnfitAccountError("a name is made of ASCII letters, digits and punctuation")
    if "/" in login or "\\" in login:
        raise UnfitAccountError("a name holds no slash")
    if _NAME.fullmatch(login) is None:
        raise UnfitAccountError(
            "a name is letters, digits and some of !#$&'+=?^_{|}~.- and may end with @ and a domain"
        )
    if any(not part.strip(".") for part in login.split("@")):
        raise UnfitAccountError("a name is more than dots")
    return login


def check_password(password: Secret) -> None:
    """Raises:
    UnfitAccountError: no protocol could carry it.
    """
    octets = password.reveal()
    if not octets:
        raise UnfitAccountError("the password is empty")
    if len(octets) > MAX_PASSWORD_OCTETS:
        raise UnfitAccountError(f"a password has {MAX_PASSWORD_OCTETS} octets at most")
    if set(octets) & set(b"\0\r\n"):
        raise UnfitAccountError("a password is one line")
