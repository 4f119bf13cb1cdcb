"""Strategies are data: named, frozen, and composed from the same fields by anybody."""

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from downloader.encode import encode
from downloader.strategy import STRATEGIES, Strategy, find_strategy
from tests.downloader.scenery import FOUR_PHASES, Download, manual_servers

FILE = encode(b"composed" * 8, k=2, n=4)


def test_names() -> None:
    """The four-phase strategies come first, and each goes by its own name."""
    assert list(FOUR_PHASES) == list(STRATEGIES)[:3]
    assert {name: name for name in STRATEGIES} == {n: s.name for n, s in STRATEGIES.items()}


def test_fields() -> None:
    """They differ in when locating ends, and in what becomes of late answers."""
    fields = [(s.locating_ends, s.late_answers) for s in map(find_strategy, FOUR_PHASES)]

    assert [
        ("all-answered", "ignored"),
        ("k-distinct", "ignored"),
        ("k-distinct", "used"),
    ] == fields


@pytest.mark.parametrize("name", STRATEGIES)
def test_find(name: str) -> None:
    """A strategy is found by its name, and one that is passed itself is returned."""
    assert STRATEGIES[name] is find_strategy(name)
    assert STRATEGIES[name] is find_strategy(STRATEGIES[name])


@pytest.mark.parametrize("name", ["", "first_k", "FIRST-K", "first-k "])
def test_unknown(name: str) -> None:
    """A name that no strategy has is refused; the error lists those that there are."""
    with pytest.raises(ValueError, match="there are wait-for-all, first-k, first-k-late"):
        find_strategy(name)


def test_frozen() -> None:
    """Nobody changes a strategy by accident, or the list of them."""
    named: Any = STRATEGIES
    with pytest.raises(FrozenInstanceError):
        STRATEGIES["first-k"].late_answers = "used"  # type: ignore[misc]
    with pytest.raises(TypeError):
        named["mine"] = STRATEGIES["first-k"]


def test_composed() -> None:
    """A strategy of a user's own is what its fields say: this one ignores its late answers."""
    mine = Strategy("mine", locating_ends="k-distinct", late_answers="ignored")
    servers = manual_servers(FILE.shares)
    run = Download(servers, FILE.cap, strategy=mine)
    servers[3].answer()

    assert not run.fired
    servers[1].answer()

    assert {1, 3} == run.done().shares_used


def test_composed_to_wait() -> None:
    """And this one waits for all."""
    mine = Strategy("mine", locating_ends="all-answered")
    servers = manual_servers(FILE.shares)
    run = Download(servers, FILE.cap, strategy=mine)
    for server in servers:
        assert not run.fired
        server.answer()

    assert {0, 1} == run.done().shares_used
