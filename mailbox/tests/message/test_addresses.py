"""Addresses as IMAP tells them in an ENVELOPE, and as JMAP does."""

from __future__ import annotations

import pytest
from mailward_mailbox.message.addresses import (
    EmailAddress,
    EmailAddressGroup,
    EnvelopeAddress,
    envelope_addresses,
    read_addresses,
    read_groups,
)

Told = tuple[bytes | None, bytes | None, bytes | None, bytes | None]
END: Told = (None, None, None, None)

ENVELOPES: dict[bytes, list[Told]] = {
    b"a@b": [(None, None, b"a", b"b")],
    b' "A. B" <a@x>, c@d': [(b"A. B", None, b"a", b"x"), (None, None, b"c", b"d")],
    b"undisclosed-recipients:;": [(None, None, b"undisclosed-recipients", None), END],
    b"G: a@b,\r\n <c@d>;, e@f": [
        *((None, None, b"G", None), (None, None, b"a", b"b"), (None, None, b"c", b"d")),
        *(END, (None, None, b"e", b"f")),
    ],
    b"G: a@b": [(None, None, b"G", None), (None, None, b"a", b"b"), END],
    b"x@y (Full (nested) Name)": [(b"Full (nested) Name", None, b"x", b"y")],
    b"Mary (c) Smith <m@s>": [(b"Mary Smith", None, b"m", b"s")],
    b"<@r1,@r2:joe@h>": [(None, b"@r1,@r2", b"joe", b"h")],
    b'=?utf-8?q?a?= =?utf-8?q?b?= <"q r"@[1.2.3.4]>': [
        (b"=?utf-8?q?a?= =?utf-8?q?b?=", None, b"q r", b"[1.2.3.4]"),
    ],
    b'"C\\"x" <c@d>': [(b'C"x', None, b"c", b"d")],
    b"gr\xfc\xdfe \xa0 <a@b>": [(b"gr\xfc\xdfe \xa0", None, b"a", b"b")],
    b"root": [(None, None, b"root", b"")],
    b"Cron <root>": [(b"Cron", None, b"root", b"")],
    b"": [],
    b" ,,; ": [],
    b"Pete(A \\) chap) <pete(his account)@silly.test(his host)>": [
        (b"Pete", None, b"pete", b"silly.test"),
    ],
}


@pytest.mark.parametrize("raw", ENVELOPES)
def test_an_envelope_tells_addresses_as_they_are_written(raw: bytes) -> None:
    assert envelope_addresses(raw) == [EnvelopeAddress(*one) for one in ENVELOPES[raw]]


def test_jmap_tells_names_decoded() -> None:
    assert read_addresses('=?utf-8?q?gr=C3=BC?= =?utf-8?q?n?= <"q r"@x>, "A (b" <c@d>') == [
        EmailAddress("grün", '"q r"@x'),
        EmailAddress("A (b", "c@d"),
    ]


def test_jmap_tells_groups() -> None:
    assert read_groups("a@b, G: c@d;, nobody:;") == [
        EmailAddressGroup(None, [EmailAddress(None, "a@b")]),
        EmailAddressGroup("G", [EmailAddress(None, "c@d")]),
        EmailAddressGroup("nobody"),
    ]
