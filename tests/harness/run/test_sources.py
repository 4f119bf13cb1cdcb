"""The source lines of requests: on demand for our strategies, always for other downloaders."""

from __future__ import annotations

import linecache
from pathlib import Path

import pytest

from firstk.downloader.strategy import STRATEGIES
from firstk.harness.grid.trace import Exchange
from firstk.harness.run.simulate import observe, simulate
from firstk.harness.run.under_test import is_strategy_code
from tests.harness.making import hung, scenario

#: A download with a server that hangs for a time and a corrupt one: there are hedges and spares.
TROUBLED = scenario(
    hung("0", end=3.0), {"select": "1", "fault": {"kind": "corrupt", "part": "block"}}
)


def lines(exchanges: list[Exchange]) -> set[str]:
    """Return the text of the lines that sent requests, each with the name of its file."""
    return {
        f"{Path(one.source.path).name}: {linecache.getline(one.source.path, one.source.line)}"
        for one in exchanges
        if one.source is not None
    }


@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_lines(strategy: str) -> None:
    """Each request has a line of the downloader, and reads have other lines than queries."""
    run = observe(TROUBLED, strategy, sources=True)
    exchanges = run.trace.exchanges
    found = {
        kind: lines([one for one in exchanges if one.operation == kind])
        for kind in ("get_buckets", "read")
    }

    assert [str(one) for one in exchanges if one.source is None] == []
    assert found["get_buckets"] == {"locate.py: " + " " * 12 + "self._query(len(self._answers))\n"}
    assert found["read"]
    assert not found["read"] & found["get_buckets"]


def test_reasons() -> None:
    """The line of a read shows its purpose, not the function that all reads pass through."""
    exchanges = observe(TROUBLED, "first-k-late", sources=True).trace.exchanges
    functions = {one.source.function for one in exchanges if one.source is not None}

    assert functions == {
        "ask_more", "_open", "uri_extension", "crypttext_hashes", "block", "_read_hashes",
    }  # fmt: skip


@pytest.mark.parametrize("strategy", ["first-k", "windowed", "hedged"])
def test_equal_digest(strategy: str) -> None:
    """Recording lines does not change a run, and they are recorded only on demand."""
    plain = simulate(TROUBLED, strategy)

    assert observe(TROUBLED, strategy, sources=True).result == plain.result
    assert {one.source for one in plain.trace.exchanges} == {None}


def test_strategy_code() -> None:
    """The session, which every request passes through, does not count as strategy code."""
    assert is_strategy_code("firstk.downloader.fetch")
    assert not is_strategy_code("firstk.downloader.session")
    assert not is_strategy_code("mine.fetch")
