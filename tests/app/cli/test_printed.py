"""The man page and the completion scripts: all of the grammar, and nothing else."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailward.app.cli.grammar import make_parser
from mailward.app.cli.printed.manual import manual
from mailward.app.cli.printed.shape import Command, Option, Takes, shape_of
from tests.app.cli.typing_in import Shell

PROGRAM = shape_of(make_parser())
DAY = datetime(2026, 1, 31, tzinfo=UTC)


def bash_offers(script: str, words: Sequence[str], folder: Path) -> list[str]:
    """What bash would offer for the last of *words* (cut as bash cuts them)."""
    # Outside of a completion under way there are no options of one to set.
    ask = 'compopt() { :; }; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mailward'
    printed = subprocess.run(
        ["bash", "-c", f"{script}\n{ask}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"", "bash", *words],  # noqa: S607 -- the bash of whoever completes
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    )
    assert printed.stderr == ""
    return printed.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("mailward ser", ["serve", "server"]),
        ("mailward server rel", ["reload-config", "reload-certificates"]),
        ("mailward --data ban server rel", ["reload-config", "reload-certificates"]),
        ("mailward --data = ban server rel", ["reload-config", "reload-certificates"]),
        ("mailward serve --ch", ["--check"]),
        ("mailward --ch", []),
        ("mailward lift --rea", ["--reason"]),
        ("mailward lift --reason m", ["manual"]),
        ("mailward lift --reason =", ["authentication", "manual"]),
        ("mailward lift --reason = m", ["manual"]),
        ("mailward report f", ["failure"]),
        ("mailward completion z", ["zsh"]),
        ("mailward ban --note s", []),
        ("mailward ban s", []),
        ("mailward --config s", ["settings.toml", "settings.d"]),
        ("mailward --data s", ["settings.d"]),
    ],
)
def test_bash_completes(line: str, offered: list[str], shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "settings.toml").touch()
    (tmp_path / "settings.d").mkdir()
    script = shell("completion", "bash").out
    assert sorted(bash_offers(script, line.split(" "), tmp_path)) == sorted(offered)


def test_after_a_blank_bash_offers_every_command(shell: Shell, tmp_path: Path) -> None:
    script = shell("completion", "bash").out
    offered = bash_offers(script, ["mailward", ""], tmp_path)
    assert offered == [command.words[0] for command in PROGRAM.below]


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_every_script_knows_every_word_and_option(name: str, shell: Shell) -> None:
    script = shell("completion", name).out
    for command in PROGRAM.all():
        assert all(word in script for word in command.words)
        for option in command.options:
            for spelled in option.names:
                found = {
                    "bash": spelled,
                    "zsh": f"'{spelled}:",
                    "fish": f"-l {spelled[2:]} " if spelled[1] == "-" else f"-s {spelled[1:]} ",
                }[name]
                assert found in script


def test_a_script_is_for_a_shell_that_is_known(shell: Shell) -> None:
    assert shell("completion", "csh").status == 2


def test_an_option_takes_the_same_everywhere() -> None:
    """The scripts rely on it to tell values from commands."""
    takes: dict[str, tuple[Takes, tuple[str, ...]]] = {}
    for command in PROGRAM.all():
        for option in command.options:
            for name in option.names:
                assert takes.setdefault(name, (option.takes, option.choices)) == (
                    option.takes,
                    option.choices,
                )


def page(program: Command = PROGRAM) -> str:
    return manual(program, "Guards.", DAY)


@pytest.mark.parametrize("command", [*PROGRAM.all()], ids=lambda command: " ".join(command.words))
def test_every_command_and_option_is_in_the_manual(command: Command) -> None:
    text = page().replace("\\-", "-")
    if not command.below:
        assert f'.SS "{" ".join(command.words)}' in text
    for option in command.options:
        for name in option.names:
            assert f"\\fB{name}\\fR" in text


def test_the_manual_has_the_sections_that_every_manual_has() -> None:
    sections = [line for line in page().splitlines() if line.startswith(".SH ")]
    wanted = (
        "NAME SYNOPSIS DESCRIPTION OPTIONS COMMANDS FILES ENVIRONMENT SIGNALS EXIT_STATUS EXAMPLES"
        " SEE_ALSO"
    )
    assert sections == [f'.SH "{title.replace("_", " ")}"' for title in wanted.split()]
    assert page().startswith('.TH MAILWARD 1 "2026-01-31" "mailward ')


def test_no_text_is_taken_for_a_macro_or_an_escape() -> None:
    told = 'C:\\new .sh "x" it\'s ~ -n ' + ".dot 'quote " * 12
    option = Option(("--odd",), Takes.NOTHING, "", (), is_required=False, help=told)
    below = Command(("odd",), "does it", (), (), ())
    text = page(Command((), "", (option,), (), (below,)))
    assert "C:\\enew .sh \\(dqx\\(dq it\\(aqs \\(ti \\-n" in text
    after = text[text.index("C:") :]
    lines = after[: after.index(".SH")].splitlines()
    assert len(lines) > 2
    assert not any(line.startswith((".", "'")) for line in lines)
