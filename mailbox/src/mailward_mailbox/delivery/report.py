"""Tells a sender who of several recipients did not get a message (RFC 3462, RFC 3464)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime

from mailward.wire.lines import CRLF
from mailward_mailbox.delivery.envelope import Refused
from mailward_mailbox.instant import Instant

MAX_HEADER_OCTETS = 32_768

_PART = """\
--{boundary}
Content-Type: {kind}; charset=utf-8
Content-Transfer-Encoding: 8bit

{text}
"""
_REPORT = """\
From: Mail Delivery System <postmaster@{hostname}>
To: {to}
Subject: Some did not get your message
Date: {date}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="{boundary}"

{parts}--{boundary}--
"""
_WORDS = """\
Your message was delivered, but not to these:

{lines}

Nobody tries again. Its header is below.
"""


def report(
    to: str, hostname: str, failed: Mapping[str, Refused], octets: bytes, now: Instant
) -> bytes:
    """The message that says so; the header of the other one is part of it."""
    boundary = secrets.token_hex(16)  # nobody could have written it into what follows
    lines = "\n".join(f"{address}: {_one_line(why.why)}" for address, why in failed.items())
    header = octets[:MAX_HEADER_OCTETS].partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
    parts = [
        ("text/plain", _WORDS.format(lines=lines)),
        ("message/delivery-status", _status(hostname, failed)),
        ("text/rfc822-headers", header),
    ]
    told = _REPORT.format(
        hostname=hostname,
        to=to,
        date=format_datetime(datetime.fromtimestamp(now, UTC)),
        boundary=boundary,
        parts="".join(
            _PART.format(boundary=boundary, kind=kind, text=text) for kind, text in parts
        ),
    )
    return told.replace("\r\n", "\n").encode().replace(b"\n", CRLF)


def _status(hostname: str, failed: Mapping[str, Refused]) -> str:
    groups = [f"Reporting-MTA: dns; {hostname}\n"]
    for address, refused in failed.items():
        kind = "rfc822" if address.isascii() else "utf-8"
        # What is not tried again has failed, however the first refusal was meant.
        status = f"5{refused.status[1:]}"
        groups.append(
            f"Final-Recipient: {kind}; {address}\nAction: failed\nStatus: {status}\n"
            f"Diagnostic-Code: smtp; {refused.code} {_one_line(refused.why)}\n"
        )
    return "\n".join(groups)


def _one_line(text: str) -> str:
    return " ".join(text.split())
