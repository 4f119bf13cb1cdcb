"""RtoEstimator: how long a request may take, from the round trips seen so far."""

from dataclasses import replace
from math import ceil, inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from firstk.downloader import timeouts as module
from firstk.downloader.memory import Memory, ReadSample
from firstk.downloader.status import Request
from firstk.downloader.strategy import STRATEGIES, Strategy, find_strategy
from firstk.downloader.timeouts import (
    FIRST_QUERY,
    LATE,
    LEAST,
    LEAST_QUANTILE,
    MOST_MEDIANS,
    PER_SPARE,
    QUANTILE,
    RtoEstimator,
)

HEDGED = STRATEGIES["hedged"]

times = st.floats(0.001, 100, allow_nan=False)


class Seen:
    """An estimator that has seen some requests, and its clock."""

    def __init__(self, strategy: Strategy | str = HEDGED) -> None:
        self.clock = Clock()
        self.patience = RtoEstimator(self.clock, find_strategy(strategy))

    def send(self, *, read: bool = False, length: int = 1) -> Request:
        """Send a request now."""
        request = Request("s", "x", sent=self.clock.seconds())
        if read:
            request.share, request.length = 0, length
        self.patience.sent(request)
        return request

    def answer(self, request: Request) -> None:
        """Answer it now."""
        request.answered = self.clock.seconds()
        self.patience.ended(request, self.clock.seconds())
        if request.length is not None:
            taken = request.answered - request.sent
            self.patience.has_taken(ReadSample(taken, request.length, taken))

    def fail(self, request: Request) -> None:
        """Fail it now."""
        request.failed = self.clock.seconds()
        self.patience.ended(request, self.clock.seconds())

    def took(self, *seconds: float, read: bool = False, length: int = 1) -> None:
        """See requests with these durations, one after another."""
        for time in seconds:
            request = self.send(read=read, length=length)
            self.clock.advance(time)
            self.answer(request)


# Which strategies are patient


@pytest.mark.parametrize(
    ("name", "query"),
    [("wait-for-all", inf), ("first-k", inf), ("first-k-late", inf), ("windowed", 10.0)],
)
def test_fixed(name: str, query: float) -> None:
    """Whatever was seen, a query may take the strategy's fixed time."""
    seen = Seen(name)
    for _ in range(2):
        assert query == seen.patience.with_query()
        seen.took(0.1, 0.1)


def test_adaptive_queries_alone() -> None:
    """A strategy may be adaptive without hedging reads."""
    seen = Seen(replace(HEDGED, hedge=False, give_up=None, asks_again=False))

    assert seen.patience.with_query() == FIRST_QUERY


# Nothing known


def test_first_query() -> None:
    """Before the first answer, a query may take a second, as in RFC 6298."""
    seen = Seen()
    seen.send()
    seen.clock.advance(0.9)

    assert seen.patience.with_query() == FIRST_QUERY


def test_failures_teach_nothing() -> None:
    """A failed request does not affect the estimate."""
    seen = Seen()
    seen.fail(seen.send())

    assert seen.patience.with_query() == FIRST_QUERY


@pytest.mark.parametrize("length", [1, 1000, 10**6])
def test_first_read(length: int) -> None:
    """The first read has no time limit, but a limit for silence."""
    seen = Seen()
    seen.took(0.1, 0.2, 0.3)

    assert inf == seen.patience.with_read(length)
    assert pytest.approx(LATE * 0.3) == seen.patience.with_silence([0.0, 0.0, 0.0])[0]


# Quantiles


@given(st.lists(times, min_size=1, max_size=40))
def test_query_quantile(seconds: list[float]) -> None:
    """With nothing outstanding, a query may take the quantile of those that were answered."""
    seen = Seen()
    seen.took(*seconds)
    expected = sorted(seconds)[ceil(QUANTILE * len(seconds)) - 1]

    assert pytest.approx(LATE * expected) == seen.patience.with_query()


@given(st.lists(times, min_size=1, max_size=20), st.integers(0, 20), times)
def test_outstanding_make_patient(seconds: list[float], outstanding: int, age: float) -> None:
    """Outstanding requests older than all answered ones never lower the limit.

    The first answers of many are the fastest; that does not make the others late.
    """
    seen = Seen()
    seen.took(*seconds)
    allowed = [seen.patience.with_query()]
    for _ in range(outstanding):
        seen.send()
        seen.clock.advance(age)
        allowed.append(seen.patience.with_query())

    assert sorted(allowed) == allowed
    if outstanding and age > max(seconds):
        assert allowed[0] < allowed[-1] or len(seconds) >= QUANTILE * (len(seconds) + outstanding)


def test_first_of_many() -> None:
    """One fast answer of ten does not make the others late."""
    seen = Seen()
    requests = [seen.send() for _ in range(10)]
    seen.clock.advance(0.1)
    seen.answer(requests[0])

    assert seen.patience.with_query() > 10 * 0.1
    for request in requests[1:]:
        seen.answer(request)

    assert pytest.approx(LATE * 0.1) == seen.patience.with_query()


def test_tail_is_exponential() -> None:
    """Beyond the last answer, the quantile is that of an exponential tail."""
    seen = Seen()
    requests = [seen.send() for _ in range(4)]
    seen.clock.advance(1)
    seen.answer(requests[0])
    seen.answer(requests[1])
    # Half are answered after a second: another second for half of the rest, and so on.
    halvings = 1.0
    while 1 - 0.5**halvings < QUANTILE:
        halvings += 1e-4

    assert pytest.approx(LATE * halvings, rel=0.01) == seen.patience.with_query()


def test_overdue_are_given_up() -> None:
    """An overdue request does not raise the limit."""
    seen = Seen()
    seen.took(0.1)
    requests = [seen.send() for _ in range(5)]
    seen.clock.advance(1)

    assert seen.patience.with_query() > 0.2
    for request in requests:
        request.overdue = seen.clock.seconds()

    assert pytest.approx(LATE * 0.1) == seen.patience.with_query()


def test_late_answers_teach() -> None:
    """An answer to an overdue query counts as a round trip."""
    seen = Seen()
    seen.took(0.1)
    request = seen.send()
    seen.clock.advance(5)
    request.overdue = 1.0
    seen.answer(request)

    assert pytest.approx(LATE * 5.0) == seen.patience.with_query()


def test_young_requests_count_for_nothing() -> None:
    """A request that is younger than the answered ones took does not count."""
    seen = Seen()
    seen.took(1.0)
    for _ in range(5):
        seen.send()
    seen.clock.advance(0.5)

    assert pytest.approx(LATE * 1.0) == seen.patience.with_query()


@given(st.lists(times, min_size=1, max_size=20), st.floats(0.01, 100))
def test_scale(seconds: list[float], factor: float) -> None:
    """The estimate scales with the round trips: all times longer, the limit longer."""
    slow, fast = Seen(), Seen()
    fast.took(*seconds)
    slow.took(*(factor * time for time in seconds))

    assert pytest.approx(factor * fast.patience.with_query()) == slow.patience.with_query()


def test_forgets() -> None:
    """Only the latest round trips count."""
    seen = Seen()
    seen.took(*[50.0] * module._KEPT)
    seen.took(*[0.5] * module._KEPT)

    assert pytest.approx(LATE * 0.5) == seen.patience.with_query()


# Reads


def test_read_as_slow_as_others() -> None:
    """If all requests take the same time, a read may take a little more."""
    seen = Seen()
    seen.took(0.1, 0.1, 0.1)
    seen.took(0.1, read=True)

    assert pytest.approx(LATE * 0.1) == seen.patience.with_read(1)


@given(st.lists(times, min_size=1, max_size=20), st.lists(times, min_size=1, max_size=20))
def test_read_never_shorter_than_the_fastest(queries: list[float], reads: list[float]) -> None:
    """A read may always take as long as the fastest one did."""
    seen = Seen()
    seen.took(*queries)
    seen.took(*reads, read=True)

    assert seen.patience.with_read(1) >= min(reads)


def test_transfer() -> None:
    """Transfer time counts: the first read shows how much slower a read is than a query."""
    seen = Seen()
    seen.took(*[0.1] * 10)
    seen.took(2.0, read=True, length=10**6)

    assert pytest.approx(LATE * 2.0) == seen.patience.with_read(10**6)
    assert pytest.approx(LATE * (0.1 + 2 * 1.9)) == seen.patience.with_read(2 * 10**6)


def test_nonsense_teaches_nothing() -> None:
    """An answer to a read does not count until it is known to be good."""
    seen = Seen()
    seen.took(0.1)
    request = seen.send(read=True)
    request.answered = seen.clock.seconds()
    seen.patience.ended(request, seen.clock.seconds())

    assert not seen.patience.has_read
    assert seen.patience.with_read(1000) == inf


def test_reads_teach_no_queries() -> None:
    """The limit of queries does not depend on reads."""
    seen = Seen()
    seen.took(0.1)
    seen.took(60.0, read=True)

    assert pytest.approx(LATE * 0.1) == seen.patience.with_query()


def test_outstanding_reads() -> None:
    """Slow outstanding reads raise the limit of reads, and not that of queries."""
    seen = Seen()
    seen.took(0.1)
    seen.took(0.1, read=True)
    for _ in range(5):
        seen.send(read=True)
    seen.clock.advance(1)

    assert seen.patience.with_read(1) > 0.2
    assert pytest.approx(LATE * 0.1) == seen.patience.with_query()


@pytest.mark.parametrize("spares", [0, 1, 2, 3, 255])
def test_spares_make_impatient(spares: int) -> None:
    """Each spare lowers the quantile for reads, down to a minimum; never that for queries."""
    seen = Seen(replace(HEDGED, spares=spares))
    seconds = [float(i) for i in range(1, 51)]
    seen.took(*seconds)
    seen.took(*seconds, read=True)
    quantile = max(LEAST_QUANTILE, HEDGED.quantile - PER_SPARE * spares)
    both = sorted(seconds * 2)

    assert pytest.approx(
        LATE * both[ceil(quantile * 100) - 1], abs=LATE
    ) == seen.patience.with_read(1)
    assert pytest.approx(LATE * seconds[ceil(QUANTILE * 50) - 1]) == seen.patience.with_query()


@pytest.mark.parametrize("quantile", [0.3, 0.5, 0.9])
def test_settings(quantile: float) -> None:
    """A strategy sets the quantile and the lateness of reads, but not those of queries."""
    seen = Seen(replace(HEDGED, quantile=quantile, lateness=3.0))
    seen.took(*[float(i) for i in range(1, 101)])
    seen.took(*[0.0] * 1)

    assert seen.patience.with_silence([0.0]) == [3.0 * (ceil(quantile * 101) - 1)]
    assert pytest.approx(LATE * (ceil(QUANTILE * 101) - 1)) == seen.patience.with_query()


@pytest.mark.parametrize(("high", "median"), [(0.2, 0.1), (0.3, 0.1), (5.0, 0.1)])
def test_widely_spread(high: float, median: float) -> None:
    """A read is overdue after a few median round trips, however long the longest ones take."""
    seen = Seen()
    seen.took(*[median] * 7, *[high] * 3)

    allowed = LATE * min(high, MOST_MEDIANS * median)
    assert pytest.approx([allowed]) == seen.patience.with_silence([0.0])
    assert pytest.approx(LATE * high) == seen.patience.with_query()


# Silence


def test_least_silence() -> None:
    """On a fast network, a read has at least the time that a disk takes."""
    seen = Seen()
    seen.took(*[0.0001] * 5)

    assert seen.patience.with_silence([0.0])[0] == LEAST


def test_reads_that_are_slower_than_queries() -> None:
    """After the first answered read, every read may be silent for as long as that one took."""
    seen = Seen()
    seen.took(*[0.1] * 10)
    before = seen.patience.with_silence([0.0])[0]
    seen.took(2.0, read=True)

    assert pytest.approx(LATE * 0.1) == before
    assert pytest.approx(LATE * 2.0) == seen.patience.with_silence([0.0])[0]


def test_silence_on_a_slow_link() -> None:
    """If reads share a link, each may be silent while the others' bytes arrive."""
    seen = Seen()
    seen.took(*[0.1] * 10)
    sent = seen.clock.seconds()
    for turn in range(1, 6):
        seen.patience.heard(sent, sent + 0.1 + turn)  # a second for each piece

    assert pytest.approx(LATE * (0.1 + 3 * 1.0)) == seen.patience.with_silence([0.0, 0.0, 0.0])[0]
    assert pytest.approx(LATE * (0.1 + 7.0)) == seen.patience.with_silence([7.0, 7.0, 7.0])[0]
    seen.patience.pause()  # after a pause of the consumer's, say

    assert pytest.approx(LATE * (0.1 + 3 * 1.0)) == seen.patience.with_silence([0.0, 0.0, 0.0])[0]


def test_what_sends_bytes_is_not_late() -> None:
    """A read that sends bytes does not raise the limit for silence."""
    seen = Seen()
    seen.took(0.1)
    seen.took(0.1, read=True)
    for _ in range(5):
        seen.send(read=True).received = 1
    seen.clock.advance(1)

    assert pytest.approx(LATE * 0.1) == seen.patience.with_silence([0.0])[0]


# Queries with reads, and memory


def test_query_that_reads_teaches_queries_nothing() -> None:
    """A query that reads takes longer, and does not count if there are plain ones."""
    seen = Seen()
    reading = seen.send()
    reading.length = 10**6
    seen.took(0.1)
    seen.clock.advance(5)
    reading.answered = seen.clock.seconds()
    seen.patience.ended(reading, seen.clock.seconds())

    assert pytest.approx(LATE * 0.1) == seen.patience.with_query()


def test_starts_warm() -> None:
    """A download starts with what the previous one has learned."""
    memory = Memory()
    first = RtoEstimator(Clock(), HEDGED, memory)
    request = Request("s", "x", answered=0.2)
    first.sent(request)
    first.ended(request, 0.2)
    first.has_taken(ReadSample(0.3, 10, 0.3))
    second = RtoEstimator(Clock(), HEDGED, memory)

    assert pytest.approx(LATE * 0.2) == second.with_query()
    assert pytest.approx(LATE * 0.3) == second.with_read(10)


# Progress


def test_last_event() -> None:
    """The last event is the last request sent, answered, or failed."""
    seen = Seen()

    assert seen.patience.last_event == 0.0
    seen.clock.advance(1)
    one, other = seen.send(), seen.send(read=True)

    assert seen.patience.last_event == 1.0
    assert [one, other] == list(seen.patience.outstanding)
    seen.clock.advance(1)

    assert seen.patience.last_event == 1.0
    seen.answer(one)

    assert seen.patience.last_event == 2.0
    seen.clock.advance(1)
    seen.fail(other)

    assert seen.patience.last_event == 3.0
    assert list(seen.patience.outstanding) == []
