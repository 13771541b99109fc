"""A mail server over the network, whatever it is there for: is it there, and what can it do?"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address

from mailward.backends.ourselves import Ourselves
from mailward.backends.port import Client
from mailward.backends.reach import Reach
from mailward.settings.configuration import Upstream
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


class MailServer(ABC):
    """One configured mail server, and what is known of it: looked at again and again.

    *offer* is what it could do in an earlier run; *remember* is called with each new one.
    """

    def __init__(
        self, settings: Upstream, offer: Sequence[str], remember: Callable[[Sequence[str]], None]
    ) -> None:
        self.settings = settings
        self._offer = tuple(offer)
        self._remember = remember
        self._state = "not asked yet"
        self._fault = ""
        self.doubt = ""
        """What an operator should look at though it works, as the last probe has found."""
        self._is_mute = False
        """It is there, but says of no login whether it is right: a probe cannot see that."""
        self._reach = Reach(settings)
        self._look_now = asyncio.Event()
        self.probe_again_seconds = PROBE_AGAIN_SECONDS
        """Between two probes while it is well."""
        self.news = asyncio.Event()
        """Set whenever the state has changed; several servers may share one."""

    @property
    def offer(self) -> Sequence[str]:
        return self._offer

    @property
    def state(self) -> str:
        return self._state

    def read_trust(self) -> None:
        """Read anew who may vouch for the mail server; without that it is not asked."""
        self._reach.read_trust()
        self._look_now.set()

    def look_soon(self) -> None:
        """What it can do may have changed."""
        self._look_now.set()

    def beware_of(self, ourselves: Ourselves) -> None:
        """Take no connection that arrives at *ourselves* for one to the mail server."""
        self._reach.ourselves = ourselves

    async def look(self) -> None:
        """Ask once what it can do; the state says what came of it."""
        await self._probe()

    async def keep_probing(self) -> None:
        while True:
            self._look_now.clear()
            known = await self._probe()
            try:
                async with asyncio.timeout(
                    self.probe_again_seconds if known else PROBE_SOON_SECONDS
                ):
                    await self._look_now.wait()
                # An error was seen: look again, but not with every attempt of a flood.
                await asyncio.sleep(PROBE_SOON_SECONDS)
            except TimeoutError:
                self._is_mute = False  # for a while no login has shown it, or it was gone since

    def _is_well(self, capabilities: Sequence[str], fault: str = "", doubt: str = "") -> None:
        """It has answered a probe with what it can do; *fault* keeps everybody out there."""
        self._fault, self.doubt = fault, doubt
        if not self._is_mute:
            self._turn(fault or "ok")
        if tuple(capabilities) != self._offer:
            self._offer = tuple(capabilities)
            self._remember(self._offer)

    def _has_judged(self) -> None:
        """It has said whether a login is right."""
        self._is_mute = False
        self._turn(self._fault or "ok")

    def _is_unwell(self, why: str, *, is_mute: bool = False) -> None:
        """It did not do what it is there for: look soon whether it is back.

        *is_mute*: it was reached and asked about a login, so that only a login can show it well.
        """
        self._is_mute = self._is_mute or is_mute
        self._turn(why)
        self._look_now.set()

    def _turn(self, state: str) -> None:
        if state != self._state:
            self._state = state
            self.news.set()

    @abstractmethod
    async def _probe(self) -> bool:
        """Ask what it can do, and tell the state; whether it has answered."""
