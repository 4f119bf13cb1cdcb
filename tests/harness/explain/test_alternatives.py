"""Alternatives: the runs of a scenario without some of its faults."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from firstk.harness.explain import alternatives as module
from firstk.harness.explain.alternatives import Gone, alternatives
from firstk.harness.explain.traits import removing
from firstk.harness.run.simulate import simulate
from firstk.scenarios.model import Scenario
from tests.harness.making import hung, scenario

FLAKY = {"kind": "flaky", "probability": 0.5}
SLOW = {"kind": "slow", "factor": 3.0}


def small(*servers: dict[str, Any], **changes: Any) -> Scenario:
    """Return a scenario of five servers for two strategies."""
    keys = {"strategies": ["first-k", "hedged"], "file": {"k": 2, "n": 5}, "grid": {"servers": 5}}
    return scenario(*servers, **(keys | changes))


def digests(made: Scenario) -> list[str]:
    """Return the digests of the first runs of a scenario."""
    return [simulate(made, strategy).result.digest for strategy in made.strategies]


def test_all_combinations() -> None:
    """Of three faults, all combinations are run, each as if the others were not in the file."""
    entries = [
        hung("0"),
        {"select": "1", "fault": SLOW},
        {"select": "2", "fault": {"kind": "broken"}},
    ]
    found = alternatives(small(*entries))
    expected = {
        Gone(gone): digests(small(*(e for i, e in enumerate(entries) if i not in gone)))
        for size in range(4)
        for gone in combinations(range(3), size)
    }

    assert {g: [r.result.digest for r in runs] for g, runs in found.runs.items()} == expected
    assert len({tuple(one) for one in expected.values()}) > 4
    assert found.most == 8
    assert found.words(Gone([0, 2])) == "s0 hung, s2 broken"


def test_draws() -> None:
    """The remaining faults of a server draw as if they were its only ones."""

    def made(*faults: dict[str, Any]) -> Scenario:
        return small({"select": "0-3", "fault": list(faults)}, seed=1)

    other = FLAKY | {"probability": 0.4, "on": ["read"]}
    found = alternatives(made(FLAKY, SLOW, other))
    flaky = [i for i, (trait, *_) in enumerate(found.faults) if trait.place == 0]
    gone = Gone(flaky)
    entries = removing(found.scenario, 1, [t for i in gone for t in found.faults[i]])
    changed = found.scenario.model_copy(update={"servers": [*found.scenario.servers, *entries]})

    assert digests(changed) == digests(made(SLOW, other))


def test_rolling() -> None:
    """Each server keeps its own times when faults of other servers are removed."""
    rolling = {"select": "0-2", "fault": {"kind": "hung", "end": 0.4, "rolling": 0.4}}
    found = alternatives(small(rolling))
    alone = {"select": "1", "fault": {"kind": "hung", "start": 0.4, "end": 0.8}}

    assert [run.result.digest for run in found.runs[Gone([0, 2])]] == digests(small(alone))


def test_many() -> None:
    """Of more than four faults, each is removed alone, and then all together."""
    found = alternatives(small(hung("all")))

    assert list(found.runs) == [
        Gone(), Gone(range(5)), Gone([0]), Gone([1]), Gone([2]), Gone([3]), Gone([4]),
    ]  # fmt: skip
    assert found.most == 32


def test_kinds() -> None:
    """If there are very many faults, all faults of one kind are removed together."""
    grid = {"servers": 30}
    found = alternatives(small(hung("0-19"), {"select": "20,21", "fault": SLOW}, grid=grid))

    assert [found.words(Gone([i])) for i in range(2)] == ["s0-s19 hung", "s20-s21 slow (3)"]
    assert len(found.runs) == found.most == 4


def test_too_many_kinds() -> None:
    """If there are very many kinds, all faults are removed together."""
    rolling = {"select": "all", "fault": {"kind": "hung", "end": 1.0, "rolling": 1.0}}
    found = alternatives(small(rolling, grid={"servers": 20}))

    assert len(found.faults) == 1
    assert list(found.runs) == [Gone(), Gone([0])]


def test_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """If downloads have many requests, only the first combinations are run."""
    monkeypatch.setattr(module, "_REQUESTS", 30)
    found = alternatives(small(hung("0-2")))

    assert list(found.runs) == [Gone(), Gone(range(3))]
    assert found.most == 8


def test_none() -> None:
    """Without faults, there is only the run itself."""
    found = alternatives(small())

    assert (found.faults, list(found.runs), found.most) == ([], [Gone()], 1)
