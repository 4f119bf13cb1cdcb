"""A run with too many events at one virtual time ends, and reports what repeats."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
import simpy
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from firstk.harness.kernel import livelock as endless
from firstk.harness.kernel.livelock import LivelockError
from firstk.harness.kernel.reactor import SimReactor
from firstk.harness.run.simulate import simulate
from firstk.harness.run.workload import simulate_workload
from firstk.harness.testing.simgrid import SimGrid
from tests.harness.making import constant, scenario

HERE = "tests.harness.downloaders"

#: Downloaders, and what repeats in each.
REPEATING = {
    "turning": "callLater turning.<locals>.again at tests/harness/downloaders.py:",
    "calling": "callFromThread calling.<locals>.again at tests/harness/downloaders.py:",
    "storming": "get_buckets s0 at tests/harness/downloaders.py:",
    "iterating": "iterate of the reactor at tests/harness/downloaders.py:",
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n == "storming")) for n in REPEATING]
)
def test_repeats(name: str) -> None:
    """Timers, callFromThread, requests and iterate are all counted; the line is reported."""
    result = simulate(scenario(grid={"servers": 10, "rtt": constant(0.0)}), f"{HERE}:{name}").result

    assert (result.outcome, result.error) == ("failed", "LivelockError")
    assert f"what repeats is {REPEATING[name]}" in (result.message or "")
    assert f"in {'again' if name in ('turning', 'calling') else name}" in (result.message or "")


def test_coroutine() -> None:
    """The line is that of the code under test, even if a library sets the timer."""

    async def waiting(reactor: Any, *_: Any) -> None:
        while True:
            await deferLater(reactor, 0)

    message = simulate(scenario(), waiting).result.message or ""

    assert (
        "what repeats is callLater Deferred.callback at tests/harness/kernel/test_livelock.py:"
        in message
    )


def test_grid() -> None:
    """A grid can be used after a livelock."""
    with SimGrid() as grid:
        assert grid.download(f"{HERE}:turning").error == "LivelockError"
        assert grid.download("first-k").outcome == "ok"


def test_load() -> None:
    """In a workload, the livelock fails each download by itself."""
    load = {"arrivals": {"kind": "fixed", "rate": 1.0}, "downloads": 2}

    assert simulate_workload(scenario(workload=load), f"{HERE}:turning").errors == {
        "LivelockError": 2
    }


def test_process() -> None:
    """The reactor detects a SimPy process of code under test that never advances."""

    def never(env: simpy.Environment) -> Generator[Any, Any, None]:
        while True:
            yield env.timeout(0)

    def processing(reactor: Any, *_: Any) -> Deferred[None]:
        reactor.env.process(never(reactor.env))
        return Deferred()

    result = simulate(scenario(), processing).result

    assert result.error == "LivelockError"
    assert "process never at " in (result.message or "")


def test_reactor() -> None:
    """A reactor on its own ends such a loop too."""
    reactor = SimReactor()

    def again() -> None:
        reactor.callLater(0, again)

    again()
    with pytest.raises(LivelockError, match=r"again at .*test_livelock\.py:"):
        reactor.run()


def test_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events at different times are not counted together."""
    monkeypatch.setattr(endless, "MOST_AT_ONCE", 2_000)

    def busy(reactor: Any, *_: Any) -> Deferred[None]:
        done: Deferred[None] = Deferred()

        def again(left: int) -> None:
            if left:
                reactor.callLater(0.001, again, left - 1)
            else:
                done.errback(KeyError("done"))

        again(5_000)
        return done

    assert simulate(scenario(), busy).result.error == "KeyError"


def test_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """A download without any round-trip time is not a livelock, however many segments it has."""
    monkeypatch.setattr(endless, "MOST_AT_ONCE", 1_500)
    of = scenario(
        file={"size": 400_000, "k": 3, "n": 10, "segment_size": 300},
        grid={"servers": 10, "rtt": constant(0.0)},
    )

    assert simulate(of, "first-k").result.outcome == "ok"
