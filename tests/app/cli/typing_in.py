"""Commands as they are typed, and what is printed."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mailward.app.cli.main import main

PROGRAM = Path(sys.executable).with_name("mailward")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Printed:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Shell:
    """Runs commands in this process, as their script would."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(
        self, *words: str, given: bytes = b"", typed: Sequence[str] | None = None
    ) -> Printed:
        """Type *words*; *given* comes through a pipe, *typed* from the terminal, unseen."""
        stdin = io.TextIOWrapper(io.BytesIO(given)) if typed is None else _Terminal()
        self._monkeypatch.setattr(sys, "stdin", stdin)
        answers = iter(typed or ())
        for asks in ("password", "client"):
            self._monkeypatch.setattr(f"mailward.app.cli.{asks}.getpass", lambda _: next(answers))
        self._capsys.readouterr()
        try:
            status = main(words)
        except SystemExit as end:
            status = int(end.code or 0)
        printed = self._capsys.readouterr()
        return Printed(status, printed.out, printed.err)

    def told(self, *words: str) -> Any:
        """What a command says with ``--json``."""
        printed = self(*words, "--json")
        assert printed.status == 0, printed.err
        return json.loads(printed.out)

    def sit_down(self) -> None:
        """From now on a person looks on: output goes to a terminal."""
        self._monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
