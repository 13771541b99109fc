from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.admin.house import House, open_house
from tests.app.cli.typing_in import Shell


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path) as made:
        yield made


@pytest.fixture
def shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shell:
    """A shell whose commands find the daemon of *tmp_path*, running or not."""
    monkeypatch.setenv("MAILWARD_DATA", str(tmp_path))
    monkeypatch.delenv("MAILWARD_CONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return Shell(capsys, monkeypatch)
