"""The table `[client]`: when the client runs, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from firstk.scenarios.client import Client


def client(**keys: Any) -> Client:
    """Return a client with these keys."""
    return Client.model_validate(keys)


@pytest.mark.parametrize(
    ("time", "work", "done"),
    [
        (0.0, 1.0, 1.0),
        (0.0, 2.0, 2.0),  # done when the pause begins
        (0.0, 2.5, 5.5),  # the rest of it after the pause
        (2.0, 0.0, 5.0),
        (4.9, 0.0, 5.0),
        (5.0, 0.0, 5.0),
        (1.0, 8.0, 12.0),
        (1.0, 9.0, 16.0),  # over two pauses, of 3 s each
    ],
)
def test_running(time: float, work: float, done: float) -> None:
    """Work continues after a pause."""
    assert client(pause={"at": 2.0, "seconds": 3.0, "every": 10.0}).running_at(time, work) == done


def test_several_pauses() -> None:
    """Pauses may overlap, in any order."""
    one = client(pause=[{"at": 4.0, "seconds": 2.0}, {"at": 1.0, "seconds": 4.0}])

    assert one.running_at(0.0, 1.5) == 6.5


def test_no_pause() -> None:
    """A client without pauses is always running."""
    assert client().running_at(3.0, 2.0) == 5.0
    assert client(pause=[]).running_at(3.0, 2.0) == 5.0


@given(
    at=st.integers(0, 20),
    seconds=st.integers(1, 9),
    gap=st.integers(1, 9),
    time=st.integers(0, 40),
    work=st.integers(0, 40),
)
def test_second_by_second(at: int, seconds: int, gap: int, time: int, work: int) -> None:
    """It agrees with counting the seconds in which the client runs."""
    every = seconds + gap
    one = client(pause={"at": float(at), "seconds": float(seconds), "every": float(every)})

    def paused(second: int) -> bool:
        return second >= at and (second - at) % every < seconds

    now, left = time, work
    while left or (not work and paused(now)):
        left -= not paused(now)
        now += 1

    assert one.running_at(float(time), float(work)) == now


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"cpu_per_byte": -1.0}, "greater than or equal to 0"),
        ({"cpu_per_segment": float("inf")}, "finite"),
        ({"pause": {"at": 1.0}}, "seconds"),
        ({"pause": {"at": 1.0, "seconds": 0.0}}, "greater than 0"),
        ({"pause": {"at": 1.0, "seconds": 2.0, "every": 2.0}}, "more than it lasts .2 s., not 2.0"),
        ({"pause": [{"at": 0.0, "seconds": 1.0, "every": 2.0}] * 2}, "only one pause can have"),
        ({"clock": [{"at": 1.0}]}, "by"),
        ({"clock": {"at": 1.0, "by": 1.0}}, "list"),
        ({"compute": {"value": 5.0}}, "law"),
        ({"threads": 5}, "threads"),
    ],
)
def test_refused(keys: dict[str, Any], words: str) -> None:
    """Invalid keys are refused."""
    with pytest.raises(ValidationError, match=words):
        client(**keys)


def test_takes_time() -> None:
    """A client with only a wall clock, or a slow thread pool, processes answers at once."""
    assert not client(clock=[], compute={"law": "constant", "value": 1.0}).takes_time
    assert client(cpu_per_byte=1e-9).takes_time
