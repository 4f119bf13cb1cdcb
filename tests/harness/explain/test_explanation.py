"""Explanations: the line that waits in every style of code, and the cause of each failure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from firstk.harness.explain.explanation import Explanation, explain
from firstk.scenarios.model import Expectation, Scenario
from tests.harness.explain import downloaders
from tests.harness.making import constant, hung, scenario

_FILE = "tests/harness/explain/downloaders.py"

OK = Expectation(outcome="ok")


def line(name: str) -> str:
    """Return FILE:LINE of a marked line in the downloaders."""
    lines = Path(downloaders.__file__).read_text("utf-8").splitlines()
    (number,) = (i for i, text in enumerate(lines, 1) if text.endswith(f"# LINE {name}"))
    return f"{_FILE}:{number}"


def why(case: Scenario, subject: Any, **expected: Any) -> Explanation:
    """Return the explanation of a run."""
    found = explain(case, subject, 0, Expectation(**expected) if expected else None)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "how", "chain"),
    [
        ("awaits", "await DeferredList", "awaits, DeferredList, get_buckets(s7)"),
        ("nested", "await get_buckets(s7)", "nested, DeferredList, _ask, get_buckets(s7)"),
        ("yields", "yield get_buckets(s7)", "yields, _each, get_buckets(s7)"),
        ("iterates", "await get_buckets(s7)", "iterates, _answers, get_buckets(s7)"),
    ],
)
def test_frames(name: str, how: str, chain: str) -> None:
    """The waiting line is that of the innermost frame, and the chain leads to the server."""
    found = why(scenario(hung("7")), getattr(downloaders, name))

    assert found.who == "never answered: s7"
    assert f"{line(name)}, {how}" == found.where
    assert chain == found.chain
    assert found.cause.startswith("one fault: s7 hung; without it ok at ")


@pytest.mark.parametrize(
    ("name", "callback"), [("calls_back", "got"), ("methods", "heard")], ids=str
)
def test_callbacks(name: str, callback: str) -> None:
    """Without a waiting frame, it is the callback that the answer would have called."""
    found = why(scenario(hung("7")), getattr(downloaders, name))

    assert found.where.startswith(f"{line(name)}, callback {callback}, of the get_buckets(s7) that")
    assert f"{name}, {callback}, get_buckets(s7)" == found.chain


def test_chained() -> None:
    """If only Deferreds wait, it is the line that sent the request."""
    found = why(scenario(hung("7")), downloaders.chained)

    assert f"{line('chained')}, get_buckets(s7)" == found.where
    assert found.chain == "chained, get_buckets(s7)"


def test_nothing_fires() -> None:
    """A forgotten Deferred is reported as one that nothing fires, and no server is at fault."""
    found = why(scenario({"select": "4", "fault": {"kind": "broken"}}), downloaders.loses)

    assert found.who == "no server: every request was answered"
    assert f"{line('loses')}, await a Deferred that nothing fires" == found.where
    assert found.chain == "loses, a Deferred that nothing fires"
    assert found.cause.startswith("one fault: s4 broken; without it ok at ")
    assert "nothing helps after 2.25 s" in found.cause  # s4 took the request up then


@pytest.mark.parametrize("strategy", ["wait-for-all", "windowed"])
def test_strategy(strategy: str) -> None:
    """A strategy's waiting line is in our own downloader."""
    on = ["get_buckets", "read"] if strategy == "wait-for-all" else ["read"]
    found = why(scenario(hung("0", on=on)), strategy)

    assert found.who == "never answered: s0"
    assert "firstk/downloader/" in found.where
    assert found.chain.startswith(f"{strategy}, ")
    assert found.chain.endswith("(s0)")


# Failures that are not stalls


def test_wrong_bytes() -> None:
    """Wrong bytes are explained by the server that sent them, the writing line, and the fault."""
    case = scenario(
        {"select": "0", "fault": {"kind": "corrupt", "part": "block"}},
        file={"k": 1, "n": 2, "size": 56},
        grid={"servers": 2},
    )
    found = why(case, downloaders.trusts, outcome="ok")

    assert found.who == "wrong bytes: s0"
    assert f"{line('trusts')}, wrote the wrong bytes" == found.where
    assert found.cause.startswith("one fault: s0 corrupt (block); without it")


def test_error() -> None:
    """An error is explained by the line that raised it, and the fault."""
    found = why(scenario({"select": "4", "fault": {"kind": "empty"}}), downloaders.breaks)

    assert found.who == "without shares: s4"
    assert f"{line('breaks')}, raised RuntimeError" == found.where
    assert found.chain.startswith("breaks, RuntimeError: ")
    assert found.cause.startswith("one fault: s4 empty; without it ok at ")


def test_late() -> None:
    """A late first byte is explained by what was awaited when it was due."""
    slow = {"select": "7", "fault": {"kind": "slow", "extra": 5.0}}
    found = why(scenario(slow), downloaders.awaits, ttfb_max=4.0)

    assert found.who == "no answer by 4 s: s7"
    assert f"{line('awaits')}, await DeferredList" == found.where
    assert found.chain == "awaits, DeferredList, get_buckets(s7)"
    assert found.cause.startswith("one fault: s7 slow (5); without it ok at 3 s")


def test_impossible() -> None:
    """If no download could be so early, the faults are not the cause."""
    found = why(scenario(), "hedged", ttfb_max=0.9)

    assert found.cause == (
        "no fault: a first byte by 0.9 s is impossible, the earliest possible is 1 s"
    )


def test_defect() -> None:
    """If a run fails without any fault, the servers are not the cause."""
    found = why(scenario(), "wait-for-all", outcome="failed")

    assert found.cause == "not the servers: none has a fault"


def test_chance() -> None:
    """A server that is slow by chance can be the cause."""
    law = {"law": "mixture", "weights": [20, 1], "laws": [constant(0.5), constant(50.0)]}
    case = scenario(grid={"rtt": law, "rtt_per": "server"}, seed=1)
    found = why(case, downloaders.awaits, ttfb_max=4.0)

    assert "slow by chance; without" in found.cause
    assert "ok at 3 s" in found.cause


def test_all_is_well() -> None:
    """A successful run has no explanation."""
    assert explain(scenario(), "hedged") is None


def test_expected_stall() -> None:
    """An expected stall is explained like any other."""
    found = why(scenario(hung("7")), "wait-for-all", outcome="stalled")

    assert found.cause.startswith("one fault: s7 hung; without it ok at 2.5 s")
