"""One process for the tests that do not end it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mailbox_testing.program import Program, program


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with program(tmp_path_factory.mktemp("mailbox")) as started:
        started.add("alice", "bob")
        yield started
