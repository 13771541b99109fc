"""SCRAM against an implementation that is not ours, and its grammar against what breaks it."""

from __future__ import annotations

from base64 import b64encode
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

# It has no types of its own.
from scramp import ScramClient, ScramException, ScramMechanism  # type: ignore[import-untyped]

from mailward.wire import door as nouns
from mailward.wire.door import ScramOpening, ScramProof
from mailward.wire.encoding import from_sasl_name, to_sasl_name
from mailward.wire.scram import (
    MAX_ITERATIONS,
    Fault,
    is_error,
    is_signature,
    read_client_final,
    read_client_first,
    server_nonce,
)

EVERY = pytest.mark.parametrize("mechanism", nouns.ScramMechanism)
NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs")), min_size=1, max_size=30
)


def exchange(mechanism: nouns.ScramMechanism, password: str, tried: str) -> tuple[str, ...]:
    """The four messages of a real client and a real server."""
    scram = ScramMechanism(mechanism.value)
    known = scram.make_auth_info(password, iteration_count=4096)
    server = scram.make_server(lambda _: known)
    client = ScramClient([mechanism.value], "ada", tried)
    first = client.get_client_first()
    server.set_client_first(first)
    challenge = server.get_server_first()
    client.set_server_first(challenge)
    final = client.get_client_final()
    with suppress(ScramException):
        server.set_client_final(final)
    return first, challenge, final, server.get_server_final()


@EVERY
def test_the_messages_of_a_real_exchange_are_read_and_left_as_they_are(
    mechanism: nouns.ScramMechanism,
) -> None:
    first, challenge, final, end = (m.encode() for m in exchange(mechanism, "right", "right"))
    opening = read_client_first(mechanism, first)
    assert isinstance(opening, ScramOpening)
    assert (opening.login, opening.text) == (b"ada", first)
    nonce = server_nonce(opening, challenge)
    assert nonce is not None
    proof = read_client_final(opening, nonce, final)
    assert isinstance(proof, ScramProof)
    assert proof.text.reveal() == final
    assert is_signature(mechanism, end)
    assert not is_error(end)


@EVERY
def test_the_error_of_a_real_server_is_one(mechanism: nouns.ScramMechanism) -> None:
    end = exchange(mechanism, "right", "wrong")[-1].encode()
    assert is_error(end)
    assert not is_signature(mechanism, end)


@EVERY
@given(name=NAMES, other=NAMES | st.just(""))
def test_the_name_is_the_one_that_a_server_reads(
    mechanism: nouns.ScramMechanism, name: str, other: str
) -> None:
    authorization = b"a=" + to_sasl_name(other.encode()) if other else b""
    text = b"n,%b,n=%b,r=nonce" % (authorization, to_sasl_name(name.encode()))
    opening = read_client_first(mechanism, text)
    assert isinstance(opening, ScramOpening)
    assert opening.login == name.encode()
    final = b"c=%b,r=nonce1,p=%b" % (
        b64encode(b"n,%b," % authorization),
        b64encode(b"p" * (32 if mechanism is nouns.ScramMechanism.SHA_256 else 20)),
    )
    assert isinstance(read_client_final(opening, b"nonce1", final), ScramProof)


@given(name=NAMES)
def test_a_name_survives_its_spelling(name: str) -> None:
    assert from_sasl_name(to_sasl_name(name.encode())) == name.encode()


@pytest.mark.parametrize(
    ("iterations", "is_taken"), [(1, True), (MAX_ITERATIONS, True), (MAX_ITERATIONS + 1, False)]
)
def test_a_client_is_never_told_to_compute_for_hours(iterations: int, is_taken: bool) -> None:
    opening = read_client_first(nouns.ScramMechanism.SHA_256, b"n,,n=ada,r=abc")
    assert isinstance(opening, ScramOpening)
    challenge = b"r=abcdef,s=YQ==,i=%d" % iterations
    assert (server_nonce(opening, challenge) is not None) is is_taken


PIECES = st.sampled_from(
    [b"n", b"y", b"p=", b",", b",", b"a=", b"n=", b"r=", b"c=", b"p=", b"m=", b"biws", b"=2C", b"x",
     b"ada", b"=", b"\0", b"\xff", b"abc", b"s=YQ==", b"i=1", b"v=", b"e=other-error"]
)  # fmt: skip


@given(text=st.lists(PIECES | st.binary(max_size=3), max_size=20).map(b"".join))
def test_junk_is_a_fault_or_one_name_alone(text: bytes) -> None:
    opening = read_client_first(nouns.ScramMechanism.SHA_1, text)
    if isinstance(opening, Fault):
        return
    header, _, rest = text.partition(b",n=")
    assert header[:1] in {b"n", b"y"}
    assert rest == to_sasl_name(opening.login) + b",r=" + opening.nonce


@given(text=st.lists(PIECES | st.binary(max_size=3), max_size=20).map(b"".join))
def test_a_proof_holds_the_servers_nonce_or_is_none(text: bytes) -> None:
    opening = ScramOpening(nouns.ScramMechanism.SHA_1, b"ada", b"abc", b"n,,n=ada,r=abc")
    proof = read_client_final(opening, b"abcdef", b"c=biws,r=" + text)
    assert isinstance(proof, Fault) or text.startswith(b"abcdef,p=")
