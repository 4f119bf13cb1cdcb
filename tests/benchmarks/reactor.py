"""The simulated reactor's timers, compared with bare SimPy and Twisted's `task.Clock`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import simpy
from twisted.internet.base import DelayedCall
from twisted.internet.task import Clock

from firstk.harness.kernel.reactor import SimReactor
from tests.benchmarks.measure import Figure, in_turn

#: The number of timers fired in each measurement.
_FIRED = 20_000

_PENDING = (10, 1_000, 100_000)


def figures(rounds: int) -> Iterator[Figure]:
    """Yield how many timers fire in the time of one of the peer's; each timer sets the next."""
    for pending in _PENDING:
        ours = _reactor(pending, _FIRED)
        times = in_turn(ours, _simpy(pending, _FIRED), rounds)
        yield Figure(
            f"timers, {pending:,} pending",
            [peer / own for own, peer in times],
            0.6,
            at_least=True,
            note="rate over that of bare SimPy timeouts",
        )
    few = 300  # for a Clock
    times = in_turn(_reactor(10_000, _FIRED), _clock(10_000, few), rounds)
    yield Figure(
        "timers, 10,000 pending, Clock",
        [(peer / few) / (own / _FIRED) for own, peer in times],
        300,
        at_least=True,
        note="rate over that of twisted.internet.task.Clock",
    )


def _reactor(pending: int, fired: int) -> Callable[[], None]:
    """Return a function that fires `fired` timers, of which `pending` are pending at a time."""

    def work() -> None:
        reactor = SimReactor()
        left = fired

        def fire() -> None:
            nonlocal left
            left -= 1
            if left:
                reactor.callLater(1.0, fire)
            else:
                reactor.stop()

        for i in range(pending):
            reactor.callLater(i / pending, fire)
        reactor.run(installSignalHandlers=False)

    return work


def _simpy(pending: int, fired: int) -> Callable[[], None]:
    def work() -> None:
        env = simpy.Environment()
        left = fired
        done = env.event()

        def fire(_: simpy.Event) -> None:
            nonlocal left
            left -= 1
            if left:
                env.timeout(1.0).callbacks.append(fire)
            else:
                done.succeed()

        for i in range(pending):
            env.timeout(i / pending).callbacks.append(fire)
        env.run(done)

    return work


def _clock(pending: int, fired: int) -> Callable[[], None]:
    clock = Clock()
    left = 0

    def fire() -> None:
        nonlocal left
        left -= 1
        clock.callLater(1.0, fire)

    for i in range(pending):
        _add(clock, i / pending, fire)

    def work() -> None:
        nonlocal left
        left = fired
        while left > 0:
            clock.advance(1 / pending)

    return work


def _add(clock: Clock, delay: float, function: Callable[[], None]) -> None:
    """Set a timer without sorting all of them, as `callLater` does each time."""
    clock.calls.append(
        DelayedCall(
            clock.seconds() + delay,
            function,
            (),
            {},
            clock.calls.remove,
            lambda c: None,
            clock.seconds,
        )
    )
