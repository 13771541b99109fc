"""Where a session of a line protocol stands."""

from __future__ import annotations

from enum import Enum, auto, unique


@unique
class State(Enum):
    ARRIVING = auto()
    """Accepted; where TLS begins with the connection it is beginning."""
    SECURING = auto()
    """TLS begins after STARTTLS."""
    TALKING = auto()
    """The machine speaks with the client."""
    ASKING = auto()
    """The guard and then the backend are asked."""
    RELAYING = auto()
    """The client is logged in."""
    CLOSED = auto()
    """There is no client any more; an attempt under way is still settled."""
