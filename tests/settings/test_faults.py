"""Faults: how they are printed, and what they never print."""

from __future__ import annotations

from mailward.settings.errors import STORED, Fault, SettingsError


def test_what_is_unknown_is_left_out() -> None:
    assert str(Fault("f", 3, "k", "is wrong")) == "f:3: k: is wrong"
    assert str(Fault("f", None, None, "is wrong")) == "f: is wrong"
    assert str(Fault(None, None, "k", "is wrong")) == "k: is wrong"
    assert str(Fault(STORED, None, "k", "is wrong")) == "(stored): k: is wrong"


def test_a_fault_is_one_line_whatever_the_key_holds() -> None:
    assert str(Fault("f", 1, "a\nb\x1b[2J", "no\r")) == "f:1: a\\nb\\x1b[2J: no\\r"


def test_an_endless_value_is_cut_off() -> None:
    assert len(str(Fault("f", 1, "k" * 100_000, "x" * 100_000))) < 1_000


def test_a_secret_that_became_part_of_its_key_is_not_shown() -> None:
    assert "argon" not in str(Fault("f", 1, "management.admin.secret.$argon2id", "is wrong"))


def test_a_login_with_the_word_in_it_is_shown() -> None:
    key = "server.security.blocked-logins.top.secret.agent"
    assert key in str(Fault("f", 1, key, "is wrong"))


def test_the_error_lists_every_fault() -> None:
    error = SettingsError([Fault("f", 1, "a", "x"), Fault("f", 2, "b", "y")])
    assert str(error) == "f:1: a: x\nf:2: b: y"
