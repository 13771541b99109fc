"""Tells a sender who of several recipients did not get a message (RFC 3461 section 6, RFC 3464)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from mailward.backends.embedded.delivery.envelope import Refused
from mailward.rules.model import Instant

MAX_HEADER_OCTETS = 32_768


def report(
    to: str, hostname: str, failed: Mapping[str, Refused], octets: bytes, now: Instant
) -> bytes:
    """The message that says so; the header of the other one is part of it."""
    told = EmailMessage(SMTP)
    told["From"] = f"Mail Delivery System <postmaster@{hostname}>"
    told["To"] = to
    told["Subject"] = "Some did not get your message"
    told["Date"] = format_datetime(datetime.fromtimestamp(now, UTC))
    told["Auto-Submitted"] = "auto-replied"
    lines = [f"{address}: {why.why}" for address, why in failed.items()]
    told.set_content(
        "Your message was delivered, but not to these:\n\n"
        + "\n".join(lines)
        + "\n\nNobody tries again. Its header is below.\n"
    )
    told.make_mixed()
    told.attach(_status(hostname, failed))
    header = octets[:MAX_HEADER_OCTETS].partition(b"\r\n\r\n")[0]
    told.add_attachment(header.decode("utf-8", "replace"), subtype="rfc822-headers")
    told.set_type("multipart/report")
    told.set_param("report-type", "delivery-status")
    return told.as_bytes()


def _status(hostname: str, failed: Mapping[str, Refused]) -> EmailMessage:
    fields = [f"Reporting-MTA: dns; {hostname}"]
    for address, refused in failed.items():
        kind = "utf-8" if not address.isascii() else "rfc822"
        # What is not tried again has failed, however the first refusal was meant.
        status = f"5{refused.status[1:]}"
        fields.append(
            f"\nFinal-Recipient: {kind}; {address}\nAction: failed\nStatus: {status}\n"
            f"Diagnostic-Code: smtp; {refused.code} {' '.join(refused.why.split())}"
        )
    part = EmailMessage(SMTP)
    part.set_content("\n".join(fields) + "\n", subtype="delivery-status", cte="8bit")
    part.set_type("message/delivery-status")
    return part
