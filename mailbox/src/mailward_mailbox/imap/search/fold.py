"""How SEARCH compares text: without regard to case, in one form of composed characters."""

from __future__ import annotations

import re
import unicodedata

# Composed in one go: a run of combining marks takes time that grows with the square of its length.
# A cut is before an ASCII character where there is one near: that is composed with none before it.
_COMPOSED_TOGETHER = re.compile(r"[\s\S]{1,200}[^\x00-\x7f]{0,56}")


def fold(text: str) -> str:
    """*text* as it is compared.

    >>> fold("Gru\\u0308\\u1e9ee") == fold("GRÜSSE")
    True
    """
    if text.isascii():
        return text.lower()
    pieces: list[str] = _COMPOSED_TOGETHER.findall(text.casefold())
    return "".join([unicodedata.normalize("NFC", piece) for piece in pieces])
