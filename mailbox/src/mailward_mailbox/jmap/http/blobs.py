"""Uploads and downloads (RFC 8620 section 6): of one's own account, and no other."""

from __future__ import annotations

import re
from http import HTTPStatus
from urllib.parse import parse_qs, quote, unquote

from mailward.wire.http.head import RequestHead
from mailward_mailbox.accounts.file import Account
from mailward_mailbox.jmap.contents import find_blob
from mailward_mailbox.jmap.errors import RequestError
from mailward_mailbox.jmap.http.reply import Reply, of_json
from mailward_mailbox.jmap.http.resource import DOWNLOAD_PATH, UPLOAD_PATH
from mailward_mailbox.mail.account import AccountMail

MAX_NAME_CHARS = 255
BLOB_FIELDS = (
    # RFC 8620 section 6.2: what a blob id stands for never changes.
    ("Cache-Control", b"private, immutable, max-age=31536000"),
    # Anybody can send a page by mail: here it can do nothing.
    ("Content-Security-Policy", b"default-src 'none'; sandbox"),
    ("X-Content-Type-Options", b"nosniff"),
)
_MEDIA_TYPE = re.compile(
    r"[!#$&^_.+\-\w]{1,100}/[!#$&^_.+\-\w]{1,100}(?:;[\t -~]{0,200})?", re.ASCII
)
_ANY_TYPE = "application/octet-stream"


async def upload(account: Account, mail: AccountMail, head: RequestHead, octets: bytes) -> Reply:
    """Keep *octets*."""
    _check_account(head.path.removeprefix(UPLOAD_PATH).strip("/"), account)
    given = (head.fields.one("content-type") or b"").decode("latin-1").strip()
    blob = await mail.put_blob(octets)
    return of_json(
        {
            "accountId": account.id,
            "blobId": blob,
            "type": given if _MEDIA_TYPE.fullmatch(given) else _ANY_TYPE,
            "size": len(octets),
        },
        HTTPStatus.CREATED,
    )


async def download(account: Account, mail: AccountMail, target: str) -> Reply:
    """What stands behind a blob id."""
    path, _, query = target.partition("?")
    parts = [unquote(part) for part in path.removeprefix(DOWNLOAD_PATH).split("/", 2)]
    if len(parts) < 3:  # noqa: PLR2004 -- account, blob and name
        raise _not_found()
    _check_account(parts[0], account)
    octets = await find_blob(mail, parts[1])
    if octets is None:
        raise _not_found()
    wanted = (parse_qs(query, max_num_fields=10).get("accept") or [""])[0]
    name = quote(parts[2][:MAX_NAME_CHARS], safe="")
    fields = (
        ("Content-Type", (wanted if _MEDIA_TYPE.fullmatch(wanted) else _ANY_TYPE).encode()),
        ("Content-Disposition", f"attachment; filename*=UTF-8''{name}".encode()),
        *BLOB_FIELDS,
    )
    return Reply(HTTPStatus.OK, octets, fields)


def _check_account(name: str, account: Account) -> None:
    if name != account.id:
        raise _not_found()


def _not_found() -> RequestError:
    return RequestError("about:blank", "there is nothing here", HTTPStatus.NOT_FOUND)
