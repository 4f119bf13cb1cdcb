"""One download, compared with a bare SimPy model of its messages and with Tahoe-LAFS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec

import simpy

from firstk.harness.run.simulate import simulate
from firstk.scenarios.load import from_tables
from firstk.scenarios.model import Scenario
from tests.benchmarks.measure import Figure, in_turn

#: The number of downloads in a measurement, each with its own seed.
_DOWNLOADS = 100

_STRATEGY = "windowed"  # it sends the same requests as Tahoe-LAFS


def scenario(hung: int = 0, **file: int) -> Scenario:
    """Return the scenario that is measured: 40,000 bytes, 3 of 10, some servers hung."""
    return from_tables(
        {
            "name": "bench",
            "file": {"size": 40_000, "k": 3, "n": 10, **file},
            "grid": {"servers": 10, "rtt": {"law": "constant", "value": 0.05}},
            "servers": [
                {"select": {"count": hung}, "fault": {"kind": "hung"}} if hung else {"select": "0"}
            ],
        }
    )


def figures(rounds: int) -> Iterator[Figure]:
    """Yield the time of a download over that of its peers."""
    for hung in (0, 7):
        one = scenario(hung)
        run = simulate(one, _STRATEGY)
        assert run.result.outcome == "ok"
        exchanges = [
            (e.sent, None if e.ended is None else e.ended - e.sent) for e in run.trace.exchanges
        ]
        times = in_turn(_downloads(one, _STRATEGY), _messages(exchanges), rounds)
        yield Figure(
            f"a download, {hung} hung, messages",
            [own / peer for own, peer in times],
            20,
            at_least=False,
            note=f"time over that of a bare SimPy model of its {len(exchanges)} messages",
        )
        if find_spec("allmydata") is None:
            continue
        times = in_turn(_downloads(one, _STRATEGY), _downloads(one, "tahoe"), rounds)
        yield Figure(
            f"a download, {hung} hung, Tahoe-LAFS",
            [peer / own for own, peer in times],
            4.5,
            at_least=True,
            note="speed over that of Tahoe-LAFS 1.20 in the same reactor",
        )


def _downloads(one: Scenario, strategy: str) -> Callable[[], None]:
    def work() -> None:
        for run in range(_DOWNLOADS):
            simulate(one, strategy, run)

    return work


def _messages(exchanges: list[tuple[float, float | None]]) -> Callable[[], None]:
    """Return a model of only the messages: each takes its time there, and its answer back.

    Messages sent at one time are sent when the first answers to earlier ones have arrived.
    """
    rounds: dict[float, list[float]] = {}
    for sent, takes in exchanges:
        rounds.setdefault(sent, []).append(0.0 if takes is None else takes / 2)

    def arrive(env: simpy.Environment, half: float, event: simpy.Event) -> None:
        if half:
            _call(env.timeout(half), arrive_back)

    def arrive_back(event: simpy.Event) -> None:
        pass

    def send(env: simpy.Environment, event: simpy.Event) -> None:
        for half in event.value or ():
            _call(env.timeout(half), partial(arrive, env, half))

    def work() -> None:
        for _ in range(_DOWNLOADS):
            env = simpy.Environment()
            for sent, halves in rounds.items():
                _call(env.timeout(sent, halves), partial(send, env))
            env.run()

    return work


def _call(event: simpy.Event, callback: Callable[[simpy.Event], None]) -> None:
    assert event.callbacks is not None
    event.callbacks.append(callback)
