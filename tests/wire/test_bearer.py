"""Bearer messages: what is carried, and that nobody can be made to read another one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailward.wire.bearer import bearer_message, read_bearer
from mailward.wire.door import MAX_TOKEN_OCTETS, BearerMechanism, BearerToken
from mailward.wire.secret import Secret

EVERY = pytest.mark.parametrize("mechanism", BearerMechanism)
NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=40
).map(str.encode)
TOKENS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1).map(str.encode)


@EVERY
@given(name=NAMES, token=TOKENS)
def test_what_is_written_is_read_as_it_was_meant(
    mechanism: BearerMechanism, name: bytes, token: bytes
) -> None:
    read = read_bearer(mechanism, bearer_message(BearerToken(mechanism, name, Secret(token))))
    assert isinstance(read, BearerToken)
    assert (read.login, read.token.reveal()) == (name, token)


@given(token=TOKENS)
def test_oauthbearer_may_leave_the_name_to_the_token(token: bytes) -> None:
    meant = BearerToken(BearerMechanism.OAUTHBEARER, b"", Secret(token))
    read = read_bearer(meant.mechanism, bearer_message(meant))
    assert isinstance(read, BearerToken)
    assert read.login == b""


@EVERY
@given(
    message=st.lists(
        st.sampled_from([b"\1", b"\1", b"auth=", b"Bearer ", b"user=", b"n,", b"a=", b"joe", b","])
        | st.binary(max_size=4),
        max_size=14,
    ).map(b"".join)
)
def test_junk_is_refused_or_means_what_we_write_of_it(
    mechanism: BearerMechanism, message: bytes
) -> None:
    read = read_bearer(mechanism, message)
    if isinstance(read, BearerToken):
        again = read_bearer(mechanism, bearer_message(read))
        assert isinstance(again, BearerToken)
        assert (again.login, again.token.reveal()) == (read.login, read.token.reveal())


@EVERY
def test_a_token_is_taken_up_to_its_cap(mechanism: BearerMechanism) -> None:
    for octets, is_taken in ((MAX_TOKEN_OCTETS, True), (MAX_TOKEN_OCTETS + 1, False)):
        message = bearer_message(BearerToken(mechanism, b"joe", Secret(b"t" * octets)))
        assert isinstance(read_bearer(mechanism, message), BearerToken) is is_taken


def test_what_the_client_believes_of_the_connection_stays_at_the_door() -> None:
    message = b"y,a=joe,\1host=mail.example\1port=143\1auth=BEARER  t\1x=\1\1"
    read = read_bearer(BearerMechanism.OAUTHBEARER, message)
    assert isinstance(read, BearerToken)
    assert bearer_message(read) == b"n,a=joe,\1auth=Bearer t\1\1"
