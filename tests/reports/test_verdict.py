"""Verdicts on candidates: what their runs tell, and how many more it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.histogram import Histogram
from harness.load_result import LoadResult
from harness.store import CRASHED, NO_NUMBERS, Sample
from reports.statistics import Interval, NotEnough, probability, quantile
from reports.verdict import Finding, Judged, judge, least_runs
from scenarios.plan import Condition, Look, Target, looks
from tests.harness.plans import plan

ALL_RISK = Look(0, 1.0)
LAST = Look(0, 0.5)


def samples(times: Sequence[float | None], ok: int | None = None) -> list[Sample]:
    """Return runs with these times to first block, of which the first `ok` end well."""
    count = len(times) if ok is None else ok
    return [
        Sample(
            i,
            "ok" if i < count and time is not None else "stalled",
            None,
            time,
            10,
            4,
            99,
            None,
            None,
        )
        for i, time in enumerate(times)
    ]


def loads(*parts: float, downloads: int = 100, time: float = 0.1) -> list[Sample]:
    """Return runs of which such parts end well, the others never."""
    return [_load(part, downloads, time + i / 1000) for i, part in enumerate(parts)]


def _load(part: float, downloads: int, time: float) -> Sample:
    good = round(part * downloads)
    times = Histogram()
    for i in range(downloads):
        times.add(time if i < good else None)
    load = LoadResult(
        scenario="s",
        strategy="hedged",
        run=0,
        seed=0,
        downloads=downloads,
        outcomes={"ok": good, "stalled": downloads - good},
        errors={},
        message=None,
        strays=0,
        located=times,
        ttfb=times,
        finished=times,
        requests=12.0,
        bytes_received=1.0,
        content_ok=True,
        span=1.0,
        in_system=1.0,
        utilisation=None,
        digest="",
    )
    return Sample(0, load.outcome, None, None, None, None, None, True, load)


def one(judged: Judged) -> Finding:
    """Return the only finding."""
    (finding,) = judged.findings
    return finding


@pytest.mark.parametrize(
    ("good", "met"), [(1000, True), (995, None), (990, None), (985, None), (950, False)]
)
def test_success(good: int, met: bool | None) -> None:
    """Success is told where its interval lies on one side of what is asked for."""
    judged = judge(Target(success=0.99), samples([0.1] * 1000, good), ALL_RISK)

    assert met is judged.met
    assert probability(good, 1000) == one(judged).estimate
    assert (met is None) == (judged.needed is not None or good == 990)
    assert (14.0, 1000, 0) == (judged.cost, judged.runs, judged.crashed)


@pytest.mark.parametrize(
    ("late", "met"), [(0, True), (3, True), (4, None), (10, None), (15, None), (18, False)]
)
def test_quantile(late: int, met: bool | None) -> None:
    """A quantile is told where its interval lies on one side of the limit."""
    times: list[float | None] = [0.1] * (1000 - late) + [None] * late
    judged = judge(Target(p99=0.5), samples(times), ALL_RISK)
    interval = quantile(times, 0.99)

    assert met is judged.met
    assert interval == one(judged).estimate
    assert isinstance(interval, Interval)
    assert met is (True if interval.high < 0.5 else False if interval.low >= 0.5 else None)


@given(
    st.lists(st.floats(0, 1) | st.none(), min_size=1, max_size=400),
    st.sampled_from([0.5, 0.9, 0.99]),
    st.floats(0.01, 1),
    st.sampled_from([1.0, 0.5, 1 / 64]),
)
def test_any_quantile(times: list[float | None], q: float, limit: float, risk: float) -> None:
    """What is told of a quantile is what its interval says, and no more than it says."""
    name = f"p{100 * q:.0f}"
    judged = judge(Target.model_validate({name: limit}), samples(times), Look(0, risk))
    interval = one(judged).estimate
    if isinstance(interval, Interval):
        expected = True if interval.high < limit else False if interval.low >= limit else None
        assert expected is judged.met
    else:  # an end of it may be known
        assert judged.met is not True


def test_strict() -> None:
    """A time that equals the limit is no less than it, and is late."""
    assert False is judge(Target(p50=0.5), samples([0.5] * 100), ALL_RISK).met
    assert True is judge(Target(p50=0.5), samples([0.499] * 100), ALL_RISK).met


def test_clear_failure_with_few_runs() -> None:
    """What fails clearly is told with fewer runs than the interval of a quantile takes."""
    judged = judge(Target.model_validate({"p99.9": 1.0}), samples([2.0] * 20), Look(20, 1 / 128))

    assert False is judged.met
    assert isinstance(one(judged).estimate, NotEnough)


def test_crashed_and_wrong() -> None:
    """A run that crashed, or wrote wrong bytes, has not ended well; it has no requests."""
    crashed = Sample(0, CRASHED, None, None, None, None, None, None, None)
    wrong = Sample(0, "ok", None, 0.1, 10, 4, 99, False, None)
    judged = judge(Target(success=0.5), [*samples([0.1] * 8), crashed, wrong], ALL_RISK)

    assert (0.8, 1, 1, 14.0) == (
        one(judged).estimate.estimate,
        judged.crashed,
        judged.wrong,
        judged.cost,
    )
    assert inf == judge(Target(success=0.5), [crashed], ALL_RISK).cost


def test_risk() -> None:
    """A look that takes a smaller part of the risk tells less."""
    times = samples([0.1] * 400)

    assert True is judge(Target(p99=0.5), times, ALL_RISK).met
    assert None is judge(Target(p99=0.5), times, Look(400, 0.25)).met


def test_needed_for_nines(tmp_path: Path) -> None:
    """Exactly as many runs as it takes without a failure are said to be needed."""
    target = Target(success=0.9999)
    judged = judge(target, samples([0.1] * 250), Look(250, 1 / 128))

    assert 43_819 == judged.needed == least_runs(replace(plan(tmp_path), target=target))
    last = looks(43_819, 250)[-1]
    assert True is judge(target, samples([0.1] * 43_819), last).met
    assert None is judge(target, samples([0.1] * 43_818), last).met
    both = replace(plan(tmp_path), target=Target(p99=0.1, success=0.9))
    assert 368 == least_runs(both)  # at one look


def finding(met: bool | None, needed: int | None, excess: float) -> Finding:
    """Return a finding of a time that is so many times the limit."""
    return Finding(Condition("p50", 0.5, 1.0), Interval(excess, 0, 9), met, needed)


@pytest.mark.parametrize(
    ("findings", "met", "needed"),
    [
        ([finding(True, None, 0.5), finding(True, None, 0.5)], True, None),
        ([finding(True, None, 0.5), finding(False, None, 2)], False, None),
        ([finding(None, 500, 0.5), finding(False, None, 2)], False, None),
        ([finding(None, 500, 0.5), finding(True, None, 0.5)], None, 500),
        ([finding(None, 500, 0.5), finding(None, 900, 0.5)], None, 900),
        ([finding(None, 500, 0.5), finding(None, 900, 1.5)], None, 900),
        ([finding(None, 700, 1.5), finding(None, 600, 1.5)], None, 600),
        ([finding(None, None, 1.0), finding(None, 600, 0.5)], None, None),
        ([finding(None, None, 1.0), finding(None, 600, 1.5)], None, 600),
    ],
)
def test_all_conditions(findings: list[Finding], met: bool | None, needed: int | None) -> None:
    """All conditions must be met, and one that is missed will do to miss the target."""
    judged = Judged(9, findings, NotEnough(1.0, 1, 2), 0, 0)

    assert (met, needed) == (judged.met, judged.needed)


def test_excess() -> None:
    """How far a candidate is off is that of its worst condition."""
    times: list[float | None] = [1.0] * 97 + [None] * 3
    judged = judge(Target(p50=2.0, success=0.99), samples(times), ALL_RISK)

    assert pytest.approx(3) == judged.excess
    assert [0.5, pytest.approx(3)] == [finding.excess for finding in judged.findings]


@pytest.mark.parametrize(
    ("parts", "met"),
    [
        ((1.0,) * 20, True),
        ((1.0,) * 2, None),
        ((0.9, 0.8, 0.9, 0.8, 0.9, 0.8), False),
        ((1.0, 0.9, 1.0, 1.0), None),
    ],
)
def test_success_of_loads(parts: tuple[float, ...], met: bool | None) -> None:
    """Downloads of one run are told of by the mean of the runs, and by no less than all need."""
    judged = judge(Target(success=0.99), loads(*parts), ALL_RISK)

    assert met is judged.met
    assert (met is None) == (judged.needed is not None)
    assert judged.needed is None or judged.needed > len(parts)
    assert 12.0 == judged.cost


def test_loads_without_a_failure() -> None:
    """Runs that are all alike do not tell more than their downloads can."""
    judged = judge(Target(success=0.9999), loads(1.0, 1.0, 1.0), ALL_RISK)

    assert None is judged.met
    assert 439 == judged.needed  # 43,819 downloads
    assert probability(300, 300).low == one(judged).estimate.low  # type: ignore[union-attr]


def test_quantile_of_loads() -> None:
    """A quantile of many downloads is the mean of those of the runs."""
    sure = judge(Target(p90=0.2), loads(*[1.0] * 10), ALL_RISK)
    assert True is sure.met
    assert pytest.approx(0.1045) == one(sure).estimate.estimate

    assert False is judge(Target(p90=0.05), loads(*[1.0] * 10), ALL_RISK).met
    near = judge(Target(p90=0.1046), loads(*[1.0] * 10), ALL_RISK)
    assert None is near.met
    assert near.needed is not None
    assert 1000 < near.needed
    never = judge(Target(p99=0.2), loads(1.0, 0.9, 1.0), ALL_RISK)
    assert (False, inf) == (never.met, one(never).excess)
    assert None is judge(Target(p90=0.2), loads(1.0), ALL_RISK).met


@pytest.mark.parametrize("outcome", NO_NUMBERS)
def test_crashed_loads(outcome: str) -> None:
    """A run that crashed or was overloaded has no download that ended well, or came in time."""
    crashed = Sample(0, outcome, None, None, None, None, None, None, None)
    judged = judge(Target(p90=0.5, success=0.9), [*loads(*[1.0] * 9), crashed], ALL_RISK)

    assert [inf, 0.9] == [finding.estimate.estimate for finding in judged.findings]
    assert False is judged.met
    assert judge(Target(p90=0.5), loads(*[1.0] * 9), ALL_RISK).cost == judged.cost


def test_looks_hold_together() -> None:
    """A candidate exactly at the limit is told wrongly in 5 % of searches at most."""
    random = Random(928)
    target = Target(success=0.9)
    schedule = looks(400, 50)
    wrong = 0
    searches = 300
    for _ in range(searches):
        good = [random.random() < 0.9 for _ in range(400)]
        for look in schedule:
            ok = sum(good[: look.runs])
            if judge(target, samples([0.1] * look.runs, ok), look).met is not None:
                wrong += 1
                break

    assert 0 < wrong <= 0.05 * searches
