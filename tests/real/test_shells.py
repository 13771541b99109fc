"""Completion as typed at a terminal, and the man page as its readers and critics see it."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.real.daemon import PROGRAM

PATIENCE_SECONDS = 20.0
START = {
    "bash": "bash --norc --noprofile -i",
    "zsh": "zsh -f -i",
    "fish": "fish --no-config -i",
}
PREPARE = {
    "bash": f"source <({PROGRAM} completion bash)",
    # -u, -D: whose files these are is no question here, and no dump is left.
    "zsh": f"autoload -Uz compinit && compinit -u -D && source <({PROGRAM} completion zsh)",
    "fish": f"{PROGRAM} completion fish | source",
}
# How each leaves a completed folder behind a blank.
FOLDER = {"bash": "settings.d/", "zsh": "settings.d"}


class Terminal:
    """A shell at a terminal of its own."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._seen = b""

    def types(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def shows(self, text: str) -> None:
        """Wait until *text* was printed behind what was waited for before."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while text.encode() not in self._seen:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._descriptor], [], [], max(0.0, left))
            assert ready, f"{text!r} is not in {self._seen!r}"
            self._seen += os.read(self._descriptor, 4096)
        self._seen = self._seen.partition(text.encode())[2]


@contextmanager
def shell(name: str, folder: Path) -> Iterator[Terminal]:
    ours, its = pty.openpty()
    with subprocess.Popen(
        START[name].split(),
        stdin=its,
        stdout=its,
        stderr=its,
        cwd=folder,
        start_new_session=True,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "dumb", "LANG": "C.UTF-8"},
    ) as running:
        os.close(its)
        try:
            yield Terminal(ours)
        finally:
            running.kill()
            os.close(ours)


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_the_tabulator_completes_what_is_typed(name: str, tmp_path: Path) -> None:
    (tmp_path / "settings.d").mkdir()
    with shell(name, tmp_path) as terminal:
        terminal.types(f"{PREPARE[name]}; echo pre''pared\n")
        terminal.shows("prepared")
        terminal.types("mailward lift --reason=ma\t--al\talice\x01echo \x05\n")
        terminal.shows("mailward lift --reason=manual --all alice\r\n")
        terminal.types("mailward --data sett\t server reload-ce\t\x01echo \x05\n")
        terminal.shows(f"mailward --data {FOLDER[name]} server reload-certificates")


def test_fish_completes(tmp_path: Path) -> None:
    def offered(line: str) -> list[str]:
        asked = f"{PREPARE['fish']}; complete -C '{line}'"
        done = subprocess.run(
            ["fish", "--no-config", "-c", asked],  # noqa: S607 -- from Debian
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
        )
        return [offer.split("\t")[0] for offer in done.stdout.splitlines()]

    (tmp_path / "settings.d").mkdir()
    (tmp_path / "settings.toml").touch()
    assert offered("mailward ser") == ["serve", "server"]
    assert offered("mailward --json server reload-c") == ["reload-certificates", "reload-config"]
    assert offered("mailward lift --reason ") == ["authentication", "manual"]
    assert offered("mailward serve --ch") == ["--check"]
    assert offered("mailward bans --ch") == []
    assert offered("mailward --data sett") == ["settings.d/"]
    assert offered("mailward --config sett") == ["settings.d/", "settings.toml"]
    assert offered("mailward ban ") == []


def test_nobody_who_formats_the_man_page_has_a_warning(tmp_path: Path) -> None:
    page = tmp_path / "mailward.1"
    module = "mailward.app.cli.printed.manual"
    python = PROGRAM.with_name("python")
    page.write_bytes(subprocess.check_output([python, "-m", module]))
    for command in (
        ["man", "--warnings=w", "-E", "UTF-8", "-l", str(page)],
        ["mandoc", "-T", "lint", "-W", "warning", str(page)],
    ):
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "MANWIDTH": "80"},
        )
        assert done.stderr == ""
        assert "WARNING" not in done.stdout
