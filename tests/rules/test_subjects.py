from __future__ import annotations

import re
import shlex
from ipaddress import IPv4Address, ip_network
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailward.rules.addresses import network_name
from mailward.rules.logins import Naming
from mailward.rules.marks import has_many_marks
from mailward.rules.model import Login, Network, Subject, SubjectKind
from mailward.rules.policy import Policy
from mailward.rules.subjects import (
    SubjectError,
    spelled,
    subject_from_text,
    subjects_from_text,
)
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
        ("12345", "login:12345@example.org"),
        ("de", "login:de@example.org"),
        ("as64500", "login:as64500@example.org"),
        ("jean-luc", "login:jean-luc@example.org"),
        ("1-2", "login:1-2@example.org"),
        ("203.0.113.0-203.0.113.255", "address:203.0.113.0/24"),
        ("203.0.113.0 - 203.0.113.255", "address:203.0.113.0/24"),
        ("address:2001:DB8::-2001:db8:0:0:ffff:ffff:ffff:ffff", "address:2001:db8::/64"),
        ("login:203.0.113.0-203.0.113.255", "login:203.0.113.0-203.0.113.255@example.org"),
        ("login:--all", "login:--all@example.org"),
        ("encoded:login:a%20%23b", "login:a #b@example.org"),
        ("login:encoded:login:x", "login:encoded:login:x@example.org"),
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
        *("300.1.1.1", "10.0.0.0/33", "10.0.0.0/", "1.2.3", "2001:db8::/129"),
        *("2001:db8:::1", "fe80::1%eth0", "::g", "a/b", "[2001:db8::1]", "203.0.113.9:993"),
        *(
            "203.0.113.9 ",
            " 203.0.113.9",
            "203.0.113.9\u200b",
            "\uff12\uff10\uff13.0.113.9",
            "\t::1",
        ),
        *("203.0.113.*", "*", "10.*", "2001:db8::*", "203.0.113.x", "203.0.113.0-255", "1.2-3.4"),
        *(
            "203.0.113.9,203.0.113.10",
            "10.0.0.1 10.0.0.2",
            "10.0.0.0/8-10.1.0.0/16",
            "203.0.113.9;",
        ),
        *("AS64500", "AS 64500", "ASN64500", "DE", "DE,FR", "DE FR", " CN", "\uff24\uff25"),
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


# -- ranges ----------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_a_range_is_the_fewest_networks_that_hold_its_addresses_and_no_others(
    one: int, other: int
) -> None:
    low, high = IPv4Address(min(one, other)), IPv4Address(max(one, other))
    subjects = subjects_from_text(f"{low}-{high}", Policy())
    networks = [ip_network(subject.name) for subject in subjects]
    assert len(networks) <= 62
    assert sum(network.num_addresses for network in networks) == int(high) - int(low) + 1
    assert networks[0].network_address == low
    assert networks[-1].broadcast_address == high
    for before, after in pairwise(networks):
        assert int(before.broadcast_address) + 1 == int(after.network_address)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("203.0.113.9-203.0.113.1", '"203.0.113.1-203.0.113.9"'),
        ("203.0.113.9-2001:db8::1", "one range for each family"),
        ("2001:db8::1-203.0.113.9", "one range for each family"),
        ("::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", "more than 64 networks"),
        ("2001:db8::1-2001:db8:ffff:ffff:ffff:ffff:ffff:fffe", "more than 64 networks"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "address:"])
def test_a_range_that_is_none_says_why(prefix: str, text: str, word: str) -> None:
    with pytest.raises(SubjectError, match=re.escape(word)):
        subjects_from_text(prefix + text, POLICY)


def test_a_range_inside_a_translator_is_the_ipv4_addresses_it_carries() -> None:
    (subject,) = subjects_from_text("64:ff9b::203.0.113.0-64:ff9b::203.0.113.255", Policy())
    assert subject.key == "address:203.0.113.0/24"
    (subject,) = subjects_from_text("::ffff:203.0.113.0-203.0.113.255", Policy())
    assert subject.key == "address:203.0.113.0/24"


@pytest.mark.parametrize(
    "text", ["x" * 1_001, "login:" + "x" * 1_000, "encoded:login:" + "%41" * 400]
)
def test_a_subject_is_of_bounded_length(text: str) -> None:
    with pytest.raises(SubjectError, match="1,000 characters at most"):
        subjects_from_text(text, POLICY)


def test_where_one_subject_is_asked_for_a_range_of_several_names_them() -> None:
    with pytest.raises(SubjectError, match=re.escape("2 networks: name one of 192.0.2.0/31, ")):
        subject_from_text("192.0.2.0-192.0.2.2", POLICY)


# -- printed and read again ------------------------------------------------------------------------

MARKS = st.text("\u0301\u0308e", min_size=1, max_size=12)
SPOILERS = st.sampled_from(
    ["--all", "-1", "#a", ";a", "a #b", "a ;b", "a  b", "[", "{", "AS1", "10.1", "encoded:x", "1-2"]
)
NAMES = st.one_of(st.text(min_size=1, max_size=20), MARKS, SPOILERS)


@given(NAMES, st.sampled_from([SubjectKind.LOGIN, SubjectKind.OPERATOR]))
def test_a_subject_is_read_again_as_it_is_spelled(raw: str, kind: SubjectKind) -> None:
    login = Naming().login(raw.encode("utf-8", "surrogatepass"))
    if login is None:
        return
    subject = Subject(kind, login)
    text = spelled(subject)
    assert text.isprintable()
    assert not has_many_marks(text)
    assert not text.startswith(("-", "#", ";", "[", "{"))
    assert subject_from_text(text, Policy()) == subject
    assert subject_from_text(shlex.split(shlex.quote(text))[0], Policy()) == subject


@given(st.one_of(NAMES, st.from_regex(r"[0-9:./*A-Z -]{1,12}", fullmatch=True)))
def test_what_is_refused_says_how_to_name_the_login(text: str) -> None:
    try:
        subjects_from_text(text, Policy())
    except SubjectError as error:
        told = str(error).partition("; if a login is meant, write ")[2]
        if told:
            (word,) = shlex.split(told)
            login = Naming().login_from_text(text)
            assert subject_from_text(word, Policy()) == Subject(
                SubjectKind.LOGIN, login or Login("")
            )
