"""What the parts of a download share: waits that can be stopped, news, and timers that go."""

from random import Random
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from downloader.cap import CHKCap
from downloader.errors import DownloadStopped, ServerFailedError
from downloader.session import Session, Waits, one_line
from downloader.status import DownloadStatus, Request
from downloader.strategy import find_strategy
from tests.doubles import result_of
from tests.downloader.scenery import BoomError, boom

INF = float("inf")


@pytest.fixture
def clock() -> Clock:
    """Return a clock that does not begin at zero."""
    clock = Clock()
    clock.advance(100)
    return clock


@pytest.fixture
def session(clock: Clock) -> Session:
    """Return a download by this clock."""
    cap = CHKCap(bytes(16), bytes(32), 3, 10, 100)
    return Session(clock, cap, find_strategy("hedged"), Random(0), DownloadStatus())


def waiting(session: Session, due: float) -> Deferred[None]:
    """Return a Deferred that fires when `news_until` returns."""
    return Deferred.fromCoroutine(session.news_until(due))


# News


@pytest.mark.parametrize("due", [INF, 105.0])
def test_news(session: Session, clock: Clock, due: float) -> None:
    """News end the wait at once, and the timer is gone."""
    wait = waiting(session, due)

    assert not wait.called
    assert (due != INF) == len(clock.getDelayedCalls())
    session.news.fire()

    assert result_of(wait) is None
    assert [] == clock.getDelayedCalls()


def test_no_news(session: Session, clock: Clock) -> None:
    """Without news the wait ends when it is due, and no sooner."""
    wait = waiting(session, 105.0)
    clock.advance(4.999)

    assert not wait.called
    clock.advance(0.001)

    assert result_of(wait) is None
    assert [] == clock.getDelayedCalls()


def test_no_news_for_ever(session: Session, clock: Clock) -> None:
    """Where nothing is ever due there is no timer."""
    wait = waiting(session, INF)
    clock.advance(1e9)

    assert not wait.called
    session.waits.stop()
    with pytest.raises(DownloadStopped):
        result_of(wait)


@pytest.mark.parametrize("due", [100.0, 50.0, -1.0])
def test_due_already(session: Session, clock: Clock, due: float) -> None:
    """What is due already ends the wait at this time, but not before the reactor's next turn."""
    wait = waiting(session, due)

    assert not wait.called
    clock.advance(0)

    assert result_of(wait) is None


@pytest.mark.parametrize("due", [INF, 105.0])
def test_stopped_while_waiting(session: Session, clock: Clock, due: float) -> None:
    """A stop ends the wait with the reason, and the timer is gone."""
    wait = waiting(session, due)
    session.waits.stop()

    with pytest.raises(DownloadStopped):
        result_of(wait)
    assert [] == clock.getDelayedCalls()


def test_stopped_before(session: Session, clock: Clock) -> None:
    """After a stop nothing waits any more."""
    session.waits.stop()
    wait = waiting(session, 105.0)

    with pytest.raises(DownloadStopped):
        result_of(wait)
    assert [] == clock.getDelayedCalls()


def test_old_news(session: Session) -> None:
    """News that came before are not waited for: who waits has looked already."""
    session.news.fire()
    wait = waiting(session, INF)

    assert not wait.called
    session.news.fire()
    session.news.fire()

    assert result_of(wait) is None


# Waits


def test_first_reason_counts() -> None:
    """Whatever else stops it, all fail with the first reason."""
    waits = Waits()
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
    """A result that comes after the stop is not wanted, and no error."""
    waits, other = Waits(), Deferred[Any]()
    wait = waits.wait_for(other)
    waits.stop()
    other.callback(late)

    with pytest.raises(DownloadStopped):
        result_of(wait)


# Requests


def test_answered(session: Session, clock: Clock) -> None:
    """A request has its times, and is outstanding in between."""
    answer: Deferred[int] = Deferred()
    request = Request("s", "get_buckets")
    asked = session.ask(request, lambda: answer)

    assert [request] == list(session.patience.outstanding)
    clock.advance(2)
    answer.callback(7)

    assert 7 == result_of(asked)
    assert (100.0, 102.0, None) == (request.sent, request.answered, request.failed)
    assert [] == list(session.patience.outstanding)
    assert 102.0 == session.patience.last_event
    assert [request] == session.status.requests


@pytest.mark.parametrize("call", [boom, lambda: fail(BoomError("boom"))])
def test_failed(session: Session, call: Any) -> None:
    """Whatever a server raises, at once or later, is the server's failure."""
    request = Request("s", "get_buckets")
    with pytest.raises(ServerFailedError, match="failed: BoomError: boom"):
        result_of(session.ask(request, call))

    assert (None, 100.0, "BoomError: boom") == (request.answered, request.failed, request.error)
    assert [] == list(session.patience.outstanding)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_no_servers_fault(session: Session, error: type[BaseException]) -> None:
    """But Control-C is not, and the request is outstanding no more."""
    with pytest.raises(error):
        result_of(session.ask(Request("s", "x"), lambda: fail(error())))

    assert [] == list(session.patience.outstanding)


def test_no_deferred(session: Session) -> None:
    """A server may answer without a Deferred."""
    assert 3 == result_of(session.ask(Request("s", "x"), lambda: 3))  # type: ignore[arg-type, return-value]
    assert 3 == result_of(session.ask(Request("s", "x"), lambda: succeed(3)))


def test_one_line() -> None:
    """What servers say is told in one line, and not at any length."""
    assert "a b c" == one_line(" a\n\tb\r\nc ")
    assert 200 == len(one_line("x" * 201))
    assert "x" * 200 == one_line("x" * 200)
