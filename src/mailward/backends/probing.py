"""Looks again and again what a mail server can do, and whether it is there at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address

from mailward.backends.port import Client
from mailward.wire.proxyline import TlsFacts

PROBE_AGAIN_SECONDS = 600.0
PROBE_SOON_SECONDS = 5.0  # while the backend is down: a user waits

# RFC 5737: an address nobody has, so no real client is ever charged for a probe. The probe says it
# comes with TLS, as most sessions do, or a stock Dovecot would hide its mechanisms.
PROBER = Client(
    source=(IPv4Address("192.0.2.1"), 1),
    destination=(IPv4Address("192.0.2.1"), 1),
    tls=TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384"),
    name=b"probe.invalid",
)


class Probing:
    """Calls *probe*, which says whether it has found anything."""

    def __init__(self, probe: Callable[[], Awaitable[bool]]) -> None:
        self._probe = probe
        self._now = asyncio.Event()

    def look_soon(self) -> None:
        """Something has changed, or gone wrong."""
        self._now.set()

    async def go_on(self) -> None:
        """Probe until cancelled."""
        while True:
            self._now.clear()
            known = await self._probe()
            try:
                async with asyncio.timeout(PROBE_AGAIN_SECONDS if known else PROBE_SOON_SECONDS):
                    await self._now.wait()
                # An error was seen: look again, but not with every attempt of a flood.
                await asyncio.sleep(PROBE_SOON_SECONDS)
            except TimeoutError:
                pass
