"""Operators are subjects of their own: what is counted for them, and under which name."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from mailward.rules.logins import LoginFormat, Naming, operator_name
from mailward.rules.model import Attempt, Login, SubjectKind
from mailward.rules.policy import Policy
from mailward.rules.subjects import SubjectError, subject_from_text

ADDRESS = ip_address("203.0.113.9")


def counted(attempt: Attempt, policy: Policy) -> list[str]:
    return [subject.key for subject in policy.subjects(attempt)]


def test_one_name_is_two_subjects_for_mail_and_for_managing() -> None:
    mail = Attempt(ADDRESS, Login("admin"), "imap")
    managing = Attempt(ADDRESS, Login("admin"), "manage", kind=SubjectKind.OPERATOR)
    assert counted(mail, Policy()) == ["address:203.0.113.9", "login:admin"]
    assert counted(managing, Policy()) == ["address:203.0.113.9", "operator:admin"]


def test_an_attempt_without_a_name_counts_for_the_address_alone() -> None:
    nobody = Attempt(ADDRESS, None, "manage", kind=SubjectKind.OPERATOR)
    assert nobody.named is None
    assert counted(nobody, Policy()) == ["address:203.0.113.9"]


def test_without_a_limit_for_names_no_operator_is_counted() -> None:
    managing = Attempt(ADDRESS, Login("admin"), "manage", kind=SubjectKind.OPERATOR)
    assert counted(managing, Policy(login_limit=None)) == ["address:203.0.113.9"]


@pytest.mark.parametrize(
    "raw", [b"Admin", b" ADMIN ", "ad\u200bmin".encode(), "\uff41dmin".encode()]
)
def test_every_spelling_of_an_operator_is_one(raw: bytes) -> None:
    assert operator_name(raw) == "admin"


def test_no_setting_for_logins_changes_an_operator() -> None:
    naming = Naming("example.org", LoginFormat.LOCAL_PART, {}, "*")
    text = "operator:ops*root@example.net"
    assert subject_from_text(text, Policy(naming=naming)).name == "ops*root@example.net"
    assert operator_name(b"ops*root@example.net") == "ops*root@example.net"


def test_a_name_that_is_unfit_to_show_is_a_digest_and_an_empty_one_is_none() -> None:
    assert str(operator_name(b"\xff")).startswith("SHA256:")
    assert str(operator_name(b"a\nb")).startswith("SHA256:")
    assert operator_name(b" ") is None
    with pytest.raises(SubjectError, match="no name of an operator"):
        subject_from_text("operator:", Policy())
