"""What is printed for somebody to type: pasted into a shell it means what it says."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailward.app.cli.grammar import make_parser
from mailward.rules.logins import Naming
from mailward.rules.model import Subject, SubjectKind
from mailward.rules.policy import Policy
from mailward.rules.subjects import subject_from_text
from tests.admin.house import House
from tests.app.cli.typing_in import Shell

POLICY = Policy()
NAMES = st.one_of(
    st.text(min_size=1, max_size=30),
    st.text("e\u0301 '\"$`\\;#-&|", min_size=1, max_size=12),
    st.sampled_from(
        ["--all", "-h", "-", "10.1.1.1", "a b", "$(reboot)", "it's", "*", "a/b", "12345", "de"]
    ),
)
_COMMAND = re.compile(r"mailward ((?:why|lift|ban|bans) .*)")
_A_NAME = st.one_of(NAMES, st.from_regex(r"[0-9./:*-]{1,12}", fullmatch=True))


def commands(lines: Iterable[str]) -> Iterator[list[str]]:
    """The words of every command that is printed in *lines*."""
    for line in lines:
        if found := _COMMAND.search(line):
            yield shlex.split(found[1])


def typed(words: list[str]) -> list[str]:
    """The subjects that a command reads in *words*."""
    options = make_parser().parse_args(words)
    if words[0] == "bans":
        return [options.address]
    return [options.subject] if words[0] == "why" else list(options.subjects)


@given(NAMES)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_command_that_is_printed_survives_being_pasted(
    house: House, shell: Shell, name: str
) -> None:
    login = Naming().login(name.encode())
    if login is None:
        return
    subject = Subject(SubjectKind.LOGIN, login)
    shell("lift", "--all")
    while house.fail("192.0.2.1", name):  # an allowed address: only the login is counted
        pass
    for words, head in ((["bans", "--reason", "authentication"], "SUBJECT"), (["top"], "LOGIN")):
        lines = shell(*words).lines
        row = next(number for number, line in enumerate(lines) if line.startswith(head)) + 1
        (word, *_) = shlex.split(lines[row])
        assert subject_from_text(word, POLICY) == subject
    printed = shell("why", word)
    (lift,) = commands(printed.lines)
    assert [subject_from_text(word, POLICY) for word in typed(lift)] == [subject]
    printed = shell(*lift)
    assert printed.status == 0
    assert printed.out.startswith(f"Login {word} is free: its ban is lifted")
    assert not house.covers(subject)
    (again,) = commands(shell("why", word).lines)
    assert [subject_from_text(word, POLICY) for word in typed(again)] == [subject]


@given(_A_NAME)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@pytest.mark.usefixtures("house")
def test_what_an_error_says_to_write_can_be_pasted(shell: Shell, text: str) -> None:
    options = ["--"] if text.startswith("-") else []
    printed = shell("ban", "--note", "x", *options, text)
    told = printed.err.strip().partition("; if a login is meant, write ")[2]
    if told:
        (word,) = shlex.split(told)
        login = Naming().login_from_text(text)
        assert login is not None
        assert subject_from_text(word, POLICY) == Subject(SubjectKind.LOGIN, login)


@pytest.mark.parametrize("name", ["--all", "ada b", "10.1.1.1", "e" + "\u0301" * 40])
def test_a_login_that_looks_like_an_option_is_lifted_alone(
    house: House, shell: Shell, name: str
) -> None:
    while house.fail("203.0.113.9", "bob"):
        pass
    for number in range(3):
        house.fail(f"203.0.113.{20 + number}", name)
    (row,) = [ban for ban in shell.told("bans") if ban["name"] == Naming().login(name.encode())]
    (words,) = commands(shell("why", row["subject"]).lines)
    assert shell(*words).status == 0
    left = {ban["subject"] for ban in shell.told("bans")}
    assert row["subject"] not in left
    assert "203.0.113.9" in left
