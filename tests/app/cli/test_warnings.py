"""``status`` shows what the daemon warns about, and nothing where there is nothing."""

from __future__ import annotations

import json

from tests.admin.house import House
from tests.app.cli.typing_in import Shell


def test_status_shows_the_warnings_last(house: House, shell: Shell) -> None:
    assert "Warnings" not in shell("status").out
    house.warnings = ["backend b is not told who connects", "all of IPv6 is allowed\x1b[31m"]
    printed = shell("status").out
    assert printed.endswith(
        "Warnings:\nbackend b is not told who connects\nall of IPv6 is allowed\\x1b[31m\n"
    )
    assert json.loads(shell("status", "--json").out)["warnings"] == house.warnings
