"""TLS at the doors: which certificate a client is shown, and what was agreed with it."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

from mailward.wire.proxyline import TlsFacts

_log = logging.getLogger("mailward.session")


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """A certificate ready for use. *names* are the host names in it, in lower case.

    Made anew for each keyring: its *context* shows other certificates of that keyring by name.
    """

    context: ssl.SSLContext
    names: frozenset[str]

    def is_for(self, host: str) -> bool:
        """Whether *host* is one of its names; ``*`` stands for one label (RFC 9525 section 6.3)."""
        host = host.lower()
        _, _, parent = host.partition(".")
        return host in self.names or f"*.{parent}" in self.names


class Keyring:
    """The certificates of all doors, by their configured ids; swapped as a whole."""

    def __init__(self) -> None:
        self._certificates: Mapping[str, ServerCertificate] = {}
        self._contexts: dict[str, ssl.SSLContext] = {}
        """Those of earlier certificates, too: who came to their door may still begin with one."""

    def swap(self, certificates: Mapping[str, ServerCertificate]) -> None:
        """Use *certificates* for every handshake from now on."""
        for name, certificate in certificates.items():
            certificate.context.sni_callback = self._choose
            self._contexts[name] = certificate.context
        self._certificates = certificates

    def context(self, certificate: str) -> ssl.SSLContext:
        """What a listener whose certificate has the id *certificate* begins a handshake with.

        Raises:
            KeyError: there never was such a certificate.
        """
        return self._contexts[certificate]

    def _choose(self, handshake: ssl.SSLObject, host: str | None, _: ssl.SSLContext) -> None:
        """Show the certificate that has the name the client asked for, if there is one."""
        if host is None:
            return
        for certificate in self._certificates.values():
            if certificate.is_for(host):
                handshake.context = certificate.context
                return


async def begin_tls(
    transport: asyncio.Transport,
    protocol: asyncio.Protocol,
    context: ssl.SSLContext,
    seconds: float,
) -> asyncio.Transport | None:
    """Begin TLS on an accepted connection; ``None`` where the client does not, or goes away."""
    try:
        secured = await asyncio.get_running_loop().start_tls(
            transport, protocol, context, server_side=True, ssl_handshake_timeout=seconds
        )
    except OSError as error:  # ssl.SSLError is one; so is a client that went away
        _log.debug("no TLS: %s", error, extra={"about": str(error)})
        return None
    return None if secured is None or secured.is_closing() else secured


def agreed(transport: asyncio.BaseTransport) -> TlsFacts | None:
    """What was agreed on *transport*; ``None`` on one without TLS."""
    connection: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    if connection is None:
        return None
    cipher = connection.cipher()
    return TlsFacts(connection.version() or "", cipher[0] if cipher else "")
