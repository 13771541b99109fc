"""Passwords as Dovecot keeps them: read once, and checked until their owner says them again.

Every scheme here is one of ``doveadm pw``; those that nobody should have any more are here, too,
since whoever has one is to be rid of it by logging in.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from hashlib import md5, pbkdf2_hmac, sha1, sha256, sha512
from typing import Any

from mailward.wire.secret import Secret
from mailward_mailbox.accounts.scram import ScramKeys, scram_keys

MAX_ROUNDS = 2_000_000
"""What takes longer than a second or two to check is no use, and harms everybody else."""
MAX_BCRYPT_COST = 14
MAX_ARGON2_KIB = 1_048_576
BCRYPT_OCTETS = 72  # of the password: crypt(3) never looked at more
PLAIN = "PLAIN"
SCRAM = "SCRAM-SHA-256"

_PREFIX = re.compile(r"\{([A-Za-z0-9-]+)(?:\.([A-Za-z0-9]+))?\}")
_SAME = {"CLEARTEXT": PLAIN, "CLEAR": PLAIN, "SHA1": "SHA", "LDAP-MD5": "MD5", "PLAIN-MD5": "MD5"}
_CRYPT_KINDS = {
    "$1$": "MD5-CRYPT",
    "$5$": "SHA256-CRYPT",
    "$6$": "SHA512-CRYPT",
    "$2": "BLF-CRYPT",
    "$argon2": "ARGON2ID",
}
_SHA_CRYPT = re.compile(
    r"\$(?:5\$(?:rounds=([0-9]{1,9})\$)?[./A-Za-z0-9]{0,16}\$[./A-Za-z0-9]{43}"
    r"|6\$(?:rounds=([0-9]{1,9})\$)?[./A-Za-z0-9]{0,16}\$[./A-Za-z0-9]{86})"
)
_BCRYPT = re.compile(r"\$2[abxy]\$([0-9]{2})\$[./A-Za-z0-9]{53}")
_PBKDF2 = re.compile(r"\$1\$([^$]{1,64})\$([0-9]{1,7})\$([0-9a-f]{40})")
_ARGON2 = re.compile(r"\$argon2(?:id|i|d)\$v=19\$m=([0-9]{1,7}),t=([0-9]{1,2}),p=[0-9]{1,2}\$.+")
_MD5_CRYPT = re.compile(r"\$1\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}")
_DIGESTS: dict[str, tuple[Callable[..., Any], int]] = {
    "MD5": (md5, 16),
    "SMD5": (md5, 16),
    "SHA": (sha1, 20),
    "SSHA": (sha1, 20),
    "SHA256": (sha256, 32),
    "SSHA256": (sha256, 32),
    "SHA512": (sha512, 64),
    "SSHA512": (sha512, 64),
}


class SchemeError(ValueError):
    """A password that cannot be imported; the message says why, and holds nothing of it."""


def read_scheme(text: str) -> tuple[str, str]:
    """The scheme of a password field, in its one spelling, and what follows it.

    Without braces it is what crypt(3) knows, as it is for Dovecot.

    >>> read_scheme("{plain}pw"), read_scheme("$1$salt$" + 22 * "x")[0]
    (('PLAIN', 'pw'), 'MD5-CRYPT')

    Raises:
        SchemeError: nobody knows it here, or it is not written as its scheme says.
    """
    found = _PREFIX.match(text)
    scheme = "CRYPT" if found is None else found[1].upper()
    rest = text if found is None else text[found.end() :]
    if found is not None and found[2]:
        rest = _decoded(scheme, found[2].upper(), rest)
    scheme = _SAME.get(scheme, scheme)
    if scheme == "CRYPT" or scheme.startswith("ARGON2"):
        scheme = next(
            (kind for start, kind in _CRYPT_KINDS.items() if rest.startswith(start)), scheme
        )
    if not _is_written_so(scheme, rest):
        raise SchemeError(
            f"a password of scheme {scheme} cannot be read; known are: {', '.join(KNOWN)}"
        )
    return scheme, rest


def read_scram(rest: str) -> ScramKeys | None:
    """What ``{SCRAM-SHA-256}`` holds; ``None`` where it is not written so."""
    iterations, *encoded = rest.split(",")
    if len(encoded) != 3 or not iterations.isdecimal():  # noqa: PLR2004 -- salt and two keys
        return None
    parts = [_octets(part) for part in encoded]
    salt, stored_key, server_key = parts
    if not salt or len(stored_key) != 32 or len(server_key) != 32:  # noqa: PLR2004 -- of SHA-256
        return None
    return ScramKeys(salt, int(iterations), stored_key, server_key)


def is_own(hashed: str) -> bool:
    """Whether it is argon2, as all that is made here, and no imported scheme in braces."""
    return hashed.startswith("$")


def scheme_of(hashed: str) -> str:
    return "ARGON2ID" if is_own(hashed) else hashed[1:].partition("}")[0]


def parameters_of(hashed: str) -> str:
    """What the work of a check depends on: the scheme and its costs, without salt and digest.

    >>> parameters_of("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA"), parameters_of("{SHA}aGFzaA")
    ('$argon2id$v=19$m=19456,t=2,p=1', 'SHA')
    """
    if is_own(hashed):
        return hashed.rsplit("$", 2)[0]
    scheme, _, rest = hashed[1:].partition("}")
    cost: str | None = None
    match scheme:
        case "SHA256-CRYPT" | "SHA512-CRYPT" if found := _SHA_CRYPT.fullmatch(rest):
            cost = found[1] or found[2]
        case "BLF-CRYPT" if found := _BCRYPT.fullmatch(rest):
            cost = found[1]
        case "PBKDF2" if found := _PBKDF2.fullmatch(rest):
            cost = found[2]
        case "SCRAM-SHA-256":
            cost = rest.partition(",")[0]
        case _:  # the work is always the same
            pass
    return f"{scheme} {cost}" if cost else scheme


def matches_imported(hashed: str, password: Secret) -> bool:
    """Whether *hashed*, with its scheme in braces, is made of *password*."""
    scheme, _, rest = hashed[1:].partition("}")
    try:
        return _matches(scheme, rest, password)
    except ValueError:  # a password that its scheme cannot take, with a NUL for one
        return False


def _matches(scheme: str, rest: str, password: Secret) -> bool:
    octets = password.reveal()
    match scheme:
        case "SHA256-CRYPT" | "SHA512-CRYPT" | "MD5-CRYPT":
            return _matches_crypt(rest, octets)
        case "BLF-CRYPT":
            import bcrypt  # noqa: PLC0415 -- only who imported such a password needs it

            return bcrypt.checkpw(octets[:BCRYPT_OCTETS], rest.encode())
        case "PBKDF2":
            found = _PBKDF2.fullmatch(rest)
            if found is None:
                return False
            made = pbkdf2_hmac("sha1", octets, found[1].encode(), int(found[2]))
            return hmac.compare_digest(made.hex(), found[3])
        case "SCRAM-SHA-256":
            keys = read_scram(rest)
            made_keys = keys and scram_keys(password, keys.salt, keys.iterations)
            return (
                made_keys is not None
                and keys is not None
                and hmac.compare_digest(made_keys.stored_key, keys.stored_key)
            )
        case _:
            digest, length = _DIGESTS[scheme]
            whole = _digest_octets(rest, length)
            made = digest(octets + whole[length:]).digest()
            return hmac.compare_digest(made, whole[:length])


def _matches_crypt(hashed: str, password: bytes) -> bool:
    from passlib.hash import md5_crypt, sha256_crypt, sha512_crypt  # noqa: PLC0415 -- as above

    kinds = {"$1$": md5_crypt, "$5$": sha256_crypt, "$6$": sha512_crypt}
    return bool(kinds[hashed[:3]].verify(password, hashed))


def _is_written_so(scheme: str, rest: str) -> bool:
    written = _WRITTEN.get(scheme)
    if written is not None:
        return bool(written(rest))
    if scheme not in _DIGESTS:
        return False
    length, has_salt = _DIGESTS[scheme][1], scheme.startswith(("SS", "SM"))
    whole = _digest_octets(rest, length)
    return len(whole) > length if has_salt else len(whole) == length


def _is_sha_crypt(rest: str) -> bool:
    found = _SHA_CRYPT.fullmatch(rest)
    return found is not None and int(found[1] or found[2] or 0) <= MAX_ROUNDS


def _is_bcrypt(rest: str) -> bool:
    found = _BCRYPT.fullmatch(rest)
    return found is not None and int(found[1]) <= MAX_BCRYPT_COST


def _is_argon2(rest: str) -> bool:
    found = _ARGON2.fullmatch(rest)
    return found is not None and int(found[1]) <= MAX_ARGON2_KIB


def _is_pbkdf2(rest: str) -> bool:
    found = _PBKDF2.fullmatch(rest)
    return found is not None and int(found[2]) <= MAX_ROUNDS


def _is_scram(rest: str) -> bool:
    keys = read_scram(rest)
    return keys is not None and 0 < keys.iterations <= MAX_ROUNDS


_WRITTEN: Mapping[str, Callable[[str], object]] = {
    PLAIN: lambda _: True,
    "SHA256-CRYPT": _is_sha_crypt,
    "SHA512-CRYPT": _is_sha_crypt,
    "MD5-CRYPT": _MD5_CRYPT.fullmatch,
    "BLF-CRYPT": _is_bcrypt,
    "ARGON2ID": _is_argon2,
    "PBKDF2": _is_pbkdf2,
    SCRAM: _is_scram,
}
KNOWN = (
    PLAIN,
    *("ARGON2ID", "ARGON2I", "SHA512-CRYPT", "SHA256-CRYPT", "BLF-CRYPT", "MD5-CRYPT"),
    *("PBKDF2", SCRAM, *_DIGESTS),
)


def _digest_octets(rest: str, length: int) -> bytes:
    """Dovecot writes some in hexadecimal and some in base64, and reads both."""
    if len(rest) == 2 * length:
        try:
            return bytes.fromhex(rest)
        except ValueError:
            pass
    return _octets(rest)


def _octets(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (Base64Error, ValueError):
        return b""


def _decoded(scheme: str, encoding: str, rest: str) -> str:
    """What a scheme with an encoding of its own (``{SSHA512.HEX}``) holds."""
    if encoding == "HEX" and scheme in _DIGESTS | _SAME:
        try:
            return b64encode(bytes.fromhex(rest)).decode()
        except ValueError:
            return ""
    if encoding in {"B64", "BASE64"}:
        if scheme in _DIGESTS:
            return rest
        return _octets(rest).decode("utf-8", "replace")
    raise SchemeError(f"nobody knows the encoding {encoding} here")
