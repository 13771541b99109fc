"""What proxies say, fuzzed. See ``targets``."""

from __future__ import annotations

from mailward.wire.proxyline import proxy_v2_header
from mailward.wire.proxyreader import (
    MAX_HEADER_OCTETS,
    Checked,
    HeaderReader,
    Proxied,
    Unreadable,
)


def proxy_header(octets: bytes) -> None:
    """A proxy says *octets*: a header, or a fault, however they are cut; no more is taken."""
    whole = HeaderReader()
    taken = whole.receive(octets)
    piecewise = HeaderReader()
    for place in range(len(octets)):
        piecewise.receive(octets[place : place + 1])
    assert piecewise.result == whole.result
    match whole.result:
        case Proxied(source, destination, tls):
            again = HeaderReader()
            header = proxy_v2_header(source, destination, tls)
            assert again.receive(header + octets) == len(header)
            assert isinstance(again.result, Proxied)
            assert again.result.tls == tls
        case Checked():
            assert taken <= len(octets)
        case Unreadable(why):
            assert why.isascii()
        case None:
            assert taken == len(octets) < MAX_HEADER_OCTETS
