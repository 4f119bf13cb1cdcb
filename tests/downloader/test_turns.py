"""Turns: calls that wait until the reactor's next turn."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from twisted.internet.task import Clock

from firstk.downloader.cap import CHKCap
from firstk.downloader.errors import DownloadStopped
from firstk.downloader.session import Session
from firstk.downloader.status import DownloadStatus
from firstk.downloader.strategy import STRATEGIES
from firstk.downloader.turns import Turns
from tests.downloader.scenery import BoomError, boom


class Turning:
    """Turns, the clock on which they run, and a list of the calls."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.session = Session(
            self.clock,
            CHKCap(bytes(16), bytes(32), 1, 1, 100),
            STRATEGIES["windowed"],
            Random(0),
            DownloadStatus(),
        )
        self.turns = Turns(self.session)
        self.calls: list[Any] = []

    def one(self) -> None:
        self.calls.append(1)

    def two(self) -> None:
        self.calls.append(2)
        self.turns.add(self.one)


@pytest.fixture
def turning() -> Turning:
    """Return turns without any calls yet."""
    return Turning()


def test_later(turning: Turning) -> None:
    """A call waits for the reactor, and is made once, however often it was added."""
    turning.turns.add(turning.one)
    turning.turns.add(turning.one)

    assert turning.calls == []
    turning.clock.advance(0)

    assert turning.calls == [1]
    assert turning.clock.getDelayedCalls() == []


def test_in_order(turning: Turning) -> None:
    """Calls are made in order; calls that they add are made in a later turn."""
    seen = []
    turning.turns.add(turning.two)
    turning.turns.add(lambda: seen.append(list(turning.calls)))
    turning.clock.advance(0)

    assert seen == [[2]]
    assert turning.calls == [2, 1]


def test_waiting_already(turning: Turning) -> None:
    """A call that already waits in the same turn keeps its place."""
    turning.turns.add(turning.two)
    turning.turns.add(turning.one)
    turning.clock.advance(0)

    assert turning.calls == [2, 1]


def test_error(turning: Turning) -> None:
    """An error stops the download and all waiting calls."""
    turning.turns.add(turning.two)
    turning.turns.add(boom)
    turning.turns.add(turning.one)
    turning.clock.advance(0)

    assert turning.calls == [2]
    assert turning.clock.getDelayedCalls() == []
    with pytest.raises(BoomError):
        turning.session.waits.check()


def test_stop(turning: Turning) -> None:
    """A stopped download makes no more calls, and leaves no timer."""
    turning.turns.add(turning.one)
    turning.session.waits.stop()

    assert turning.clock.getDelayedCalls() == []
    turning.turns.add(turning.two)
    turning.clock.advance(0)

    assert turning.calls == []
    with pytest.raises(DownloadStopped):
        turning.session.waits.check()


def test_stop_within(turning: Turning) -> None:
    """A download that is stopped inside a call makes no more calls."""
    turning.turns.add(turning.session.waits.stop)
    turning.turns.add(turning.one)
    turning.clock.advance(0)

    assert turning.calls == []
    assert turning.clock.getDelayedCalls() == []
