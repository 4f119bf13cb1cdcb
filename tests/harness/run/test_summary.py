"""Summaries describe the results of runs in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from firstk.harness.run.bound import Bound
from firstk.harness.run.result import Result
from firstk.harness.run.strategy_runs import StrategyRuns, baseline_of, ratio
from firstk.harness.run.summary import reason
from firstk.harness.stats.formats import seconds
from tests.reports.samples import (
    DEADLINE,
    FAILED,
    NO_BOUND,
    NOTHING,
    OK,
    STALLED,
    summary,
    took,
)


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (0.0, "0 s"),
        (0.05, "0.05 s"),
        (0.25, "0.25 s"),
        (0.123456, "0.123 s"),
        (0.0005, "0.5 ms"),
        (0.000001, "0.001 ms"),
        (0.001, "0.001 s"),
        (5.2, "5.2 s"),
        (12.34, "12.3 s"),
        (999.0, "999 s"),
        (1000.0, "1000 s"),
        (3600.0, "3600 s"),
        (123456.7, "123457 s"),
    ],
)
def test_seconds(time: float, text: str) -> None:
    """Times have three digits, or all digits before the decimal point."""
    assert text == seconds(time)


def test_seconds_of_sums() -> None:
    """Times that differ only in the last bits are shown alike."""
    assert seconds(5.075) == seconds(5.074999999999999)


@pytest.mark.parametrize("time", [999.5, 999.6, 999.99])
def test_seconds_below_a_thousand(time: float) -> None:
    """A time that rounds up to a thousand is shown as 1000."""
    assert seconds(time) == "1000 s"


@pytest.mark.parametrize(
    ("result", "verdict"),
    [
        (OK, "0.25 s"),
        (NOTHING, "ok, nothing was asked for"),
        (STALLED, "stalls forever"),
        (replace(STALLED, ttfb=0.25), "0.25 s, then stalls forever"),
        (FAILED, "fails after 0.05 s: have 2, need 3"),
        (replace(FAILED, ttfb=0.25, finished=3), "0.25 s, then fails after 3 s: have 2, need 3"),
        (replace(FAILED, finished=None), "fails: have 2, need 3"),
        (DEADLINE, "is still busy after 3600 s"),
        (replace(DEADLINE, ttfb=0.25), "0.25 s, then is still busy after 3600 s"),
    ],
)
def test_single(result: Result, verdict: str) -> None:
    """A single run shows its time to first byte, and its outcome if it is not ok."""
    assert verdict == summary(result).verdict


@pytest.mark.parametrize(
    ("results", "verdict"),
    [
        ([OK] * 3, "0.25 s"),
        ([took(0.1), took(0.3), took(0.2)], "0.2 s [0.1 s to 0.3 s]"),
        ([took(0.1), took(0.2), took(0.3), took(0.4)], "0.2 s [0.1 s to 0.4 s]"),
        (
            [*[OK] * 98, STALLED, STALLED],
            "0.25 s [0.25 s to never], starts in 98 of 100 runs, stalls forever in 2 of 100 runs",
        ),
        (
            [took(0.1), FAILED, took(0.2), DEADLINE],
            "0.2 s [0.1 s to never], starts in 2 of 4 runs,"
            " is still busy at the deadline in 1 of 4 runs, fails in 1 of 4 runs",
        ),
        (
            [took(0.1), took(0.3), took(0.2), STALLED],
            "0.2 s [0.1 s to never], starts in 3 of 4 runs, stalls forever in 1 of 4 runs",
        ),
        (
            [replace(STALLED, ttfb=0.25), OK],
            "0.25 s, stalls forever in 1 of 2 runs (after the first byte)",
        ),
        (
            [*[took(0.1)] * 22, *[replace(FAILED, ttfb=0.1)] * 65, *[FAILED] * 13],
            "0.1 s [0.1 s to never], starts in 87 of 100 runs,"
            " fails in 78 of 100 runs (65 of them after the first byte)",
        ),
        (
            [OK, replace(STALLED, ttfb=0.25), replace(DEADLINE, ttfb=0.25), DEADLINE],
            "0.25 s [0.25 s to never], starts in 3 of 4 runs,"
            " is still busy at the deadline in 2 of 4 runs (1 of them after the first byte),"
            " stalls forever in 1 of 4 runs (after the first byte)",
        ),
        ([STALLED] * 2, "stalls forever in 2 of 2 runs"),
        ([FAILED] * 2, "fails in 2 of 2 runs"),
        ([DEADLINE] * 2, "is still busy at the deadline in 2 of 2 runs"),
        ([STALLED, FAILED], "fails in 1 of 2 runs, stalls forever in 1 of 2 runs"),
    ],
)
def test_many(results: list[Result], verdict: str) -> None:
    """Many runs show their median, their range, and how many had another outcome.

    Those that never have a first byte are the latest.
    """
    assert verdict == summary(*results).verdict


def test_nothing_many_times() -> None:
    """If nothing was requested, many runs say so, as a single run does."""
    assert "nothing was asked for" in summary(NOTHING, NOTHING).verdict


def test_strategy_and_runs() -> None:
    """A summary has its strategy and its number of runs."""
    one = summary(OK, STALLED, strategy="first-k-late")

    assert (one.strategy, one.runs) == ("first-k-late", 2)


@pytest.mark.parametrize(
    ("results", "times", "typical", "never"),
    [
        ([took(0.3), took(0.1), took(0.2)], [0.1, 0.2, 0.3], 0.2, False),
        ([took(0.3), STALLED], [0.3], None, False),
        ([STALLED, FAILED], [], None, True),
        ([NOTHING], [], None, True),
        ([took(0.0)], [0.0], 0.0, False),
    ],
)
def test_times(
    results: list[Result], times: list[float], typical: float | None, never: bool
) -> None:
    """The median is that of all runs, or there is none."""
    one = summary(*results)

    assert times == one.times
    assert typical == one.typical
    assert never == one.never_started


@pytest.mark.parametrize(
    ("first", "other", "text"),
    [
        ([took(5.2)], [took(0.25)], "20.8 ×"),
        ([took(0.25)], [took(0.25)], "1 ×"),
        ([took(0.25)], [took(0.5)], "0.5 ×"),
        ([took(1), took(3), took(5)], [took(1), took(1), took(2)], "3 ×"),
        ([STALLED], [took(0.25)], "∞"),
        ([STALLED, DEADLINE], [took(0.25), took(0.5)], "∞"),
        ([took(0.25)], [STALLED], "-"),
        ([STALLED], [STALLED], "-"),
        ([FAILED], [FAILED], "-"),
        ([STALLED, OK], [OK, OK], "-"),
        ([STALLED, STALLED], [OK, STALLED], "-"),
        ([OK], [took(0.0)], "-"),
        ([took(0.0)], [took(0.0)], "-"),
        ([NOTHING], [NOTHING], "-"),
    ],
)
def test_ratio(first: list[Result], other: list[Result], text: str) -> None:
    """The ratio says how many times earlier; infinite if the other never started, else empty."""
    assert text == ratio(summary(*other), summary(*first, strategy="wait-for-all"))


def test_ratio_to_itself() -> None:
    """The baseline is not compared with itself."""
    one = summary(OK)

    assert ratio(one, one) == ""


@pytest.mark.parametrize(("time", "text"), [(5000.0, "20000 ×"), (249.9, "1000 ×")])
def test_large_ratio(time: float, text: str) -> None:
    """A large ratio is formatted like a large time."""
    assert text == ratio(summary(took(0.25)), summary(took(time), strategy="wait-for-all"))


@pytest.mark.parametrize(
    ("error", "message", "text"),
    [
        ("NotEnoughSharesError", "not enough shares: have 2, need 3\n  s0: x", "have 2, need 3"),
        ("NoSharesError", "not enough shares: have 0, need 3", "have 0, need 3"),
        ("NotEnoughSharesError", "ran out of shares: complete=sh0 need 3", "ran out of shares"),
        ("NoSharesError", "no shares (need 3). Last failure: None", "no shares (need 3)"),
        ("BadURIExtensionError", "the UEB is malformed", "BadURIExtensionError: the UEB is malf"),
        ("ValueError", "first\nsecond", "ValueError: first"),
        ("ValueError", "", "ValueError: "),
        ("ValueError", None, "ValueError: "),
    ],
)
def test_reason(error: str, message: str | None, text: str) -> None:
    """A shortage is described by its numbers, any other error by its name and first line."""
    assert reason(replace(FAILED, error=error, message=message)).startswith(text)


def test_long_reason() -> None:
    """A long message is cut."""
    assert len(reason(replace(FAILED, error="ValueError", message="x" * 500))) <= 80


def test_baseline() -> None:
    """The others are compared with wait-for-all, or else with the first."""
    first, late = summary(OK), summary(OK, strategy="first-k-late")
    waiting = summary(STALLED, strategy="wait-for-all")

    assert baseline_of([first, waiting, late]) is waiting
    assert baseline_of([late, first]) is late


def over(results: list[Result], ttfb: list[float | None]) -> StrategyRuns:
    """Return a summary of runs whose bounds are these times."""
    bounds = [NO_BOUND if time is None else Bound(time, 6, 4000) for time in ttfb]
    return summary(*results, bounds=bounds)


@pytest.mark.parametrize(
    ("results", "ttfb", "text"),
    [
        ([took(0.25)], [0.1], "2.5 ×"),
        ([took(0.1)], [0.1], "1 ×"),
        ([STALLED], [0.1], "∞"),
        ([FAILED], [None], "-"),
        ([FAILED], [0.1], "∞"),
        ([took(0.2), took(0.6)], [0.1, 0.2], "2 ×"),
        ([took(0.2), took(0.6), STALLED], [0.1, 0.2, 0.1], "3 ×"),
        ([took(0.1), STALLED, STALLED], [0.1, 0.1, 0.1], "∞"),
        ([took(0.2), FAILED], [0.1, None], "2 ×, of 1 runs"),
        ([took(0.0)], [0.0], "1 ×"),
        ([took(0.1)], [0.0], "∞"),
        ([NOTHING], [None], "-"),
        ([took(0.1)] * 99, [0.1] * 99, "1 ×"),
        ([took(0.1)] * 98 + [took(0.5), took(0.7)], [0.1] * 100, "1 ×, p99 5 ×"),
        ([took(0.1)] * 98 + [STALLED] * 2, [0.1] * 100, "1 ×, p99 ∞"),
        ([took(0.1)] * 99 + [STALLED], [0.1] * 100, "1 ×, p99 1 ×"),
        ([took(0.1)] * 99 + [FAILED], [0.1] * 99 + [None], "1 ×, p99 1 ×, of 99 runs"),
    ],
)
def test_over_bound(results: list[Result], ttfb: list[float | None], text: str) -> None:
    """A run without a first byte is infinitely late, unless none was possible."""
    assert text == str(over(results, ttfb).over_ttfb)


def test_over_the_least() -> None:
    """Requests and bytes are compared with the fewest possible; a failed download wasted them."""
    one = summary(OK, bounds=[Bound(0.1, 7, 4117)])
    failed = summary(OK, STALLED, replace(FAILED, ttfb=0.25), bounds=[Bound(0.1, 7, 4117)] * 3)

    assert (str(one.over_requests), str(one.over_bytes)) == ("3 ×", "1 ×")
    assert (str(failed.over_requests), str(failed.over_bytes)) == ("∞", "∞")


@pytest.mark.parametrize(
    ("results", "text"),
    [
        ([replace(OK, reads=0)], "2.5 ×"),
        ([replace(OK, reads=0)] * 99 + [replace(OK, reads=400)], "3.5 ×"),
        ([replace(OK, reads=0)] * 99 + [FAILED], "∞"),
        ([OK] * 400, "5.25 ×"),
    ],
    ids=["one", "one of many costs more", "one of many fails", "all alike"],
)
def test_mean_over_the_least(results: list[Result], text: str) -> None:
    """For many runs the ratio is the mean, which is infinite if one fails."""
    bounds = [Bound(0.1, 4, 4117)] * len(results)

    assert text == summary(*results, bounds=bounds).over_requests.mean


def test_mean_of_bytes() -> None:
    """The ratio of bytes is the mean, except for runs in which nothing was possible."""
    bounds = [*[Bound(0.1, 4, 1000)] * 2, NO_BOUND]
    one = summary(took(1, bytes_received=1000), took(1, bytes_received=4000), FAILED, bounds=bounds)

    assert one.over_bytes.mean == "2.5 ×"
    assert summary(FAILED, FAILED, bounds=[NO_BOUND] * 2).over_bytes.mean == "-"
