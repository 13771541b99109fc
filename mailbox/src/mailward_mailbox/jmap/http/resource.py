"""The session resource (RFC 8620 section 2): what there is here, and where."""

from __future__ import annotations

import json
from hashlib import sha256

from mailward_mailbox.accounts.file import Account
from mailward_mailbox.jmap.limits import (
    ACCOUNT_CAPABILITIES,
    CAPABILITIES,
    CORE,
    MAIL,
    SUBMISSION,
)

SESSION_PATH = "/jmap/session"
API_PATH = "/jmap/api/"
UPLOAD_PATH = "/jmap/upload/"
DOWNLOAD_PATH = "/jmap/download/"
EVENTS_PATH = "/jmap/events/"


def session(account: Account, origin: str) -> dict[str, object]:
    """The resource. *origin* is the scheme and the host by which the client finds the server."""
    events = f"{EVENTS_PATH}?types={{types}}&closeafter={{closeafter}}&ping={{ping}}"
    return {
        **_timeless(account),
        "apiUrl": origin + API_PATH,
        "downloadUrl": f"{origin}{DOWNLOAD_PATH}{{accountId}}/{{blobId}}/{{name}}?accept={{type}}",
        "uploadUrl": f"{origin}{UPLOAD_PATH}{{accountId}}/",
        "eventSourceUrl": origin + events,
        "state": session_state(account),
    }


def session_state(account: Account) -> str:
    """Changes when anything in the resource does, but for what a client calls us."""
    return sha256(json.dumps(_timeless(account), sort_keys=True).encode()).hexdigest()[:16]


def _timeless(account: Account) -> dict[str, object]:
    return {
        "capabilities": CAPABILITIES,
        "accounts": {
            account.id: {
                "name": account.name,
                "isPersonal": True,
                "isReadOnly": False,
                "accountCapabilities": ACCOUNT_CAPABILITIES,
            }
        },
        "primaryAccounts": dict.fromkeys((CORE, MAIL, SUBMISSION), account.id),
        "username": account.name,
    }
