"""Generated faults of streams and connections are valid, and break no invariant."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from firstk.harness.fuzz.invariants import INVARIANTS
from firstk.harness.fuzz.observed import CheckedRun, ScenarioRuns
from firstk.harness.fuzz.swarm import tables
from firstk.harness.fuzz.transport import with_transport
from firstk.scenarios.load import from_tables

PLAIN: dict[str, Any] = {
    "name": "t",
    "file": {"size": 12_000, "k": 3, "n": 7, "segment_size": 5000},
    "grid": {"servers": 7, "rtt": {"law": "constant", "value": 0.25}},
    "deadline": 1e6,
}


def drawn(seed: int) -> dict[str, Any]:
    """Return the scenario of a seed."""
    return with_transport(Random(seed).randrange, PLAIN)


def test_plainest() -> None:
    """All zeros add nothing."""
    assert with_transport(lambda below: 0, PLAIN) == PLAIN


def test_valid() -> None:
    """All generated scenarios are valid, and all keys occur."""
    made = [drawn(seed) for seed in range(400)]
    for one in made:
        from_tables(one)
    faults = [entry["fault"] for one in made for entry in one.get("servers", ())]

    assert {fault["kind"] for fault in faults} >= {"trickle", "stall", "throttled", "disconnect"}
    assert {key for fault in faults for key in fault} >= {
        *("on", "shares", "after_bytes", "after_requests", "until", "fails_after"),
    }
    assert any("connect" in one["grid"] for one in made)


def test_few_pieces() -> None:
    """No generated scenario takes minutes because a large file is sent byte by byte."""
    pieces, large = [], 0
    for seed in range(600):
        made = tables(Random(seed).randrange)
        for entry in made.get("servers", ()):
            several = entry.get("fault", [])
            for fault in several if isinstance(several, list) else [several]:
                if fault["kind"] == "trickle":
                    pieces.append(made["file"]["size"] / fault["piece"])
                    large += made["file"]["size"] > 100_000

    assert large
    assert max(pieces) <= 200


@pytest.mark.parametrize("strategy", ["first-k", "hedged"])
def test_no_invariant_is_broken(strategy: str) -> None:
    """Strategies keep all invariants, whatever happens to streams and connections."""
    for seed in range(40):
        case = ScenarioRuns(from_tables(drawn(seed)))
        trial = CheckedRun(case, strategy)
        broken = {one.name: got for one in INVARIANTS if one.demanded and (got := one.check(trial))}

        assert broken == {}, seed
