"""What goes wrong between a proxy and a door: said in a sentence, at most once a minute."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from mailward.edges.caller import Caller, Standing
from mailward.rules.model import Address, Instant
from mailward.wire.door import Closing, DoorEvent, Misnamed
from mailward.wire.linedoor import PROXY_HEADER

REPORT_SECONDS = 60.0  # at most one line for a listener and a cause in so long

_TRUSTED = "server.proxy.trusted-networks"
_log = logging.getLogger("mailward.listener")


@dataclass(slots=True)
class _Said:
    at: Instant
    sentence: str
    unsaid: int = 0


@dataclass(slots=True)
class Complaints:
    """Keeps a flood of the same trouble at one listener from becoming a flood of lines."""

    _said: dict[tuple[str, str], _Said] = field(default_factory=dict)

    def look_at(self, event: DoorEvent, listener: str, caller: Caller, now: Instant) -> None:
        """Complain of *caller*'s proxy if *event* of his door shows that something is wrong."""
        if isinstance(event, Misnamed):
            self.unreadable_client(listener, caller.peer, now)
        is_header = isinstance(event, Closing) and event.why == PROXY_HEADER
        # Where headers are expected the first one is gone already.
        if is_header and caller.standing is Standing.DIRECT:
            self.unexpected_header(listener, caller.peer, now)

    def untrusted_peer(self, listener: str, peer: Address, now: Instant) -> None:
        """*peer* connects where only proxies may, and is none that is trusted."""
        self._say(
            listener,
            "untrusted",
            f"{peer} may not connect, as only trusted proxies may: if it is your proxy, add"
            f" {_TRUSTED}.{peer}; if it is a client, set"
            f" server.listener.{listener}.proxy-protocol = false",
            now,
        )

    def unreadable_header(self, listener: str, peer: Address, why: str, now: Instant) -> None:
        """*peer*, which is trusted, sends no PROXY header, or none that can be read."""
        self._say(
            listener,
            "unreadable",
            f"{peer} is trusted, but has sent no PROXY header that can be read ({why}): let it"
            f" send them, or set server.listener.{listener}.proxy-protocol = false",
            now,
        )

    def unexpected_header(self, listener: str, peer: Address, now: Instant) -> None:
        """*peer* sends a PROXY header where none is expected."""
        self._say(
            listener,
            "unexpected",
            f"{peer} has sent a PROXY header, which is not expected here: if it is your proxy, add"
            f" {_TRUSTED}.{peer} and set server.listener.{listener}.proxy-protocol = true",
            now,
        )

    def unreadable_client(self, listener: str, peer: Address, now: Instant) -> None:
        """*peer*, which is trusted, names its client in a way that cannot be read."""
        self._say(
            listener,
            "misnamed",
            f"{peer} is trusted, but what it has sent as x-originating-ip is no address: look at"
            " what makes it; its clients are counted as if they were not told of",
            now,
        )

    def unreadable_field(self, listener: str, peer: Address, header: str, now: Instant) -> None:
        """*peer*, which is trusted, names the client of a request in a way that cannot be read."""
        self._say(
            listener,
            "garbled",
            f"{peer} is trusted, but what it has sent as {header} is no address, so the request was"
            " refused: let it write that header anew instead of adding to what clients send",
            now,
        )

    def report(self, now: Instant) -> None:
        """Say how often there was more of the same, where the last line is a minute old."""
        self._say_more(now, now - REPORT_SECONDS)

    def flush(self, now: Instant) -> None:
        """Say it before its time: the daemon stops."""
        self._say_more(now, now)

    def _say_more(self, now: Instant, said_by: float) -> None:
        for (listener, _), said in self._said.items():
            if said.unsaid and said.at <= said_by:
                _log.warning(
                    "listener %s: %s (%d more like it)", listener, said.sentence, said.unsaid
                )
                said.at, said.unsaid = now, 0

    def _say(self, listener: str, cause: str, sentence: str, now: Instant) -> None:
        said = self._said.get((listener, cause))
        if said is not None and now - said.at < REPORT_SECONDS:
            said.unsaid += 1
            return
        before = f" ({said.unsaid} more before this one)" if said and said.unsaid else ""
        self._said[listener, cause] = _Said(now, sentence)
        _log.warning("listener %s: %s%s", listener, sentence, before)
