"""A clock that was wrong at an earlier start: bans keep their length, and counts what they hold."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from mailward.app.clock import FACT, SteadyClock
from mailward.rules.model import Ban, Failure, Instant, Reason, Subject, SubjectKind
from mailward.stores.port import BanPut, Change, Contents, FactPut, FailureAdded
from mailward.stores.sqlite import SqliteStore
from tests.app.test_daemon import daemon

YEAR = 366 * 86_400.0
EVE = Subject(SubjectKind.ADDRESS, "192.0.2.1")
ADA = Subject(SubjectKind.LOGIN, "ada")
BOOT, AHEAD, _ = str(SteadyClock()).split(" ")


def fact(boot: str, ahead: float, seen: float) -> FactPut:
    return FactPut(FACT, f"{boot} {float(AHEAD) + ahead} {float(AHEAD) + seen}")


def at(seconds: float) -> Instant:
    return Instant(SteadyClock()() + seconds)


def written_at(moment: float) -> list[Change]:
    """What a daemon leaves that bans at this moment, by its own clock."""
    return [
        BanPut(Ban(EVE, Reason.AUTHENTICATION, at(moment), at(moment + 600), 3)),
        FailureAdded(ADA, Failure(at(moment - 300), "imap", "192.0.2.1")),
    ]


def keep(folder: Path, changes: list[Change]) -> None:
    async def commit() -> None:
        store = SqliteStore(folder / "mailward.db")
        await store.commit(changes, durable=False)
        await store.close()

    asyncio.run(commit())


def kept(folder: Path) -> Contents:
    async def load() -> Contents:
        store = SqliteStore(folder / "mailward.db")
        contents = await store.load()
        await store.close()
        return contents

    return asyncio.run(load())


def fact_in(database: Path) -> str:
    """What the store says at this moment; the daemon has it open."""
    with closing(sqlite3.connect(database)) as store:
        row = store.execute("SELECT value FROM fact WHERE name = ?", (FACT,)).fetchone()
    return "" if row is None else str(row[0])


def told(folder: Path, *words: str) -> list[dict[str, object]]:
    command = [sys.executable, "-m", "mailward.app.cli.main", "--data", str(folder), *words]
    printed = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    answer: list[dict[str, object]] = json.loads(printed.stdout)
    return answer


@pytest.mark.parametrize(
    ("known", "off"),
    [
        (fact(BOOT, YEAR, YEAR), YEAR),  # started ahead; mended, and restarted
        (fact(BOOT, -YEAR, 0.0), -YEAR),  # started behind; mended while it ran, and restarted
        (fact("another-boot", -YEAR, 0.0), -YEAR),  # the same, and then the machine was restarted
        (fact(BOOT, 0.0, 0.0), 0.0),
    ],
)
def test_what_a_wrong_clock_wrote_is_moved_to_the_right_one(
    known: FactPut, off: float, tmp_path: Path
) -> None:
    keep(tmp_path, [*written_at(off), known])
    for _ in range(2):  # and not once more
        with daemon(tmp_path):
            assert len(told(tmp_path, "bans")) == 1
        contents = kept(tmp_path)
        (ban,) = contents.bans
        assert ban.since == pytest.approx(at(0), abs=120)
        assert ban.until == pytest.approx(at(600), abs=120)
        (failed,) = contents.failures[ADA]
        assert failed == pytest.approx(at(-300), abs=120)


@pytest.mark.parametrize("known", [[], [FactPut(FACT, "junk")], [FactPut(FACT, "a b c")]])
def test_without_that_what_is_later_than_now_is_taken_as_now(
    known: list[Change], tmp_path: Path
) -> None:
    keep(tmp_path, [*written_at(YEAR), *known])
    with daemon(tmp_path):
        (ban,) = told(tmp_path, "bans")
    (stored,) = kept(tmp_path).bans
    for seconds, name in ((0, "since"), (600, "until")):
        assert getattr(stored, name) == pytest.approx(at(seconds), abs=120)
    assert str(ban["until"]) < "2100"


def test_where_boots_are_not_told_apart_a_restart_of_the_machine_moves_nothing(
    tmp_path: Path,
) -> None:
    """The sandbox of the service shows no boot id; the time since boot begins anew with each."""
    clock = SteadyClock(tmp_path / "boot_id")
    boot, ahead = str(clock).split(" ")[0], clock.ahead
    month = 30 * 86_400.0  # the machine was up for so long
    assert clock.moved_since(f"{boot} {ahead - month} {ahead - month}") == 0.0
    assert clock.moved_since(f"{boot} {ahead - YEAR} {ahead}") == pytest.approx(YEAR)
    assert clock.is_told_by(str(clock))


def test_the_next_start_is_told_within_seconds(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        clock = SteadyClock()
        while not clock.is_told_by(fact_in(tmp_path / "mailward.db")):
            assert running.poll() is None


def test_the_service_waits_for_the_clock_to_be_set() -> None:
    unit = (Path(__file__).parents[2] / "packaging" / "mailward.service.in").read_text()
    for line in ("Wants=", "After="):
        (named,) = [words for words in unit.splitlines() if words.startswith(line)]
        assert "time-sync.target" in named
