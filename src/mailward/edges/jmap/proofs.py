"""Credentials that were proven a moment ago: they need not be tried anew with every request.

A proof holds for one address and one site: for all that a backend may choose the site by, it has
said nothing of another one. Kept as keyed digests: whoever reads this memory learns no password,
and cannot try one on it.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b

from mailward.backends.port import Client
from mailward.rules.model import Address, Instant
from mailward.wire.http.authorization import HttpCredentials

PROOF_SECONDS = 60.0
"""A password that was changed is good for so long yet, and no longer."""
MAX_PROOFS = 100_000
DIGEST_OCTETS = 16


class Proofs:
    """A bounded memory. *key* is as random as the process can make it, and nobody else's.

    With each request a digest is made: BLAKE2 takes a key by itself (RFC 7693), in a third of the
    time of an HMAC.
    """

    def __init__(self, key: bytes, at_most: int = MAX_PROOFS) -> None:
        self._key = key
        self._at_most = at_most
        self._proven: OrderedDict[bytes, Instant] = OrderedDict()

    def digest(self, address: Address, site: bytes, credentials: HttpCredentials) -> bytes:
        """What is remembered of *credentials*: they are proven for one *address* at one *site*."""
        # Numbers are written in a tenth of the time of an address, and hold no blank.
        where = b"%d %d %b" % (address.version, int(address), site)
        return blake2b(
            where + credentials.field(), key=self._key, digest_size=DIGEST_OCTETS
        ).digest()

    def put(self, digest: bytes, now: Instant) -> None:
        """They were right at *now*."""
        self._proven[digest] = now
        self._proven.move_to_end(digest)
        if len(self._proven) > self._at_most:
            self._proven.popitem(last=False)

    def proven_at(self, digest: bytes, now: Instant) -> Instant | None:
        """When they were right, if that is less than a minute before *now*."""
        at = self._proven.get(digest)
        return at if at is not None and now - at < PROOF_SECONDS else None

    def drop(self, digest: bytes) -> bool:
        """They are not right any more; return whether that is news."""
        return self._proven.pop(digest, None) is not None


def site_of(backend: str, host: bytes, client: Client) -> bytes:
    """What a *backend* may choose a site by, in a text that nothing else has.

    By the Host, by where the client has connected, and by whether it did so with TLS: all of these
    may reach it. Neither a backend's name nor a Host holds a blank.
    """
    address, port = client.destination
    place = (address.version, int(address), port, client.tls is not None)
    return b"%b %b %d %d %d %d " % (backend.encode(), host, *place)
