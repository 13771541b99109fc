"""The configuration that ``make install`` puts into /etc/mailward."""

from __future__ import annotations

import re
from pathlib import Path

from mailward.settings.build import build
from mailward.settings.configuration import Configuration
from mailward.settings.dialect import read_keys
from tests.settings.sample import NOW

PACKAGED = (Path(__file__).parents[2] / "packaging" / "config.toml").read_text()


def configured(text: str) -> Configuration:
    built = build(read_keys(text, "config.toml"), {}, NOW)
    assert built.file_faults == ()
    assert built.configuration is not None
    return built.configuration


def test_as_it_comes_it_is_right_and_opens_no_door() -> None:
    assert configured(PACKAGED).listeners == ()


def test_without_the_signs_of_comments_it_is_right_and_opens_all_its_doors() -> None:
    # Prose is not meant: what is meant looks like TOML.
    text = re.sub(r"^# (?=\[[a-z.]+\]$|[a-z.-]+ = )", "", PACKAGED, flags=re.MULTILINE)
    doors = configured(text).listeners
    assert [door.name for door in doors] == ["imap", "imaps", "submission", "submissions"]
    assert [door.tls and door.tls.implicit for door in doors] == [False, True, False, True]
