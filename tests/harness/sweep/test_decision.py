"""Verdicts on candidates: what their runs show, and how many more are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from math import inf
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstk.harness.run.sample import CRASHED, NO_NUMBERS, Sample
from firstk.harness.stats.estimates import Interval, NotEnough, mean_share, probability, quantile
from firstk.harness.sweep.decision import Decision, Finding, decide, least_runs
from firstk.scenarios.condition import Condition
from firstk.scenarios.plan import Target
from tests.harness.plans import loaded, plan
from tests.marks import few
from tests.reports.loads import load, parted, sample


def samples(times: Sequence[float | None], ok: int | None = None) -> list[Sample]:
    """Return runs with these times to first byte, of which the first `ok` succeed."""
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


def loads(*good: int) -> list[Sample]:
    """Return runs of a hundred downloads, of which that many succeed; the others stall."""
    return [sample(parted(count)) for count in good]


def one(decision: Decision) -> Finding:
    """Return the only finding."""
    (finding,) = decision.findings
    return finding


@pytest.mark.parametrize(
    ("good", "met"),
    [(1000, True), (999, True), (996, None), (990, None), (983, None), (960, False)],
)
def test_success(good: int, met: bool | None) -> None:
    """Success is decided if its interval lies on one side of the target."""
    decision = decide(Target(success=0.99), samples([0.1] * 1000, good))
    interval = probability(good, 1000)

    assert met is decision.met
    assert interval == one(decision).estimate
    assert met is (True if interval.low > 0.99 else False if interval.high < 0.99 else None)
    assert (met is None) == (decision.needed is not None or good == 990)
    assert (decision.cost, decision.runs, decision.crashed) == (14.0, 1000, 0)


@pytest.mark.parametrize(
    ("late", "met"), [(0, True), (1, True), (4, None), (10, None), (17, None), (40, False)]
)
def test_quantile(late: int, met: bool | None) -> None:
    """A quantile is decided if its interval lies on one side of the limit."""
    times: list[float | None] = [0.1] * (1000 - late) + [None] * late
    decision = decide(Target(p99=0.5), samples(times))
    interval = quantile(times, 0.99)

    assert met is decision.met
    assert interval == one(decision).estimate
    assert isinstance(interval, Interval)
    assert met is (True if interval.high < 0.5 else False if interval.low >= 0.5 else None)


@given(
    st.lists(st.floats(0, 1) | st.none(), min_size=1, max_size=400),
    st.sampled_from([0.5, 0.9, 0.99]),
    st.floats(0.01, 1),
)
def test_any_quantile(times: list[float | None], q: float, limit: float) -> None:
    """The verdict on a quantile is exactly that of its interval."""
    name = f"p{100 * q:.0f}"
    decision = decide(Target.model_validate({name: limit}), samples(times))
    interval = one(decision).estimate
    if isinstance(interval, Interval):
        expected = True if interval.high < limit else False if interval.low >= limit else None
        assert expected is decision.met
    else:  # an end of it may be known
        assert decision.met is not True


def test_strict() -> None:
    """A time that equals the limit is late."""
    assert False is decide(Target(p50=0.5), samples([0.5] * 100)).met
    assert True is decide(Target(p50=0.5), samples([0.499] * 100)).met


def test_clear_failure_with_few_runs() -> None:
    """A clear failure is decided with fewer runs than the interval of a quantile needs."""
    decision = decide(Target.model_validate({"p99.9": 1.0}), samples([2.0] * 20))

    assert False is decision.met
    assert isinstance(one(decision).estimate, NotEnough)


def test_crashed_and_wrong() -> None:
    """A run that crashed, or wrote wrong bytes, did not succeed."""
    crashed = sample(None)
    wrong = Sample(0, "ok", None, 0.1, 10, 4, 99, False, None)
    decision = decide(Target(success=0.5), [*samples([0.1] * 8), crashed, wrong])

    assert (
        one(decision).estimate.estimate,
        decision.crashed,
        decision.wrong,
        decision.cost,
    ) == (0.8, 1, 1, 14.0)
    assert inf == decide(Target(success=0.5), [crashed]).cost


@pytest.mark.parametrize(
    ("target", "runs"),
    [
        (Target(success=0.9999), 46_298),
        (Target(p99=0.1, success=0.9), 461),
        (Target(p50=0.1), 7),
    ],
)
def test_least_runs(target: Target, runs: int) -> None:
    """Exactly the least number of runs without a failure is reported as needed, also for loads."""
    assert runs == least_runs(target) == decide(target, samples([0.09] * 6)).needed
    if runs < 1000:
        assert True is decide(target, samples([0.09] * runs)).met
        assert None is decide(target, samples([0.09] * (runs - 1))).met
        some = [sample(parted(5, 5, 0.09))]
        assert True is decide(target, some * runs).met
        assert (None, runs) == met_and_needed(decide(target, some * (runs - 1)))


def finding(met: bool | None, needed: int | None, excess: float) -> Finding:
    """Return a finding whose time is `excess` times the limit."""
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
    """All conditions must be met, and a single missed one misses the target."""
    decision = Decision(9, findings, 1.0, 0, 0)

    assert (met, needed) == (decision.met, decision.needed)


def test_excess() -> None:
    """The excess of a candidate is that of its worst condition."""
    times: list[float | None] = [1.0] * 97 + [None] * 3
    decision = decide(Target(p50=2.0, success=0.99), samples(times))

    assert pytest.approx(3) == decision.excess
    assert [0.5, pytest.approx(3)] == [finding.excess for finding in decision.findings]


# Workloads


@pytest.mark.parametrize(
    ("good", "met"),
    [
        ([100] * 470, True),
        ([100] * 460, None),
        ([100] * 20, None),
        ([90, 80] * 10, False),
        ([100, 90, 100, 100], None),
    ],
)
def test_success_of_loads(good: list[int], met: bool | None) -> None:
    """The success of all downloads is decided by its interval, based on the runs."""
    decision = decide(Target(success=0.99), loads(*good))

    assert met is decision.met
    assert mean_share(count / 100 for count in good) == one(decision).estimate
    assert (met is None) == (decision.needed is not None)
    assert decision.needed is None or decision.needed > len(good)
    assert decision.cost == 12.0


def test_quantile_of_loads() -> None:
    """A quantile of workloads is that of all downloads of all runs."""
    spread = [sample(load([0.1 + i / 1000 for i in range(100)]))] * 50
    sure = decide(Target(p90=0.25), spread)
    assert True is sure.met
    assert pytest.approx(0.189, rel=0.002) == one(sure).estimate.estimate

    assert False is decide(Target(p90=0.15), spread).met
    near = decide(Target(p90=0.195), spread)
    assert (near.met, near.needed is not None and near.needed > 50) == (None, True)
    never = decide(Target(p99=0.2), loads(*[100, 90, 100] * 10))
    assert inf == one(never).excess
    assert None is decide(Target(p90=0.2), loads(100)).met


def test_a_few_slow_runs() -> None:
    """All downloads count: if a tenth of the runs is slow, p90 is late, and p50 is not."""
    fast, slow = sample(load([0.1] * 20)), sample(load([2.0] * 20))
    runs = [*[fast] * 88, *[slow] * 12] * 40

    assert False is decide(Target(p90=0.5), runs).met
    assert True is decide(Target(p50=0.5), runs).met


def test_limit_in_a_bin() -> None:
    """Times in the bin of the limit may be on either side of it: neither is claimed."""
    equal = [sample(load([0.25001] * 20))] * 200  # in the bin from 0.25 to 0.2505

    assert met_and_needed(decide(Target(p90=0.25001), equal)) == (None, None)
    assert True is decide(Target(p90=0.2501), equal).met  # the greatest in a bin is known
    assert False is decide(Target(p90=0.25), equal).met


def met_and_needed(decision: Decision) -> tuple[bool | None, int | None]:
    """Return both."""
    return decision.met, decision.needed


@pytest.mark.parametrize("outcome", NO_NUMBERS)
def test_crashed_loads(outcome: str) -> None:
    """A run that crashed or was overloaded has no successful download."""
    crashed = sample(None)._replace(outcome=outcome)
    decision = decide(Target(p90=0.5, success=0.95), [*loads(*[100] * 80), *[crashed] * 20])

    assert [inf, 0.8] == [finding.estimate.estimate for finding in decision.findings]
    assert False is decision.met
    assert decision.crashed == (20 if outcome == CRASHED else 0)


# Right as often as claimed: candidates exactly at the limit

#: The number of downloads per run.
DOWNLOADS = 200

Numbers = npt.NDArray[np.float64]

#: Laws of how much of a run is late, before scaling: one number per run.
LAWS: dict[str, Callable[[np.random.Generator, int], Numbers]] = {
    "normal": lambda random, size: np.maximum(0, random.normal(10, 2, size)),
    "lognormal": lambda random, size: random.lognormal(0, 1, size),
    "exponential": lambda random, size: random.exponential(1, size),
    "5 % ten times worse": lambda random, size: np.where(random.random(size) < 0.05, 10.0, 1.0),
}


@cache
def finish_run(late: int) -> Sample:
    """Return a run of which `late` downloads take longer than half a second."""
    return sample(load([0.1] * (DOWNLOADS - late) + [1.0] * late))


def late_runs(law: str, late: float, plans: int, runs: int) -> Iterator[list[Sample]]:
    """Yield the runs of plans of which an exact share of all downloads is late.

    The law is scaled to that mean; the number of late ones is rounded up or down at random.
    """
    random = np.random.default_rng(928)
    known = LAWS[law](random, 2_000_000)
    low, high = 0.0, 1.0
    for _ in range(60):  # what is over all downloads is all downloads
        scale = (low + high) / 2
        low, high = (scale, high) if np.minimum(1, scale * known).mean() < late else (low, scale)
    for _ in range(plans):
        exact = DOWNLOADS * np.minimum(1, low * LAWS[law](random, runs))
        counts = np.floor(exact + random.random(runs)).astype(int).tolist()
        yield [finish_run(count) for count in counts]


def decided(target: Target, samples: Sequence[Sample], looks: Sequence[int]) -> bool | None:
    """Return the first verdict of all looks, as a search does."""
    verdicts = (decide(target, samples[:runs]).met for runs in looks)
    return next((met for met in verdicts if met is not None), None)


def check(verdicts: Sequence[bool | None]) -> None:
    """Check that each wrong verdict is as rare as 2.5 %, within four standard errors."""
    most = 0.025 * len(verdicts) + 4 * (0.025 * 0.975 * len(verdicts)) ** 0.5

    assert verdicts.count(True) <= most
    assert verdicts.count(False) <= most


def raised(folder: Path, *changes: tuple[str, str], most: int) -> list[int]:
    """Return all looks of a plan with `most` runs, and then with five times as many."""
    one = plan(folder, *changes)
    return [look for runs in (most, 5 * most) for look in replace(one, max_runs=runs).looks]


@pytest.mark.parametrize("law", few(1, LAWS))
def test_loads_at_the_limit(law: str, tmp_path: Path) -> None:
    """Workloads whose p90 is at the limit are rarely decided, even if max_runs is raised."""
    looks = raised(tmp_path, loaded(DOWNLOADS), most=40)
    assert looks == [10, 20, 40, 10, 20, 40, 80, 160, 200]
    plans = late_runs(law, 0.1, 150, looks[-1])
    check([decided(Target(p90=0.5), runs, sorted(set(looks))) for runs in plans])


@pytest.mark.slow
@pytest.mark.parametrize("late", [0.5, 0.1, 0.01])
@pytest.mark.parametrize("law", LAWS)
def test_loads_at_the_limit_closely(law: str, late: float, tmp_path: Path) -> None:
    """The same for a thousand plans, with other quantiles and more runs."""
    looks = sorted(set(raised(tmp_path, loaded(DOWNLOADS), most=200)))
    target = Target.model_validate({f"p{100 * (1 - late):.0f}": 0.5})
    check([decided(target, runs, looks) for runs in late_runs(law, late, 1000, looks[-1])])


@pytest.mark.parametrize("limit", few(1, [0.9, 0.5, 0.99]))
def test_downloads_at_the_limit(limit: float, tmp_path: Path) -> None:
    """The same for single downloads, with max_runs raised twice."""
    random = np.random.default_rng(928)
    looks = sorted({*raised(tmp_path, most=300), *raised(tmp_path, most=1500)})
    target = Target(success=limit)
    good, bad = samples([0.1, None])
    verdicts = []
    for _ in range(60):
        runs = [good if ok else bad for ok in random.random(looks[-1]) < limit]
        verdicts.append(decided(target, runs, looks))
    check(verdicts)
