"""Errors that reach only Twisted's log belong to the run that lost them."""

from __future__ import annotations

import gc
from itertools import count
from weakref import ref

import pytest
from twisted.internet.defer import Deferred, fail

from firstk.harness.kernel import lost_errors
from firstk.harness.kernel.lost_errors import logged_errors


class Loop:
    """An object that refers to itself, so that only the garbage collector frees it."""

    def __init__(self, what: Deferred[object] | None = None) -> None:
        self.what = what
        self.own = self


@pytest.mark.parametrize("older", [0, 1, 2])
def test_lost(older: int) -> None:
    """A failure that nobody handles is recorded, however old its Deferred is."""
    failures: list[BaseException] = []
    with logged_errors(failures):
        loop = Loop(fail(ValueError("lost")))
        for _ in range(older):
            gc.collect(1)  # what survives is older then
        del loop

    assert [str(failure) for failure in failures] == ["lost"]


def test_garbage_collector_of_several_runs() -> None:
    """Overlapping runs restore the setting; a change during a run is kept."""
    before = gc.get_threshold()
    first, second = logged_errors([]), logged_errors([])
    try:
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)

        assert gc.get_threshold()[0] == 20_000
        second.__exit__(None, None, None)

        assert before == gc.get_threshold()
        with logged_errors([]):
            gc.set_threshold(321, 4, 5)

        assert gc.get_threshold() == (321, 4, 5)
    finally:
        gc.set_threshold(*before)


def test_many_servers() -> None:
    """With many servers, garbage is collected less often still."""
    before = gc.get_threshold()
    with logged_errors([], 10_000):
        assert gc.get_threshold()[0] == 100_000

    assert gc.get_threshold() == before


@pytest.mark.parametrize(("objects", "collected"), [(0, True), (10**9, False)])
def test_old_garbage(monkeypatch: pytest.MonkeyPatch, objects: int, collected: bool) -> None:
    """Garbage from before a run is collected now and then, if there are many more objects."""
    monkeypatch.setattr(lost_errors, "_old", objects)
    monkeypatch.setattr(lost_errors, "_runs", count(499))
    gc.disable()
    try:
        loop = ref(Loop())
        with logged_errors([]):
            pass

        assert loop() is not None  # in run 499
        with logged_errors([]):
            pass

        assert (loop() is None) == collected
    finally:
        gc.enable()
