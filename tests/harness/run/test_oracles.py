"""The numbers of the simulator agree with theory, exactly where possible.

`located` is the end of one stage: N servers are asked at once, and enough of them answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import comb, inf, sqrt
from typing import Any

import pytest

from firstk.harness.run.result import Result
from firstk.harness.run.simulate import simulate
from firstk.harness.stats.estimates import z_of_count, z_of_mean
from firstk.scenarios.model import Scenario
from tests import reference
from tests.harness.making import constant, exponential, hung, scenario
from tests.marks import few

BOTH = ["wait-for-all", "first-k"]
PER = pytest.mark.parametrize("per", ["request", "server"])

#: Every law that has a closed form, at one scale.
LAWS: list[dict[str, Any]] = [
    constant(0.1),
    {"law": "uniform", "low": 0.1, "high": 0.3},
    exponential(0.1),
    {"law": "shifted-exponential", "shift": 0.05, "mean": 0.05},
    {"law": "lognormal", "median": 0.1, "sigma": 1.0},
    {"law": "pareto", "alpha": 1.5, "scale": 0.05},
    {"law": "mixture", "weights": [3, 1], "laws": [exponential(0.1), constant(0.7)]},
]

#: The keys of a law or a fault that are times.
TIMES = {"value", "low", "high", "mean", "shift", "median", "scale", "start", "end", "extra"}

#: The keys that are bytes per time.
RATES = {"bandwidth", "client_bandwidth"}


def stage(*servers: dict[str, Any], **changes: Any) -> Scenario:
    """Return a scenario of exponential round trips with a mean of a second."""
    grid = {"rtt": exponential(), **changes.pop("grid", {})}
    return scenario(*servers, grid=grid, stop="located", **changes)


def located(of: Scenario, strategy: str, run: int = 0) -> float:
    """Return when enough shares are located; infinity if they never are."""
    time = simulate(of, strategy, run).result.located
    return inf if time is None else time


def harmonic(n: int) -> float:
    """Return 1 + 1/2 + ... + 1/n."""
    return sum(1 / i for i in range(1, n + 1))


# Without a tolerance


@PER
def test_first_k_is_never_later(per: str) -> None:
    """First-K locates its shares no later than wait-for-all, and mostly earlier."""
    made = stage(grid={"rtt_per": per})
    times = [[located(made, strategy, run) for strategy in BOTH] for run in range(80)]

    assert all(first <= last for last, first in times)
    assert sum(first < last for last, first in times) > 75


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("strategy", BOTH)
def test_more_shares_needed(strategy: str, seed: int) -> None:
    """Locating more shares never takes less time."""
    times = [located(stage(file={"k": k}), strategy, seed) for k in range(1, 11)]

    assert times == sorted(times)
    assert (10 if strategy == "first-k" else 1) == len(set(times))


@pytest.mark.parametrize("seed", range(10))
def test_kth_answer(seed: int) -> None:
    """First-K locates its shares at the K-th answer, wait-for-all at the last."""
    run = simulate(stage(), "first-k", seed)
    answers = sorted(
        e.ended for e in run.trace.exchanges if e.operation == "get_buckets" and e.ended is not None
    )

    assert (answers[2], answers[9]) == (run.result.located, located(stage(), "wait-for-all", seed))


@pytest.mark.parametrize("seed", range(10))
def test_more_hung_servers(seed: int) -> None:
    """One more hung server never helps, and the first one stalls wait-for-all."""
    for strategy in BOTH:
        times = [located(stage(), strategy, seed)]
        times += [located(stage(hung(f"0-{last}")), strategy, seed) for last in range(10)]

        assert times == sorted(times)
        assert [inf] * (3 if strategy == "first-k" else 10) == [t for t in times if t == inf]


@pytest.mark.parametrize("number", range(10))
def test_any_hung_server(number: int) -> None:
    """A hung server never helps, and it delays first-K if it was one of the first K."""
    good = simulate(stage(), "first-k")
    time = good.result.located
    assert time is not None
    first = {e.server for e in good.trace.exchanges if e.ended is not None and e.ended <= time}
    with_hung = located(stage(hung(str(number))), "first-k")

    assert len(first) == 3
    assert (f"s{number}" in first) == (with_hung > time)
    assert with_hung >= time


def times_four(table: Any) -> Any:
    """Return a law, an entry or a grid with every time multiplied by four."""
    if isinstance(table, list):
        return [times_four(one) for one in table]
    if not isinstance(table, dict):
        return table

    def scaled(key: str, value: Any) -> Any:
        return 4 * value if key in TIMES else value / 4 if key in RATES else times_four(value)

    return {key: scaled(key, value) for key, value in table.items()}


def four_times(result: Result) -> Result:
    """Return a result with every time multiplied by four, without its digest."""

    def scaled(time: float | None) -> float | None:
        return None if time is None else 4 * time

    return replace(
        result,
        located=scaled(result.located),
        ttfb=scaled(result.ttfb),
        finished=scaled(result.finished),
        ended=4 * result.ended,
        digest="",
    )


#: Limits that make requests wait for one another.
QUEUES = {"service": exponential(0.1), "concurrency": 1, "bandwidth": 999, "client_bandwidth": 7e3}


@PER
@pytest.mark.parametrize("strategy", BOTH)
@pytest.mark.parametrize("law", few(3, LAWS), ids=lambda law: law["law"])
@pytest.mark.parametrize("queues", [{}, QUEUES], ids=["", "queues"])
def test_scale(law: dict[str, Any], queues: dict[str, Any], strategy: str, per: str) -> None:
    """Multiplying every time by four makes every result exactly four times as late."""
    troubles = [
        {"select": "1", "fault": {"kind": "slow", "factor": 3, "extra": 0.1}},
        {"select": "2", "fault": {"kind": "broken", "start": 0.3, "end": 0.9}},
        hung("3", start=0.1, end=1.1),
        {"select": "4", "fault": {"kind": "disconnect", "start": 0.2, "end": 1.3}},
        {"select": "5", "fault": {"kind": "flaky", "probability": 0.2}},
    ]
    grid = {"rtt": law, "rtt_per": per, **queues}
    file = {"size": 150, "segment_size": 30}
    small = scenario(*troubles, file=file, grid=grid, deadline=64)
    large = scenario(*times_four(troubles), file=file, grid=times_four(grid), deadline=256)
    for run in range(5):
        expected = four_times(simulate(small, strategy, run).result)

        assert expected == replace(simulate(large, strategy, run).result, digest="")


@PER
@pytest.mark.parametrize("seed", range(20))
def test_all_needed(per: str, seed: int) -> None:
    """If every share is needed, both strategies do exactly the same."""
    made = stage(file={"k": 10}, grid={"rtt_per": per})
    one, other = (simulate(made, strategy, seed).result for strategy in BOTH)

    assert replace(one, strategy="first-k") == other


@pytest.mark.parametrize("strategy", [*BOTH, "first-k-late"])
@pytest.mark.parametrize("rtt", [0.0625, 0.5, 1.0])
def test_constant_replies(rtt: float, strategy: str) -> None:
    """On a good grid, phase 1 takes a round trip, and the first byte takes five."""
    result = simulate(scenario(grid={"rtt": constant(rtt)}), strategy).result

    assert (rtt, 5 * rtt) == (result.located, result.ttfb)


@pytest.mark.parametrize("strategy", BOTH)
@pytest.mark.parametrize("rtt", [0.05, 0.1, 1 / 3, 1e-9, 12345.678])
def test_any_constant_reply(rtt: float, strategy: str) -> None:
    """Whatever the round trip is, phase 1 takes exactly that."""
    made = scenario(grid={"rtt": constant(rtt)}, deadline=1e6)

    assert rtt == located(made, strategy)


@pytest.mark.parametrize("rtt", [0.0625, 0.5, 1.0])
@pytest.mark.parametrize("factor", [1, 4, 64])
def test_slowest(rtt: float, factor: int) -> None:
    """Wait-for-all has its first byte four round trips after the slowest answer."""
    slow = {"select": "9", "fault": {"kind": "slow", "factor": factor}}
    made = scenario(slow, grid={"rtt": constant(rtt)})
    last, first = (simulate(made, strategy).result.ttfb for strategy in BOTH)

    assert (factor * rtt + 4 * rtt, 5 * rtt) == (last, first)


@pytest.mark.parametrize("order", ["permuted", "shuffled"])
@pytest.mark.parametrize("strategy", BOTH)
def test_order(strategy: str, order: str) -> None:
    """The order in which servers are queried at once does not change when they answer."""
    times = [located(stage(), strategy, run) for run in range(20)]

    assert times == [located(stage(grid={"order": order}), strategy, run) for run in range(20)]


@PER
def test_one_more_server_in_time(per: str) -> None:
    """One more server, with one more share, never delays first-K, nor speeds up wait-for-all."""
    few = stage(file={"n": 10}, grid={"rtt_per": per})
    many = stage(file={"n": 11}, grid={"rtt_per": per, "servers": 11})

    for run in range(20):
        assert located(many, "first-k", run) <= located(few, "first-k", run)
        assert located(many, "wait-for-all", run) >= located(few, "wait-for-all", run)


@pytest.mark.parametrize("strategy", BOTH)
@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        ({"bandwidth": 2**18}, 1),  # each block over its own uplink
        ({"client_bandwidth": 2**18}, 3),  # three blocks over one downlink
        ({"bandwidth": 2**18, "client_bandwidth": 2**19}, 1.5),
        ({"bandwidth": 2**17, "client_bandwidth": 2**30}, 2),
    ],
)
def test_large_blocks(lines: dict[str, Any], seconds: float, strategy: str) -> None:
    """Blocks of 256 KiB take their size divided by the bandwidth, and the rest little more."""
    made = scenario(file={"size": 3 * 2**18}, grid=lines)
    time = simulate(made, strategy).result.ttfb
    assert time is not None

    assert 2.5 + seconds <= time < 2.5 + 1.1 * seconds


# Within four standard errors


def check_mean(of: Scenario, strategy: str, runs: int, mean: float, variance: float) -> None:
    """Compare the mean of `located` with the expected one."""
    times = [located(of, strategy, run) for run in range(runs)]
    z = (sum(times) / runs - mean) / sqrt(variance / runs)

    assert abs(z) < 4, f"{sum(times) / runs} instead of {mean}: {z} standard errors"


def check_exponential(strategy: str, per: str, runs: int) -> None:
    """Compare the mean of exponential answers with the sum of 1/i."""
    needed = 3 if strategy == "first-k" else 10
    check_mean(
        stage(grid={"rtt_per": per}, seed=928),
        strategy,
        runs,
        mean=harmonic(10) - harmonic(10 - needed),
        variance=sum(1 / i**2 for i in range(10 - needed + 1, 11)),
    )


@PER
@pytest.mark.parametrize("strategy", few(1, BOTH))
def test_exponential(strategy: str, per: str) -> None:
    """The K-th of N exponential answers comes after H_N - H_(N-K) on average."""
    check_exponential(strategy, per, runs=500)


@pytest.mark.slow
@PER
@pytest.mark.parametrize("strategy", BOTH)
def test_exponential_closely(strategy: str, per: str) -> None:
    """The same, with an error four times smaller."""
    check_exponential(strategy, per, runs=20_000)


@pytest.mark.parametrize("strategy", few(1, BOTH))
def test_uniform(strategy: str) -> None:
    """The K-th of N uniform answers comes at K / (N + 1) of the range on average."""
    needed = 3 if strategy == "first-k" else 10
    law = {"law": "uniform", "low": 1.0, "high": 2.0}
    check_mean(
        stage(grid={"rtt": law}),
        strategy,
        runs=300,
        mean=1 + needed / 11,
        variance=needed * (11 - needed) / (11**2 * 12),
    )


def test_hung_servers() -> None:
    """With h hung servers, the K-th of N - h answers counts."""
    check_mean(
        stage(hung("0-4")),
        "first-k",
        runs=300,
        mean=harmonic(5) - harmonic(2),
        variance=sum(1 / i**2 for i in (3, 4, 5)),
    )


@pytest.mark.parametrize("strategy", few(1, BOTH))
def test_servers_hang_at_random(strategy: str) -> None:
    """A stage ends as often as enough servers do not hang."""
    made = stage({"select": {"probability": 0.6}, "fault": {"kind": "hung"}})
    if strategy == "wait-for-all":
        made = stage({"select": {"probability": 0.1}, "fault": {"kind": "hung"}})
        expected = 0.9**10
    else:
        expected = sum(comb(10, good) * 0.4**good * 0.6 ** (10 - good) for good in range(3, 11))
    runs = 300
    ended = sum(located(made, strategy, run) < inf for run in range(runs))

    assert abs(ended - runs * expected) < 4 * sqrt(runs * expected * (1 - expected))


# Against the tables of the reference, which was computed without firstk

#: Fewer times than this do not have a nearly normal mean.
_ENOUGH_FOR_A_MEAN = 30

RUNS = pytest.mark.parametrize("runs", [40, pytest.param(3000, marks=pytest.mark.slow)])


def check(
    of: Scenario, strategy: str, runs: int, expected: Mapping[str, Any], check_mean: bool = True
) -> None:
    """Compare `located` with a table: how often it ends, its quantiles, and its mean.

    How many runs come by a quantile is binomial, however heavy a tail is.
    """
    times = [located(of, strategy, run) for run in range(runs)]
    came = [time for time in times if time < inf]
    success = expected.get("p_success", 1.0)
    for part, until in [
        (1.0, inf),
        *((p / 100, expected[f"p{p}"]) for p in (50, 90, 99) if f"p{p}" in expected),
    ]:
        count = sum(time <= until for time in came)

        assert abs(z_of_count(count, runs, part * success)) < 4, f"{count} of {runs} until {until}"
    if check_mean and len(came) >= _ENOUGH_FOR_A_MEAN:
        z = z_of_mean(came, expected["mean"])

        assert z is not None
        assert abs(z) < 4


@RUNS
@pytest.mark.parametrize("table", few(6, reference.STAGES), ids=reference.name_of_stage)
def test_stages(table: dict[str, Any], runs: int) -> None:
    """The K-th and the last answer come as in the table, even if servers may hang.

    The last of several Pareto times with an alpha of 2 has infinite variance, and if servers
    hang, the third may be the last: the mean is not checked there.
    """
    hangs = {"select": {"probability": table["p_hung"]}, "fault": {"kind": "hung"}}
    made = stage(
        *([hangs] if table["p_hung"] else []),
        file={"k": table["K"], "n": table["N"]},
        grid={"servers": table["N"], "rtt": reference.LAWS[table["law"]]},
        seed=928,
    )
    first = table["strategy"] == "first_k"
    has_variance = table["law"] != "pareto2" or (first and not table["p_hung"])
    check(made, "first-k" if first else "wait-for-all", runs, table, has_variance)


@RUNS
@pytest.mark.parametrize("number", range(9))
def test_so_many_hung_servers(number: int, runs: int) -> None:
    """Exactly this many servers hang, chosen at random."""
    hangs = {"select": {"count": number}, "fault": {"kind": "hung"}}
    made = stage(*([hangs] if number else []), seed=928)
    expected = reference.HUNG[number]
    check(made, "first-k", runs, {"mean": expected, "p_success": float(expected is not None)})


@RUNS
@pytest.mark.parametrize("kind", ["plain", "hung01"])
@pytest.mark.parametrize(
    "table", reference.DUPLICATES, ids=lambda table: f"{len(table['copies'])}-shares"
)
def test_duplicates(table: dict[str, Any], kind: str, runs: int) -> None:
    """Shares on several servers count only once."""
    copies = table["copies"]
    holders = [share for share, count in enumerate(copies) for _ in range(count)]
    entries: list[dict[str, Any]]
    entries = [{"select": str(i), "shares": [share]} for i, share in enumerate(holders)]
    if kind == "hung01":
        entries.append({"select": {"probability": 0.1}, "fault": {"kind": "hung"}})
    made = stage(
        *entries,
        file={"k": table["K"], "n": len(copies)},
        grid={"servers": len(holders)},
        seed=928,
    )
    check(made, "first-k", runs, table[kind])
