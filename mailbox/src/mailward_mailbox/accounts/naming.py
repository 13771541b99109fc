"""How the name that a client gives becomes the name of an account.

It agrees with the front door's naming on every name that an account may have: all spellings that
are counted as one login are one account. The names of accounts are ASCII, so a spelling that does
not end up as ASCII belongs to none.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

import idna

MAX_NAME_OCTETS = 255
_MAX_DOMAIN_OCTETS, _MAX_LABEL_OCTETS = 253, 63  # RFC 1035 section 2.3.4

# Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties: characters that are not visible.
_IGNORABLE_RANGES = (
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5),
    (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
_IGNORABLE = {point: None for first, last in _IGNORABLE_RANGES for point in range(first, last + 1)}


@dataclass(frozen=True, slots=True)
class AccountNaming:
    """A name is folded; *translation* (pairs: from, to) maps characters; a detail, which begins at
    *detail_separator*, goes; then the domain: *default_domain* where there is none, another name
    for one of *domain_aliases*, none at all if *is_local_part*.
    """

    default_domain: str = ""
    domain_aliases: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    is_local_part: bool = False
    """Whether the local part alone tells accounts apart."""
    translation: str = ""
    detail_separator: str = ""

    def login(self, raw: bytes) -> str | None:
        """The account name that *raw* means, ``None`` if no account can have it.

        >>> AccountNaming(default_domain="example.org").login(b" JDoe")
        'jdoe@example.org'
        >>> AccountNaming(translation="%@", detail_separator="+").login(b"jdoe+work%example.org")
        'jdoe@example.org'
        """
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            return None
        name = fold(text)
        if self.translation:
            name = fold(name.translate(_table(self.translation)))
        if self.detail_separator:
            name = self._without_detail(name)
        name = self._with_domain(name)
        is_fit = name.isascii() and name.isprintable() and 0 < len(name) <= MAX_NAME_OCTETS
        return name if is_fit else None

    def _without_detail(self, name: str) -> str:
        while True:
            account, separator, rest = name.partition(self.detail_separator)
            account = account.strip()
            if not separator or not account:
                return name
            _, at, domain = rest.partition("@")
            name = f"{account}{at}{domain}".strip()

    def _with_domain(self, name: str) -> str:
        if self.is_local_part:
            return name.partition("@")[0].strip() or name
        local, at, domain = name.rpartition("@")
        if not at:
            local, domain = name, self.default_domain
        if not local or not domain:
            return name
        domain = domain_a_labels(domain)
        return f"{local}@{self.domain_aliases.get(domain, domain)}"


def fold(text: str) -> str:
    """NFKC and case folding without characters that are not visible, until nothing changes.

    >>> fold(" J\\u200bDOE ")
    'jdoe'
    """
    while not text.isascii():
        folded = unicodedata.normalize("NFKC", text).casefold()
        folded = unicodedata.normalize("NFKC", folded).translate(_IGNORABLE).strip()
        if folded == text:
            return folded
        text = folded
    return text.lower().strip()


def domain_a_labels(domain: str) -> str:
    """The domain as DNS has it (RFC 5890 A-labels); one without such a form stays as it is.

    >>> domain_a_labels("bücher.example")
    'xn--bcher-kva.example'
    """
    domain = domain.casefold()
    labels = domain.split(".")
    # A longer one has no such form, and the search for it takes a time that grows with the square.
    is_too_long = len(domain) > _MAX_DOMAIN_OCTETS or max(map(len, labels)) > _MAX_LABEL_OCTETS
    if domain.isascii() or is_too_long:
        return domain
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        return domain


@lru_cache(maxsize=8)
def _table(pairs: str) -> Mapping[int, str]:
    return {ord(before): after for before, after in zip(pairs[::2], pairs[1::2], strict=True)}
