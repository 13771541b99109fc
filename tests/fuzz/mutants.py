"""Octets that look like those of a corpus, and are not."""

from __future__ import annotations

import re

from hypothesis import strategies as st

_WORDS = re.compile(rb"\r\n|[A-Za-z0-9+/=-]+|.", re.DOTALL)
_LONG = st.sampled_from([b"a", b" ", b"{", b"\r\n", b"(", b'"', b"=", b"[", b"\x00"]).flatmap(
    lambda piece: st.sampled_from([2, 100, 5_000]).map(lambda times: piece * times)
)


def mutants(inputs: list[bytes]) -> st.SearchStrategy[bytes]:
    """Inputs with pieces cut out, put in from others, and made long."""
    words = sorted({word for octets in inputs for word in _WORDS.findall(octets)})
    insert = st.sampled_from(words) | st.binary(max_size=4) | _LONG
    change = st.tuples(st.integers(0, 400), st.integers(0, 12), insert)
    return st.builds(
        changed, st.lists(st.sampled_from(inputs), max_size=2), st.lists(change, max_size=6)
    )


def changed(inputs: list[bytes], changes: list[tuple[int, int, bytes]]) -> bytes:
    """*inputs* in a row, after *changes*: where, how much goes, and what comes instead."""
    octets = b"".join(inputs)
    for at, gone, come in changes:
        place = at % (len(octets) + 1)
        octets = octets[:place] + come + octets[place + gone :]
    return octets
