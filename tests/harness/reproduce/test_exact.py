"""The exact values agree with the published numbers, and with independent computations."""

from __future__ import annotations

from typing import Any

import pytest

from firstk.harness.reproduce.exact import as_printed, exact
from firstk.harness.reproduce.numbers import PublishedNumber
from firstk.harness.sweep.oracle import NoOracleError
from firstk.scenarios.model import Scenario
from tests.harness.making import constant, exponential, hung, scenario
from tests.harness.reproduce.cases import CASES, exact_of, scenario_of

#: How far the mean of a case's published numbers may be from the exact value: the sources
#: simulated a few hundred thousand to a million requests, and the blog ten thousand.
_FAR = {"pbs-2012": 0.035, "bailis-2012": 0.035}


@pytest.mark.parametrize("id", CASES)
def test_published(id: str) -> None:
    """Each number is exact to its last digit, or a simulated one is near, or it is a misprint."""
    case = CASES[id]
    number = case.number
    right = exact_of(id)
    printed = [PublishedNumber("x", case.paper, number, digits) for digits in number.published]

    if number.misprint:
        instead = as_printed(
            number.misprint.kind, scenario_of(case), number.strategy, number.measure
        )
        scale = 1000 if number.unit == "ms" else 1
        assert abs(case.value - right) > case.last_digit
        assert abs(case.value - scale * instead) <= case.last_digit + 1e-15
    elif number.by == "simulation":
        mean = sum(one.value for one in printed) / len(printed)
        assert mean == pytest.approx(right, rel=_FAR[case.paper.id])
    else:
        assert [one.value for one in printed] == pytest.approx(
            [right] * len(printed), abs=case.last_digit
        )


@pytest.mark.parametrize(
    ("id", "value"),
    [
        ("pbs-2012/ssd-r-3", 4.11),
        ("pbs-2012/ymmr-r-2", 32.95),
        ("pbs-2012/ymmr-r-3", 219.23),
        ("bailis-2012/1-of-1", 168.19),
        ("bailis-2012/1-of-2", 11.05),
        ("bailis-2012/2-of-2", 200.39),
        ("bailis-2012/hedge-latency", 16.71),
        ("bailis-2012/hedge-extra", 0.0421),
        ("dean-barroso-2013/fan-out-100", 0.6339676587),
        ("dean-barroso-2013/fan-out-2000", 0.1812774347),
        ("storj-2018/4-of-6", 0.98415),
        ("storj-2018/4-of-8", 0.99956835),
        ("gardner-2017/2-of-10-at-0-5", 0.7981033672),
        ("gardner-2017/3-of-10-at-0-8", 0.9444718884),
        ("aktas-2017/10-of-14-after-1", 1.5768364866),
    ],
)
def test_computed_without_firstk(id: str, value: float) -> None:
    """The exact values equal those that were computed without firstk."""
    digits = len(str(value).partition(".")[2])

    assert round(exact_of(id), digits) == value


def load(rate: float = 1.0, cancel: bool = True, n: int = 4, **changes: Any) -> Scenario:
    """Return a workload on servers with one request at a time, a second on average."""
    grid = {
        "servers": n,
        "rtt": constant(0.0),
        "service": exponential(),
        "concurrency": 1,
        **changes.pop("grid", {}),
    }
    workload = {
        "arrivals": {"kind": "poisson", "rate": rate},
        "downloads": 10,
        "cancel": cancel,
    } | changes.pop("workload", {})
    file = {"k": 1, "n": n} | changes.pop("file", {})
    return scenario(stop="located", file=file, grid=grid, workload=workload, **changes)


@pytest.mark.parametrize(
    ("of", "mean"),
    [
        (load(3.0), 1.0),  # 1 / (n mu - lambda): copies on all servers
        (load(3.0, grid={"subset": 4}), 1.0),
        (load(2.0, grid={"subset": 1}), 2.0),  # M/M/1 at a load of 1/2
        (load(2.0, cancel=False, grid={"subset": 1}), 2.0),
        (load(2.0, cancel=False, grid={"subset": 1, "service": constant(1.0)}), 1.5),  # M/D/1
        (load(1.0, n=2, grid={"tied": True}), 4 / 3),  # M/M/2 at a load of 1/2
        (load(0.5, n=1, grid={"tied": True}), 2.0),
    ],
)
def test_loads(of: Scenario, mean: float) -> None:
    """Textbook queues are special cases."""
    assert exact(of, "first-k", "mean") == pytest.approx(mean)


@pytest.mark.parametrize(
    ("of", "measure", "words"),
    [
        (load(), "p99", "only the mean"),
        (load(file={"k": 2}), "mean", "one answer"),
        (load(grid={"concurrency": 2}), "mean", "one at a time"),
        (load(workload={"arrivals": {"kind": "fixed", "rate": 1.0}}), "mean", "at random"),
        (load(cancel=False, grid={"subset": 3}), "mean", "is not known"),
        (load(grid={"subset": 2, "service": constant(1.0)}), "mean", "be exponential"),
        (scenario(hung("0", end=5.0), stop="located"), "mean", "drawn by the seed may hang"),
        (scenario(stop="located", grid={"subset": 3}), "located", "should put one version"),
        (
            scenario({"select": {"count": 1}, "fault": {"kind": "hung"}}, stop="located"),
            "mean",
            "independently",
        ),
        (scenario(stop="located", grid={"servers": 4}), "mean", "one share at most"),
    ],
)
def test_unknown(of: Scenario, measure: str, words: str) -> None:
    """A quantity without a closed form here is refused, with the reason."""
    with pytest.raises(NoOracleError, match=words):
        exact(of, "first-k", measure)
