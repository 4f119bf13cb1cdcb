"""The SimPy environment with a queue of its own."""

from __future__ import annotations

from collections.abc import Generator
from math import inf
from typing import Any

import pytest
import simpy
from simpy.core import EmptySchedule

from firstk.harness.kernel.environment import Environment


@pytest.fixture
def env() -> Environment:
    """Return a new environment."""
    return Environment()


def _later(env: Environment, times: list[float]) -> None:
    env.at(0.9, lambda _: times.append(env.now))


def test_exact_time(env: Environment) -> None:
    """An entry happens at its exact time, where a delay would be rounded."""
    times: list[float] = []
    env.at(0.2, lambda _: _later(env, times))
    env.run()

    assert times == [0.9]
    assert 0.2 + (0.9 - 0.2) != 0.9


def test_place(env: Environment) -> None:
    """Of entries at the same time, the one with the earlier place goes first."""
    order: list[str] = []
    place = env.take_place()
    env.at(1.0, lambda _: order.append("later"))
    env.at(1.0, lambda _: order.append("earlier"), place)
    env.run()

    assert order == ["earlier", "later"]


def test_give_up(env: Environment) -> None:
    """An entry that was given up never happens, and does not move the clock."""
    entry = env.at(5.0, lambda _: pytest.fail("it was given up"))
    env.give_up(entry)

    assert env.peek() == inf
    with pytest.raises(EmptySchedule):
        env.step()
    assert env.now == 0


def test_given_up_entries_are_dropped(env: Environment) -> None:
    """Entries that were given up do not make the queue grow."""
    for _ in range(10_000):
        env.give_up(env.at(1e9, lambda _: None))

    assert len(env.queue) < 200


def test_simpy_inside(env: Environment) -> None:
    """SimPy's processes, timeouts and resources run in it unchanged."""
    log: list[tuple[str, float]] = []
    resource = simpy.Resource(env)

    def worker(name: str) -> Generator[simpy.Event, Any, None]:
        with resource.request() as slot:
            yield slot
            yield env.timeout(1)
            log.append((name, env.now))

    env.process(worker("a"))
    env.process(worker("b"))
    env.run()

    assert log == [("a", 1), ("b", 2)]


def test_failed_event(env: Environment) -> None:
    """The exception of a failed event that was not defused is raised."""
    env.event().fail(KeyError("lost"))

    with pytest.raises(KeyError, match="lost") as raised:
        env.run()
    assert isinstance(raised.value.__cause__, KeyError)


def _succeed(event: simpy.Event) -> None:
    event.succeed()


def test_resumed(env: Environment) -> None:
    """Callbacks that `run(until=event)` left out are called when the run resumes."""
    event, called = env.event(), []
    env.at(1.0, lambda _: _succeed(event))
    stop = event.callbacks
    assert stop is not None
    env.at(0.5, lambda _: stop.append(lambda _: called.append(env.now)))
    env.run(until=event)
    assert called == []

    env.run()
    assert called == [1.0]
