from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailward.rules.addresses import network_name
from mailward.rules.logins import Naming
from mailward.rules.model import Network, Subject, SubjectKind
from mailward.rules.policy import Policy
from mailward.rules.subjects import SubjectError, subject_from_text
from tests.rules.test_addresses import NETWORKS, V4_NETWORKS

POLICY = Policy(naming=Naming(default_domain="example.org"))
DIGEST = "SHA256:" + "0f" * 32


def key(text: str) -> str:
    return subject_from_text(text, POLICY).key


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("203.0.113.9", "address:203.0.113.9"),
        ("203.0.113.9/32", "address:203.0.113.9"),
        ("203.0.113.9/24", "address:203.0.113.0/24"),
        ("::ffff:203.0.113.9", "address:203.0.113.9"),
        ("2001:db8::/64", "address:2001:db8::/64"),
        ("2001:DB8:0::1", "address:2001:db8::1"),
        ("0.0.0.0/0", "address:0.0.0.0/0"),
        ("address:10.1.2.3/8", "address:10.0.0.0/8"),
        ("jdoe@example.org", "login:jdoe@example.org"),
        ("JDoe", "login:jdoe@example.org"),
        ("login:JDoe", "login:jdoe@example.org"),
        ("login:203.0.113.9", "login:203.0.113.9@example.org"),
        ("login:2001:db8::1", "login:2001:db8::1@example.org"),
        ("login:address:x", "login:address:x@example.org"),
        ("login:12345", "login:12345@example.org"),
        ("192.0.2.1@example.org", "login:192.0.2.1@example.org"),
        ("12345@example.org", "login:12345@example.org"),
        ("a/b@example.org", "login:a/b@example.org"),
        ("login:a/b", "login:a/b@example.org"),
        (DIGEST, f"login:{DIGEST}"),
        (f"login:{DIGEST}", f"login:{DIGEST}"),
        ("operator:admin", "operator:admin"),
    ],
)
def test_a_subject_is_read_as_it_is_meant(text: str, expected: str) -> None:
    assert key(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("300.1.1.1", "10.0.0.0/33", "10.0.0.0/", "1.2.3", "12345", "2001:db8::/129"),
        *("2001:db8:::1", "fe80::1%eth0", "::g", "a/b", "[2001:db8::1]", "203.0.113.9:993"),
        *(
            "203.0.113.9 ",
            " 203.0.113.9",
            "203.0.113.9\u200b",
            "\uff12\uff10\uff13.0.113.9",
            "\t::1",
        ),
    ],
)
def test_a_mistyped_address_never_becomes_a_login(text: str) -> None:
    with pytest.raises(SubjectError, match="login:"):
        subject_from_text(text, POLICY)


@pytest.mark.parametrize("text", ["", " ", "\u200b", "login:", "login: ", "operator:", "address:"])
def test_nobody_is_no_subject(text: str) -> None:
    with pytest.raises(SubjectError):
        subject_from_text(text, POLICY)


@pytest.mark.parametrize("text", ["address:jdoe", "address:300.1.1.1", "address:10.0.0.0/33"])
def test_what_is_said_to_be_an_address_must_be_one(text: str) -> None:
    with pytest.raises(SubjectError, match=text.removeprefix("address:")):
        subject_from_text(text, POLICY)


@given(NETWORKS)
def test_every_network_is_read_from_its_name_and_its_key(network: Network) -> None:
    subject = Subject(SubjectKind.ADDRESS, network_name(network))
    assert subject_from_text(subject.name, POLICY) == subject
    assert subject_from_text(subject.key, POLICY) == subject


@given(V4_NETWORKS)
def test_a_login_in_front_of_an_address_is_a_login(network: Network) -> None:
    subject = subject_from_text(f"login:{network}", Policy())
    assert subject == Subject(SubjectKind.LOGIN, str(network))


@given(st.binary(min_size=1, max_size=20))
def test_a_login_from_the_wire_is_found_again_by_its_key(raw: bytes) -> None:
    login = POLICY.naming.login(raw)
    if login is not None:
        subject = Subject(SubjectKind.LOGIN, login)
        assert subject_from_text(subject.key, POLICY) == subject
