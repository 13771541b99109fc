"""How SEARCH compares text: without regard to case, in one form of composed characters."""

from __future__ import annotations

import unicodedata


def fold(text: str) -> str:
    """*text* as it is compared.

    >>> fold("Gru\\u0308\\u1e9ee") == fold("GRÜSSE")
    True
    """
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", text.casefold())
