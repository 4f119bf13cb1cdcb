"""Causes, compared with brute force: every subset of the faults, and every moment."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

import pytest

from firstk.harness.explain.cause import Counterfactuals, cause_of, is_well
from firstk.harness.explain.traits import Trait, traits_of, without
from firstk.harness.run.simulate import simulate
from firstk.scenarios.model import Scenario
from tests.harness.making import hung, scenario

#: Scenarios with known causes: the entries, the strategy, and the size of each minimal set.
KNOWN: dict[str, tuple[list[dict[str, Any]], str, set[frozenset[int]]]] = {
    "one hung": ([hung("3")], "wait-for-all", {frozenset({3})}),
    "two hung": ([hung("0,4")], "wait-for-all", {frozenset({0, 4})}),
    "hung and slow": (
        [hung("3"), {"select": "4", "fault": {"kind": "slow", "factor": 2.0}}],
        "wait-for-all",
        {frozenset({3})},
    ),
    "either of three": (
        [{"select": "2-4", "fault": {"kind": "broken"}}],
        "first-k",
        {frozenset({2}), frozenset({3}), frozenset({4})},
    ),
    "one, or two": (
        [
            {"select": "0", "shares": [0, 1]},
            {"select": "1,2", "shares": [2]},
            {"select": "0", "fault": {"kind": "broken"}},
            {"select": "1,2", "fault": {"kind": "empty"}},
            {"select": "3,4", "shares": []},
        ],
        "first-k",
        {frozenset({0, 1}), frozenset({0, 2})},
    ),
    "corrupt": (
        [{"select": "0,2,4", "fault": {"kind": "corrupt", "part": "block"}}],
        "hedged",
        {frozenset({0}), frozenset({2}), frozenset({4})},
    ),
}


def case(name: str) -> tuple[Scenario, str, set[frozenset[int]]]:
    """Return a scenario of five servers that fails for a known reason."""
    entries, strategy, servers = KNOWN[name]
    made = scenario(*entries, file={"k": 3, "n": 5}, grid={"servers": 5})
    return made, strategy, servers


def tried(made: Scenario, strategy: str) -> Counterfactuals:
    """Return the runs to compare a failed one with."""
    return Counterfactuals(made, strategy, 0, None, simulate(made, strategy))


def faults(made: Scenario) -> list[Trait]:
    """Return the faults of a scenario."""
    return [trait for trait in traits_of(made, made.seed) if trait.kind == "fault"]


@pytest.mark.parametrize("name", KNOWN)
def test_brute_force(name: str) -> None:
    """The minimal sets equal those found by trying all subsets of the faults."""
    made, strategy, servers = case(name)
    some = faults(made)
    well = []
    for size in range(len(some) + 1):
        for gone in combinations(range(len(some)), size):
            changed = without(made, 0, [some[i] for i in gone])
            if is_well(None, simulate(changed, strategy).result):
                well.append(set(gone))
    minimal = {tuple(sorted(w)) for w in well if not any(other < w for other in well)}
    found = tried(made, strategy).minimal(some)

    assert found is not None
    assert minimal == set(found.sets)
    assert servers == {frozenset(some[i].server for i in one) for one in found.sets}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("one hung", "one fault: s3 hung; without it ok at 2.5 s; healing helps at any time"),
        ("two hung", "2 faults: s0, s4 hung; without both ok at 2.5 s; healing"),
        ("either of three", "3 faults: s2-s4 broken; without any one of them ok at 2.5 s; nothing"),
        ("one, or two", "3 faults: s0 broken, s1-s2 empty; without any"),
    ],
)
def test_words(name: str, said: str) -> None:
    """A cause is one sentence."""
    made, strategy, _ = case(name)
    if name == "one, or two":
        said = "either [s0 broken, s1 empty] or [s0 broken, s2 empty]; without the first ok at 2.5"

    assert cause_of(tried(made, strategy)).startswith(said)


@pytest.mark.parametrize("name", ["either of three", "corrupt"])
def test_moment(name: str) -> None:
    """Healing before the moment helps, and healing after it does not: at each of 200 times."""
    made, strategy, _ = case(name)
    runs = tried(made, strategy)
    first = faults(made)[0]
    said = cause_of(runs)
    moment = float(re.findall(r"nothing helps after ([\d.]+) s", said)[0])
    times = [runs.run.result.ended * i / 100 for i in range(200)]
    helps = [time for time in times if runs.well([first], time)]

    assert max(helps) <= moment * 1.01
    assert [time for time in times if time > moment * 1.01 and time in helps] == []
    assert max(helps) > moment - runs.run.result.ended / 50


def test_draws_stay() -> None:
    """Without one random fault, the other fault of the server draws the same numbers."""
    flaky = {"kind": "flaky", "probability": 0.5}
    made = scenario({"select": "all", "fault": [flaky, flaky]}, seed=4)
    never = scenario({"select": "all", "fault": [flaky | {"probability": 0.0}, flaky]}, seed=4)
    alone = scenario({"select": "all", "fault": [flaky]}, seed=4)
    mended = without(made, 4, [one for one in traits_of(made, 4) if not one.place])
    digests = [simulate(one, "first-k").result.digest for one in (mended, never, alone)]

    assert digests[0] == digests[1] != digests[2]


def test_everything_special() -> None:
    """Servers differ by faults, round trips, bandwidths, service times and shares."""
    made = scenario(
        {
            "select": "2",
            "fault": [{"kind": "hung", "on": ["read"], "start": 1.0, "end": 2.0}],
            "rtt": {"law": "constant", "value": 9.0},
            "bandwidth": 10.0,
            "service": {"law": "constant", "value": 9.0},
            "shares": [1],
        }
    )
    found = traits_of(made, 0)
    plain = scenario()

    assert [trait.words for trait in found] == [
        "hung (read) at 1 s until 2 s",
        "with a round trip of its own",
        "with a bandwidth of its own",
        "with a service time of its own",
        "with other shares",
    ]
    mended = simulate(without(made, 0, found), "wait-for-all").result
    assert mended.ttfb == pytest.approx(simulate(plain, "wait-for-all").result.ttfb)
