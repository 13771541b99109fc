"""Login names: every spelling of one account is one subject, and no name can hurt who reads it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, unique
from functools import lru_cache
from hashlib import sha256
from types import MappingProxyType

import idna

from mailward.rules.model import Login

MAX_NAME_OCTETS = 255
DIGEST_PREFIX = "SHA256:"
"""Upper case on purpose: a normalised name is case-folded, so none can look like a digest."""

# Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties: invisible, so each would make a
# new name that looks like the old one. The standard library does not know the property.
_IGNORABLE_RANGES = (
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5),
    (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
_IGNORABLE = {point: None for first, last in _IGNORABLE_RANGES for point in range(first, last + 1)}


@unique
class LoginFormat(Enum):
    """Which part of a name tells accounts apart."""

    FULL = "full"
    LOCAL_PART = "local-part"


@dataclass(frozen=True, slots=True)
class Naming:
    """How the name a client gives becomes the login that is counted, in this order.

    It is folded; what stands behind *master_separator* counts; *translation* (pairs: from, to)
    maps characters; what begins at *detail_separator* goes, the domain stays; then the domain.
    """

    default_domain: str = ""
    login_format: LoginFormat = LoginFormat.FULL
    domain_aliases: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    master_separator: str = ""
    translation: str = ""
    detail_separator: str = ""

    def login(self, raw: bytes) -> Login | None:
        """The login of a name from the wire, or ``None`` for an empty one (that is malformed).

        Names that are invalid UTF-8, longer than :data:`MAX_NAME_OCTETS` or hold control
        characters become a digest: counted like any other, never stored or shown.

        >>> Naming(default_domain="example.org").login(b" JDoe")
        'jdoe@example.org'
        >>> Naming(master_separator="*").login(b"victim*master")
        'master'
        >>> Naming(translation="%@", detail_separator="+").login(b"jdoe+work%example.org")
        'jdoe@example.org'
        """
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            return _digest(raw)
        return self._login(text)

    def mailbox(self, raw: bytes, authorization: bytes = b"") -> Login | None:
        """The login whose mail is open behind a login that succeeded.

        That is its *authorization* identity, where there is one; with a master separator what
        stands before it; else the login itself.

        >>> Naming(master_separator="*").mailbox(b"Victim*master"), Naming().mailbox(b"a", b"B")
        ('victim', 'b')
        """
        if not authorization and not self.master_separator:
            return self.login(raw)
        plain = replace(self, master_separator="")
        if authorization:
            return plain.login(authorization)
        name = fold_text(raw.decode("utf-8", "replace"))
        victim, _, master = name.partition(self.master_separator)
        return plain.login(victim.encode()) if master.strip() else self.login(raw)

    def names(self, raw: bytes, authorization: bytes = b"") -> frozenset[Login]:
        """The login itself and :meth:`mailbox`: what its session is found by."""
        both = self.login(raw), self.mailbox(raw, authorization)
        return frozenset(name for name in both if name is not None)

    def login_from_text(self, text: str) -> Login | None:
        """The same for what an operator wrote, who may also name a digest as it is shown."""
        return Login(text) if _is_digest(text) else self._login(text)

    def _login(self, text: str) -> Login | None:
        name = fold_text(text)
        if self.master_separator:
            name = self._master(name)
        if self.translation:
            # What was put together anew may fold once more ("=" and a stroke over it are a sign).
            name = fold_text(name.translate(_translation(self.translation)))
        if self.detail_separator:
            name = self._without_detail(name)
        if not name:
            return None
        name = self._with_domain(name)
        octets = name.encode("utf-8", "surrogatepass")
        # Nearly every name is printable, and then none of its characters is a control.
        has_control = not name.isprintable() and any(map(_is_control, name))
        if len(octets) > MAX_NAME_OCTETS or has_control:
            return _digest(octets)
        return Login(name)

    def _master(self, name: str) -> str:
        """The name behind the separators: that of the account whose password is checked.

        A domain alone names no account, so "victim*" stays what it is with any default domain.
        """
        while True:
            master = name.partition(self.master_separator)[2].strip()
            if not master or master.startswith("@"):
                return name
            name = master

    def _without_detail(self, name: str) -> str:
        """Every spelling of jdoe+detail@domain is jdoe@domain, wherever the details stand."""
        while True:
            account, separator, rest = name.partition(self.detail_separator)
            account = account.strip()
            if not separator or not account:
                return name
            _, at, domain = rest.partition("@")
            name = f"{account}{at}{domain}".strip()

    def _with_domain(self, name: str) -> str:
        if self.login_format is LoginFormat.LOCAL_PART:
            # Servers that ignore the domain cut at the first "@": "jdoe@a@b" is jdoe's account too.
            return name.partition("@")[0].strip() or name
        local, at, domain = name.rpartition("@")
        if not at:
            local, domain = name, self.default_domain
        if not local or not domain:
            return name
        domain = domain_a_labels(domain)
        return f"{local}@{self.domain_aliases.get(domain, domain)}"


@lru_cache(maxsize=8)
def _translation(pairs: str) -> Mapping[int, str]:
    return {ord(before): after for before, after in zip(pairs[::2], pairs[1::2], strict=True)}


def operator_name(raw: bytes) -> Login | None:
    """The name of an operator, who is no mail account: no setting for logins changes it.

    >>> operator_name(b"Admin"), operator_name(b"admin@example.net")
    ('admin', 'admin@example.net')
    """
    return _PLAIN.login(raw)


def operator_name_from_text(text: str) -> Login | None:
    """The same for what was written to name an operator."""
    return _PLAIN.login_from_text(text)


_PLAIN = Naming()


def fold_text(text: str) -> str:
    """NFKC, casefold, NFKC again, without ignorable code points, trimmed; repeated to a fixpoint.

    >>> fold_text(" J\\u200bDOE ")
    'jdoe'
    """
    if text.isascii():  # nothing to compose and nothing to ignore: this is the fixpoint
        return text.lower().strip()
    while True:
        folded = unicodedata.normalize("NFKC", text).casefold()
        folded = unicodedata.normalize("NFKC", folded).translate(_IGNORABLE).strip()
        if folded == text:
            return folded
        text = folded


def domain_a_labels(domain: str) -> str:
    """The domain as it stands in DNS (RFC 5890 A-labels); one that has no such form stays.

    >>> domain_a_labels("bücher.example")
    'xn--bcher-kva.example'
    """
    domain = domain.casefold()
    # What is too long for DNS (RFC 1035 section 2.3.4) has no such form, and finding that out
    # would take a time that grows with the square of its length.
    if domain.isascii() or len(domain) > 253 or any(len(part) > 63 for part in domain.split(".")):  # noqa: PLR2004 -- see above
        return domain
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        return domain


def _digest(octets: bytes) -> Login:
    return Login(DIGEST_PREFIX + sha256(octets).hexdigest())


def _is_digest(text: str) -> bool:
    return re.fullmatch(DIGEST_PREFIX + "[0-9a-f]{64}", text) is not None


def _is_control(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}
