"""The key of the digests of good tokens: made once, for its owner alone, refused when it is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mailward.app.tokenkey import KEY_NAME, TokenKeyError, check_token_key, token_key
from mailward.guard.tokens import KEY_OCTETS
from tests.app.test_daemon import daemon


def test_it_is_made_at_the_first_start_and_stays(tmp_path: Path) -> None:
    assert list(check_token_key(tmp_path)) == []
    key = token_key(tmp_path)
    assert len(key) == KEY_OCTETS
    assert (tmp_path / KEY_NAME).stat().st_mode & 0o7777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == [KEY_NAME]
    assert token_key(tmp_path) == key
    (tmp_path / KEY_NAME).unlink()
    assert token_key(tmp_path) != key


def test_what_a_crash_left_in_the_making_is_no_key(tmp_path: Path) -> None:
    (tmp_path / f"{KEY_NAME}.new").write_bytes(b"half")
    assert len(token_key(tmp_path)) == KEY_OCTETS


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o601])
def test_one_that_is_for_others_too_is_refused(mode: int, tmp_path: Path) -> None:
    key = token_key(tmp_path)
    path = tmp_path / KEY_NAME
    path.chmod(mode)
    (why,) = check_token_key(tmp_path)
    assert f"its mode is {mode:04o}; run: chmod 600 {path}" in why
    with pytest.raises(TokenKeyError, match="chmod 600") as refused:
        token_key(tmp_path)
    assert str(refused.value) == why
    path.chmod(0o400)
    assert token_key(tmp_path) == key


@pytest.mark.parametrize("octets", [0, KEY_OCTETS - 1, KEY_OCTETS + 1, 4_096])
def test_one_of_another_length_is_refused_and_not_printed(octets: int, tmp_path: Path) -> None:
    path = tmp_path / KEY_NAME
    path.touch(0o600)
    path.write_bytes(b"Z" * octets)
    (why,) = check_token_key(tmp_path)
    assert f"it has {octets} octets and should have {KEY_OCTETS}; restore it, or delete it" in why
    assert "ZZ" not in why


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / KEY_NAME
    path.mkdir()
    assert ["it is no file; move it away" in why for why in check_token_key(tmp_path)] == [True]
    path.rmdir()
    os.mkfifo(path, 0o600)  # nobody waits for a writer
    assert ["it is no file" in why for why in check_token_key(tmp_path)] == [True]
    path.unlink()
    (tmp_path / "elsewhere").write_bytes(b"Z" * KEY_OCTETS)
    path.symlink_to(tmp_path / "elsewhere")
    assert ["it cannot be read" in why for why in check_token_key(tmp_path)] == [True]


def test_a_daemon_whose_store_is_memory_makes_none(tmp_path: Path) -> None:
    with daemon(tmp_path, '[store]\ntype = "memory"\n'):
        assert not (tmp_path / KEY_NAME).exists()
    with daemon(tmp_path):
        assert (tmp_path / KEY_NAME).exists()
