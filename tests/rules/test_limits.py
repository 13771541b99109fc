from __future__ import annotations

import math
from array import array
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailward.rules.limits import (
    MAX_FAILURES,
    MAX_PERIOD,
    LimitError,
    add_failure,
    count_failures,
    empties_at,
    forget_old,
    format_limit,
    format_period,
    parse_limit,
    parse_period,
)
from mailward.rules.model import Instant, Limit
from tests.rules import oracle

START = 1_790_000_000 * oracle.SECOND  # in microseconds, as the oracle counts


def instant(microseconds: int) -> Instant:
    return Instant(microseconds / oracle.SECOND)


def new_window(instants: tuple[Instant, ...] = ()) -> array[float]:
    return array("d", sorted(instants))


def banned_at(reports: list[oracle.Report], limit: Limit) -> int | None:
    """Where the window says that the ban falls."""
    window = new_window()
    for place, report in enumerate(reports):
        now = instant(report.now)
        forget_old(window, limit, now)
        add_failure(window, instant(report.at))
        if count_failures(window, limit, now) >= limit.failures:
            return place
    return None


# Steps that land on the edge of the period and one microsecond beside it, and any others.
PERIODS = st.sampled_from([1, 2, 3, 60, 86_400, 366 * 86_400])


@st.composite
def steps(draw: st.DrawFn) -> tuple[int, list[int]]:
    seconds = draw(PERIODS)
    period = seconds * oracle.SECOND
    edges = [0, 1, period // 2, period // 3, period - 1, period, period + 1]
    step = st.sampled_from(edges) | st.integers(0, period)
    return seconds, draw(st.lists(step, max_size=25))


@given(steps(), st.integers(1, 6), st.integers(0, oracle.SECOND - 1))
def test_the_ban_falls_at_the_failure_where_the_definition_says_so(
    steps: tuple[int, list[int]], count: int, offset: int
) -> None:
    seconds, gaps = steps
    failures = [START + offset]
    for gap in gaps:
        failures.append(failures[-1] + gap)
    limit = Limit(count, timedelta(seconds=seconds))
    found = banned_at([oracle.Report(at, at) for at in failures], limit)
    assert found == oracle.falls_at(failures, count, seconds * oracle.SECOND)


@given(steps(), st.integers(1, 5), st.data())
def test_failures_that_are_told_late_count_while_they_are_in_the_window(
    steps: tuple[int, list[int]], count: int, data: st.DataObject
) -> None:
    seconds, gaps = steps
    period = seconds * oracle.SECOND
    now, reports = START, []
    for gap in gaps:
        now += gap
        late = data.draw(st.sampled_from([0, 1, period // 2, period - 1]) | st.integers(0, period))
        reports.append(oracle.Report(now - late, now))
    limit = Limit(count, timedelta(seconds=seconds))
    assert banned_at(reports, limit) == oracle.falls_at_report(reports, count, period)


@given(st.lists(st.integers(0, 10 * oracle.SECOND)), st.integers(1, 9), st.integers(0, 20))
def test_the_count_is_the_oracles_at_every_moment_also_after_forgetting(
    offsets: list[int], seconds: int, half_seconds: int
) -> None:
    failures = [START + offset for offset in offsets]
    now = START + half_seconds * oracle.SECOND // 2
    limit = Limit(1, timedelta(seconds=seconds))
    window = new_window(tuple(instant(at) for at in failures))
    expected = oracle.inside(failures, seconds * oracle.SECOND, now)
    assert count_failures(window, limit, instant(now)) == len(expected)
    forget_old(window, limit, instant(now))
    assert list(window) == [instant(at) for at in expected]


@given(st.lists(st.floats(0, 4e9).map(Instant), max_size=20))
def test_a_window_is_in_order_however_its_failures_come(instants: list[Instant]) -> None:
    window = new_window()
    for at in instants:
        add_failure(window, at)
    assert list(window) == sorted(instants) == list(new_window(tuple(instants)))


@given(st.floats(1.7e9, 2.1e9), PERIODS)
def test_a_failure_is_out_at_exactly_one_period_of_age(at: float, seconds: int) -> None:
    limit = Limit(1, timedelta(seconds=seconds))
    window = array("d", [at])
    out = Instant(at + seconds)
    assert count_failures(window, limit, out) == 0
    assert count_failures(window, limit, Instant(math.nextafter(out, 0))) == 1


@given(
    st.lists(st.integers(0, 5 * oracle.SECOND), min_size=1, max_size=12),
    st.integers(1, 12),
    st.integers(1, 4),
)
def test_the_window_is_full_until_it_is_said_to_be_empty(
    offsets: list[int], count: int, seconds: int
) -> None:
    limit = Limit(min(count, len(offsets)), timedelta(seconds=seconds))
    window = new_window(tuple(instant(START + offset) for offset in offsets))
    end = empties_at(window, limit)
    assert count_failures(window, limit, end) < limit.failures
    assert count_failures(window, limit, Instant(math.nextafter(end, 0))) >= limit.failures


def test_a_window_with_too_few_failures_empties_never() -> None:
    with pytest.raises(IndexError):
        empties_at(array("d", [1.0]), Limit(2, timedelta(seconds=1)))


# Rates.

LIMITS = st.builds(
    Limit,
    st.integers(1, MAX_FAILURES),
    st.integers(1, int(MAX_PERIOD.total_seconds())).map(lambda s: timedelta(seconds=s)),
)


@given(LIMITS)
def test_a_limit_survives_being_written_and_read(limit: Limit) -> None:
    assert parse_limit(format_limit(limit)) == limit
    assert parse_period(format_period(limit.period)) == limit.period


BLANKS = st.text(" \t", max_size=2)
NUMBERS = st.integers(0, 400).map(str) | st.sampled_from(
    ["10000", "10001", "00010", "31622400", "31622401", "1" + "0" * 30, "-1", "1.5", "1e3", "٣", ""]
)
UNITS = st.sampled_from([*"smhdwSMHDW", "", "y", "ms", "\u017f", "min", "day"])
RATES = st.tuples(
    BLANKS, NUMBERS, BLANKS, st.sampled_from(["/", "/", "/", "", "//", ":"]), BLANKS, NUMBERS,
    BLANKS, UNITS, BLANKS,
).map("".join)  # fmt: skip


@given(RATES | st.text("0123456789/smhdw \t\n+-._", max_size=12))
def test_a_rate_is_read_as_it_is_meant_or_refused_with_the_value(text: str) -> None:
    meant = oracle.rate(text)
    if meant is None:
        with pytest.raises(LimitError) as refused:
            parse_limit(text)
        assert f'"{text}"' in str(refused.value)
    else:
        limit = parse_limit(text)
        assert (limit.failures, limit.period.total_seconds()) == meant


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "no limit"),
        ("100", "no limit"),
        ("0/1d", "from 1 to 10000"),
        ("10001/1d", "from 1 to 10000"),
        ("100/0d", "too short"),
        ("100/1y", 'no unit "y"'),
        ("100/1", "no unit"),
        ("1e3/1d", '"1e3" is no number'),
        ("100/1d/2", "more than one"),
        ("-1/1d", '"-1" is no number'),
        ("/1d", "is no number"),
        ("1" + "0" * 30 + "/1d", "from 1 to 10000"),
        ("1/1" + "0" * 30 + "d", "too long"),
        ("100/367d", "at most 366d"),
        ("100/53w", "at most 366d"),
        ("100/1.5d", "integer and a unit"),
        ("100/d", "integer and a unit"),
        ("100/-1d", "integer and a unit"),
        ("٣/1d", "is no number"),
        ("100/1d\n", "integer and a unit"),
    ],
)
def test_a_wrong_rate_is_refused_with_the_reason(text: str, wrong: str) -> None:
    with pytest.raises(LimitError) as refused:
        parse_limit(text)
    assert text in str(refused.value)
    assert wrong in str(refused.value)


def test_one_length_of_time_may_be_spelled_in_several_ways() -> None:
    spellings = ["100/1d", "100/24h", "100/1440m", "100/86400s", "0100 / 01 D", "\t100/ 1d "]
    assert len({parse_limit(text) for text in spellings}) == 1


def test_a_leap_year_is_the_longest_period() -> None:
    assert parse_period("366d") == parse_period("8784h") == timedelta(days=366)
    assert parse_period("1s") == timedelta(seconds=1)
