"""SCRAM-SHA-256, the server's side (RFC 5802 section 3, RFC 7677)."""

from __future__ import annotations

import hmac
import secrets
import stringprep
import unicodedata
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from hashlib import pbkdf2_hmac, sha256, shake_256

from mailward.wire.door import ScramOpening, ScramProof
from mailward.wire.encoding import from_sasl_name
from mailward.wire.secret import Secret

MIN_ITERATIONS = 4_096
"""RFC 7677 section 4."""
MAX_ITERATIONS = 65_536
"""Clients that use Cyrus SASL refuse more, and some of them then hang until they time out."""
ITERATIONS = MAX_ITERATIONS
SALT_OCTETS = 16
NONCE_OCTETS = 18


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What is kept to check proofs: nobody can log in with it, but guess on it at home."""

    salt: bytes
    iterations: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    @property
    def is_outdated(self) -> bool:
        """Whether they are to be made anew: too few rounds, or more than some clients take."""
        return not MIN_ITERATIONS <= self.iterations <= MAX_ITERATIONS


def scram_keys(
    password: Secret, salt: bytes | None = None, iterations: int = ITERATIONS
) -> ScramKeys:
    """The keys for *password*. One that RFC 4013 cannot spell is taken as it is."""
    prepared = sasl_prepared(password.reveal()) or password.reveal()
    salt = secrets.token_bytes(SALT_OCTETS) if salt is None else salt
    salted = pbkdf2_hmac("sha256", prepared, salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    return ScramKeys(salt, iterations, sha256(client_key).digest(), server_key)


def stranger_keys(
    secret: bytes, name: str, iterations: int = ITERATIONS, salt_octets: int = SALT_OCTETS
) -> ScramKeys:
    """Keys for a *name* without an account: the same salt each time, and no proof fits."""
    begin = hmac.digest(secret, f"salt {name}".encode(), "sha256")
    salt = (begin + shake_256(begin).digest(salt_octets))[:salt_octets]
    return ScramKeys(salt, iterations, secrets.token_bytes(32), secrets.token_bytes(32))


class ScramServer:
    """One exchange, begun by *opening*, with somebody who should know what *keys* are made of."""

    def __init__(self, opening: ScramOpening, keys: ScramKeys) -> None:
        self._keys = keys
        header, _, name = opening.text.partition(b",n=")
        self._bare = b"n=" + name
        self.authorization = from_sasl_name(header.partition(b",a=")[2]) or b""
        """Who the client wants to act for; empty: for itself."""
        nonce = opening.nonce + b64encode(secrets.token_bytes(NONCE_OCTETS))
        salt = b64encode(keys.salt)
        self.challenge = b"r=%b,s=%b,i=%d" % (nonce, salt, keys.iterations)

    def signature(self, proof: ScramProof) -> bytes | None:
        """Our own proof, ``v=...``, where the client's is right; else ``None``."""
        without_proof, _, encoded = proof.text.reveal().rpartition(b",p=")
        message = b",".join((self._bare, self.challenge, without_proof))
        signed = hmac.digest(self._keys.stored_key, message, "sha256")
        client_key = bytes(a ^ b for a, b in zip(b64decode(encoded), signed, strict=True))
        if not hmac.compare_digest(sha256(client_key).digest(), self._keys.stored_key):
            return None
        return b"v=" + b64encode(hmac.digest(self._keys.server_key, message, "sha256"))


def sasl_prepared(password: bytes) -> bytes | None:
    """A password as RFC 4013 spells it; ``None`` where it forbids one.

    >>> sasl_prepared("I\\u00adX".encode()), sasl_prepared("\\u2168".encode())
    (b'IX', b'IX')
    >>> sasl_prepared(b"\\x07"), sasl_prepared("\\u0627\\u0031".encode())
    (None, None)
    """
    try:
        text = password.decode()
    except UnicodeDecodeError:
        return None
    if text.isascii():
        return password if text.isprintable() and text else None
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char
        for char in text
        if not stringprep.in_table_b1(char)
    )
    prepared = unicodedata.normalize("NFKC", mapped)
    return prepared.encode() if _is_allowed(prepared) else None


_FORBIDDEN = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


def _is_allowed(text: str) -> bool:
    """RFC 4013 sections 2.3 to 2.5; right to left: RFC 3454 section 6."""
    if not text or any(table(char) for char in text for table in _FORBIDDEN):
        return False
    if not any(map(stringprep.in_table_d1, text)):
        return True
    ends = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
    return ends and not any(map(stringprep.in_table_d2, text))
