"""What the parts of a download share: waits that can be stopped, signals, and timers."""

import gc
import weakref
from collections.abc import Callable
from random import Random
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from firstk.downloader.cap import CHKCap
from firstk.downloader.errors import DownloadStopped
from firstk.downloader.session import PendingWaits, Session
from firstk.downloader.status import DownloadStatus, Request
from firstk.downloader.strategy import find_strategy
from tests.doubles import result_of
from tests.downloader.scenery import BoomError, boom

INF = float("inf")


@pytest.fixture
def clock() -> Clock:
    """Return a clock that does not start at zero."""
    clock = Clock()
    clock.advance(100)
    return clock


@pytest.fixture
def session(clock: Clock) -> Session:
    """Return a session on this clock."""
    cap = CHKCap(bytes(16), bytes(32), 3, 10, 100)
    return Session(clock, cap, find_strategy("hedged"), Random(0), DownloadStatus())


def waiting(session: Session, *dues: float | None) -> Deferred[None]:
    """Return a Deferred that fires when the wait ends; each look returns the next of `dues`."""
    said = iter(dues)
    return Deferred.fromCoroutine(session.news.until(lambda: next(said)))


# Signals


@pytest.mark.parametrize("due", [INF, 105.0])
def test_news(session: Session, clock: Clock, due: float) -> None:
    """A signal causes a look at once; when the wait ends, its timer is cancelled."""
    wait = waiting(session, due, due, None)
    for _ in range(2):
        assert not wait.called
        assert (due != INF) == len(clock.getDelayedCalls())
        session.news.fire()

    assert result_of(wait) is None
    assert clock.getDelayedCalls() == []


def test_no_news(session: Session, clock: Clock) -> None:
    """Without a signal, the next look is made when it is due, and no earlier."""
    wait = waiting(session, 105.0, 107.0, None)
    for seconds in 5, 2:
        clock.advance(seconds - 0.001)

        assert not wait.called
        clock.advance(0.001)

    assert result_of(wait) is None
    assert clock.getDelayedCalls() == []


@pytest.mark.parametrize("later", [103.0, 109.0, INF])
def test_due_at_another_time(session: Session, clock: Clock, later: float) -> None:
    """Each look sets the time of the next one."""
    wait = waiting(session, 105.0, later, None)
    session.news.fire()

    assert [later] * (later < INF) == [call.getTime() for call in clock.getDelayedCalls()]
    session.news.fire()

    assert result_of(wait) is None


def test_no_news_for_ever(session: Session, clock: Clock) -> None:
    """If no look is ever due, there is no timer."""
    wait = waiting(session, INF)
    clock.advance(1e9)

    assert not wait.called
    session.waits.stop()
    with pytest.raises(DownloadStopped):
        result_of(wait)


@pytest.mark.parametrize("due", [100.0, 50.0, -1.0])
def test_due_already(session: Session, clock: Clock, due: float) -> None:
    """A look that is already due is made in the reactor's next turn, at the same time."""
    wait = waiting(session, due, None)

    assert not wait.called
    clock.advance(0)

    assert result_of(wait) is None


def test_nothing_to_wait_for(session: Session, clock: Clock) -> None:
    """If the first look finds nothing to wait for, the wait ends at once."""
    assert result_of(waiting(session, None)) is None
    assert clock.getDelayedCalls() == []


@pytest.mark.parametrize("due", [INF, 105.0])
def test_stopped_while_waiting(session: Session, clock: Clock, due: float) -> None:
    """A stop ends the wait with its reason, and cancels the timer."""
    wait = waiting(session, due)
    session.waits.stop()

    with pytest.raises(DownloadStopped):
        result_of(wait)
    assert clock.getDelayedCalls() == []
    session.news.fire()


def test_stopped_before(session: Session, clock: Clock) -> None:
    """After a stop, a new wait fails at once."""
    session.waits.stop()
    wait = waiting(session, 105.0)

    with pytest.raises(DownloadStopped):
        result_of(wait)
    assert clock.getDelayedCalls() == []


def test_stopped_while_looking(session: Session, clock: Clock) -> None:
    """A stop inside a look lets the look finish, and then ends the wait."""
    seen: list[str] = []

    def look() -> float:
        if seen:
            session.waits.stop()
            seen.append("stopped")
        seen.append("looked")
        return 105.0

    wait = Deferred.fromCoroutine(session.news.until(look))
    wait.addBoth(lambda _: seen.append("over"))
    session.news.fire()

    assert seen == ["looked", "stopped", "looked", "over"]
    assert clock.getDelayedCalls() == []


def test_news_while_looking(session: Session) -> None:
    """A signal inside a look causes no further look."""
    looks: list[float | None] = []

    def look() -> float | None:
        looks.append(INF if len(looks) < 2 else None)
        session.news.fire()
        return looks[-1]

    wait = Deferred.fromCoroutine(session.news.until(look))
    session.news.fire()

    assert (len(looks), wait.called) == (2, False)
    session.news.fire()

    assert result_of(wait) is None


@pytest.mark.parametrize("found", [None, INF, BoomError("boom")], ids=["done", "due", "raised"])
@pytest.mark.parametrize("looks", [1, 2])
def test_stop_wins(session: Session, clock: Clock, looks: int, found: Any) -> None:
    """A stop inside a look wins over the look's result: the wait ends with the reason."""
    left = [105.0] * (looks - 1)

    def look() -> float | None:
        if left:
            return left.pop()
        session.waits.stop(KeyboardInterrupt())
        if isinstance(found, BoomError):
            raise found
        return cast(float | None, found)

    wait = Deferred.fromCoroutine(session.news.until(look))
    session.news.fire()

    with pytest.raises(KeyboardInterrupt):
        result_of(wait)
    assert clock.getDelayedCalls() == []


@pytest.mark.parametrize("sets", [0, 1])
def test_no_timer_to_be_had(
    monkeypatch: pytest.MonkeyPatch, session: Session, clock: Clock, sets: int
) -> None:
    """A reactor that fails to set or move a timer ends the wait."""
    call_later = clock.callLater

    def failing(*args: Any) -> Any:
        if not sets:
            boom()
        timer = call_later(*args)
        timer.reset = boom  # type: ignore[assignment,method-assign]
        return timer

    monkeypatch.setattr(clock, "callLater", failing)
    wait = waiting(session, 105.0, 106.0, None)
    session.news.fire()

    with pytest.raises(BoomError):
        result_of(wait)
    assert clock.getDelayedCalls() == []


def test_nothing_is_kept(session: Session) -> None:
    """After the wait, nothing refers to the look, which holds data that was read."""

    class Looker:
        looks = 0

        def look(self) -> float | None:
            self.looks += 1
            return INF if self.looks == 1 else None

    looker = Looker()
    gone = weakref.ref(looker)
    wait = Deferred.fromCoroutine(session.news.until(looker.look))
    session.news.fire()

    assert result_of(wait) is None
    del looker, wait
    gc.collect()

    assert gone() is None


@pytest.mark.parametrize("looks", [1, 2])
def test_look_raises(session: Session, clock: Clock, looks: int) -> None:
    """An exception in a look ends the wait."""
    dues = iter([105.0] * (looks - 1))
    wait = Deferred.fromCoroutine(session.news.until(lambda: next(dues, None) or boom()))
    session.news.fire()

    with pytest.raises(BoomError):
        result_of(wait)
    assert clock.getDelayedCalls() == []


def test_old_news(session: Session) -> None:
    """A signal before the wait does not count: the first look covers it."""
    session.news.fire()
    wait = waiting(session, INF, None)

    assert not wait.called
    session.news.fire()
    session.news.fire()

    assert result_of(wait) is None


# PendingWaits


def test_expected() -> None:
    """An expected result is delivered once, and not at all after a stop."""
    waits, told = PendingWaits(), list[object]()
    for what in "a", "b", "c":
        waits.expect(what, note(told))
    waits.settle("a", 1, None)
    waits.settle("a", 2, None)
    waits.settle("b", None, 3)
    waits.settle("d", 4, None)
    waits.stop()
    waits.expect("e", note(told))
    for what in "c", "e":
        waits.settle(what, 5, None)

    assert told == [(1, None), (None, 3)]


def test_first_reason_counts() -> None:
    """After several stops, all waits fail with the first reason."""
    waits = PendingWaits()
    before = waits.wait()
    waits.stop(BoomError("first"))
    waits.stop(BoomError("second"))

    for wait in before, waits.wait():
        with pytest.raises(BoomError, match="first"):
            result_of(wait)
    with pytest.raises(BoomError, match="first"):
        waits.check()


@pytest.mark.parametrize("late", [1, None])
def test_late_result(late: object) -> None:
    """A result after the stop is ignored, and is not an error."""
    waits = PendingWaits()
    wait = waits.wait()
    waits.stop()
    waits.fire(wait, late)

    with pytest.raises(DownloadStopped):
        result_of(wait)


# Requests


def note(told: list[object]) -> Callable[[object, object], None]:
    """Return a callback that records its arguments."""
    return lambda answer, error: told.append((answer, error))


def test_answered(session: Session, clock: Clock) -> None:
    """A request has its times, and is outstanding between them."""
    answer: Deferred[int] = Deferred()
    request, told = Request("s", "get_buckets"), list[object]()
    session.ask(request, lambda: answer, note(told))

    assert [request] == list(session.patience.outstanding)
    clock.advance(2)
    answer.callback(7)

    assert told == [(7, None)]
    assert (request.sent, request.answered, request.failed) == (100.0, 102.0, None)
    assert list(session.patience.outstanding) == []
    assert session.patience.last_event == 102.0
    assert [request] == session.status.requests


@pytest.mark.parametrize("call", [boom, lambda: fail(BoomError("boom"))])
def test_failed(session: Session, call: Any) -> None:
    """Whatever a server raises, at once or later, counts as the server's failure."""
    request, told = Request("s", "get_buckets"), list[object]()
    session.ask(request, call, note(told))

    assert repr(told) == "[(None, ServerFailedError('failed: BoomError: boom'))]"
    assert (request.answered, request.failed, request.error) == (None, 100.0, "BoomError: boom")
    assert list(session.patience.outstanding) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_no_servers_fault(session: Session, error: type[BaseException]) -> None:
    """Control-C does not count as a failure: it ends the download and the request."""
    told = list[object]()
    session.ask(Request("s", "x"), lambda: fail(error()), note(told))

    assert [] == told == list(session.patience.outstanding)
    with pytest.raises(error):
        session.waits.check()


def test_defect(session: Session) -> None:
    """An exception in our handling of an answer is not the server's failure; it ends the wait."""
    request = Request("s", "x")
    session.ask(request, lambda: succeed(1), boom)

    assert (request.answered, request.failed) == (100.0, None)
    with pytest.raises(BoomError):
        session.waits.check()


def test_no_deferred(session: Session) -> None:
    """A server may answer with a plain value instead of a Deferred."""
    told = list[object]()
    session.ask(Request("s", "x"), lambda: 3, note(told))  # type: ignore[arg-type, return-value]
    session.ask(Request("s", "x"), lambda: succeed(3), note(told))

    assert told == [(3, None), (3, None)]
