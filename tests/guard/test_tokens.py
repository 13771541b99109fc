"""What the guard remembers of tokens, and for how long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailward.guard.tokens import DIGEST_OCTETS, Tokens
from mailward.rules.model import Login

ADA, GRACE = Login("ada"), Login("grace")


def test_a_token_is_known_for_its_login_alone() -> None:
    tokens = Tokens(b"key")
    tokens.accepted(ADA, b"token")
    assert tokens.was_accepted(ADA, b"token")
    assert not tokens.was_accepted(GRACE, b"token")
    assert not tokens.was_accepted(None, b"token")
    assert not tokens.was_accepted(ADA, b"other")


@given(
    one=st.tuples(st.none() | st.text(max_size=4), st.binary(max_size=4)),
    other=st.tuples(st.none() | st.text(max_size=4), st.binary(max_size=4)),
)
def test_no_name_and_token_can_be_read_as_another_pair(
    one: tuple[str | None, bytes], other: tuple[str | None, bytes]
) -> None:
    tokens = Tokens(b"key")
    tokens.accepted(None if one[0] is None else Login(one[0]), one[1])
    # Nobody is called nothing: without a name and with an empty one is the same.
    same = (one[0] or "", one[1]) == (other[0] or "", other[1])
    assert tokens.was_accepted(None if other[0] is None else Login(other[0]), other[1]) is same


def test_when_it_is_full_what_was_used_longest_ago_goes() -> None:
    tokens = Tokens(b"key", at_most=3)
    for token in (b"1", b"2", b"3", b"1", b"4"):
        tokens.accepted(ADA, token)
    assert len(tokens) == 3
    assert [token for token in (b"1", b"2", b"3", b"4") if tokens.was_accepted(ADA, token)] == [
        b"1",
        b"3",
        b"4",
    ]


def test_only_digests_under_the_key_are_kept() -> None:
    kept = []
    for key in (b"one key", b"another"):
        tokens = Tokens(key)
        tokens.accepted(ADA, b"a-secret-token")
        assert b"a-secret-token" not in repr(vars(tokens)).encode()
        kept += list(vars(tokens)["_accepted"])
    assert len(set(kept)) == 2
    assert all(len(digest) == DIGEST_OCTETS for digest in kept)
