"""A cancelled request uses no more of the server's time, nor of the links."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstk.harness.grid.link import CHUNK
from firstk.harness.run.simulate import simulate
from tests.harness.grid.bench import CANCELLED, RTT, Bench
from tests.harness.making import constant, scenario


def large(*faults: dict[str, Any], size: int = 10 * CHUNK, **keys: Any) -> Bench:
    """Return a bench whose server has a large share, by default without a round-trip time."""
    bench = Bench(*faults, **{"law": constant(0.0), **keys})
    bench.shares[4] = bytes(size)
    return bench


def ends(bench: Bench) -> list[tuple[float, int | None]]:
    """Return when the answers arrived, and the size of each; None if it was cancelled."""
    return [(t, None if answer == CANCELLED else len(answer)) for t, answer in bench.run()]


def test_cancelled() -> None:
    """A cancelled request fails at once with `CancelledError`, and its answer never arrives."""
    bench = large(law=constant(RTT)).read(0, 0, 10, cancel=0.125)
    bench.run()
    (exchange,) = bench.trace.exchanges

    assert bench.answers == [(0.125, CANCELLED)]
    assert bench.trace.lines == [
        "0 sent 0 s0 read 4 0 10 ",
        "0.125 cancelled 0 s0 read 4 0 10 cancelled",
    ]
    assert (
        exchange.cancelled,
        exchange.ok,
        exchange.ended,
        exchange.received,
    ) == (True, False, 0.125, 10)
    assert bench.server.outstanding == []
    assert not bench.connection._client.waits


def test_too_late() -> None:
    """Cancelling an answered request does nothing."""
    bench = large(law=constant(RTT)).read(0, 0, 10, cancel=3.0)

    assert ends(bench) == [(0.5, 10)]
    assert bench.trace.totals().cancelled == 0


def test_the_sent_is_not_saved() -> None:
    """Bytes that left the server before the cancellation reached it are not saved."""
    bench = large(law=constant(RTT)).read(0, 0, 10, cancel=0.0625)
    bench.run()

    assert bench.trace.totals()[3:] == (1, 0)


@pytest.mark.parametrize(("end", "saved"), [(1.0, 10), (0.375, 0), (None, 0)])
def test_held(end: float | None, saved: int) -> None:
    """A held request is never answered; bytes that would never have come are not saved."""
    bench = large({"kind": "hung", "end": end}, law=constant(RTT)).read(0, 0, 10, cancel=0.25)
    bench.run()

    assert saved == bench.trace.totals().bytes_saved
    assert {0} == bench.server.met_faults()
    assert bench.answers == [(0.25, CANCELLED)]


def test_nine_of_ten() -> None:
    """If nine of ten reads of 1 MB at 1 MB/s are cancelled, the tenth takes a second, not ten."""
    bench = large(size=10**6, bandwidth=1e6)
    for number in range(10):
        bench.read(0, 0, 10**6, cancel=None if number == 4 else 0.1)

    end = ends(bench)[-1][0]
    assert 1.0 < end < 1.1 + CHUNK / 1e6
    assert 9e6 - 0.1e6 - 9 * CHUNK <= bench.trace.totals().bytes_saved <= 9e6


def test_service() -> None:
    """The server stops working on a cancelled request, and starts the next one."""
    bench = large(service=constant(2.0), concurrency=1, law=constant(RTT))
    bench.read(0, 0, 10, cancel=0.75).read(0, 0, 20, cancel=1.0).read(0, 0, 30)

    assert ends(bench) == [(0.75, None), (1.0, None), (1.25 + 2.0 + 0.25, 30)]
    assert bench.trace.totals().bytes_saved == 30


def test_stalled() -> None:
    """A stalled answer can be cancelled; the bytes that arrived count."""
    bench = large({"kind": "stall", "after_bytes": 70, "end": 9.0}).read(0, 0, 100, cancel=2.0)

    assert ends(bench) == [(2.0, None)]
    assert bench.trace.totals()[2::2] == (70, 30)


def test_in_flight() -> None:
    """An answer in flight is not saved."""
    bench = large(bandwidth=float(CHUNK), law=constant(RTT)).read(0, 0, CHUNK, cancel=1.375)
    bench.run()

    assert bench.trace.totals().bytes_saved == 0
    assert bench.trace.totals().bytes_received == CHUNK


def test_progress_that_cancels() -> None:
    """A progress callback may cancel its read, and is not called again."""
    bench = large(bandwidth=float(CHUNK))
    heard: list[int] = []

    def progress(arrived: int) -> None:
        heard.append(arrived)
        if len(heard) == 2:
            asked.cancel()

    asked = bench.connection.read(bytes(range(16)), 4, 0, 9 * CHUNK, progress)
    asked.addBoth(bench._keep)

    assert ends(bench) == [(2.0, None)]
    assert heard == [CHUNK, 2 * CHUNK]


@given(
    sizes=st.lists(st.integers(1, 12), min_size=2, max_size=6),
    cancelled=st.data(),
)
@settings(max_examples=80, deadline=None)
def test_processor_sharing(sizes: list[int], cancelled: Any) -> None:
    """Reads share an uplink by processor sharing, whichever of them are cancelled.

    With processor sharing each of n transfers passes at 1/n of the rate. Chunk by chunk, each one's
    end is off by at most a chunk of each of the others.
    """
    cancels = [
        cancelled.draw(st.none() | st.floats(0.0, sum(sizes)), label="cancelled at") for _ in sizes
    ]
    bench = large(bandwidth=float(CHUNK), size=20 * CHUNK)
    for size, cancel in zip(sizes, cancels, strict=True):
        bench.read(0, 0, size * CHUNK, cancel=cancel)
    bench.run()
    expected = processor_sharing([float(size) for size in sizes], cancels)

    for exchange, end in zip(bench.trace.exchanges, expected, strict=True):
        if not exchange.cancelled and end is not None:
            assert exchange.ended == pytest.approx(end, abs=len(sizes))


def processor_sharing(left: list[float], cancels: list[float | None]) -> list[float | None]:
    """Return when each transfer ends at rate 1, in closed form; None if it is cancelled first.

    Between two events, all transfers in progress advance by the same amount.
    """
    ends: list[float | None] = [None] * len(left)
    going, now = set(range(len(left))), 0.0
    while going:
        finish = now + min(left[i] for i in going) * len(going)
        stops = [c for i in going if (c := cancels[i]) is not None]
        event = min([finish, *stops])
        for i in going:
            left[i] -= (event - now) / len(going)
        now = event
        for i in list(going):
            if left[i] <= 1e-9:
                ends[i] = now
                going.remove(i)
            elif (cancel := cancels[i]) is not None and cancel <= now:
                going.remove(i)
    return ends


def test_processor_sharing_to_the_limit() -> None:
    """With small chunks of large transfers, both agree within 2 parts in a thousand."""
    bench = large(bandwidth=1e6, size=10**8)
    sizes = [30e6, 60e6, 90e6, 40e6]
    cancels = [None, 50.0, None, 20.0]
    for size, cancel in zip(sizes, cancels, strict=True):
        bench.read(0, 0, int(size), cancel=cancel)
    bench.run()
    expected = processor_sharing([size / 1e6 for size in sizes], list(cancels))
    ended = [e.ended for e in bench.trace.exchanges]

    assert [expected[0], 50.0, expected[2], 20.0] == pytest.approx(ended, rel=2e-3)


def test_cancelled_before_the_connection_is_lost() -> None:
    """A request that was cancelled does not fail again when the connection is lost."""
    one = scenario(
        file={"size": 1, "k": 1, "n": 1},
        grid={"servers": 2, "rtt": {"law": "exponential", "mean": 0.01}},
        servers=[
            {"select": "1", "service": constant(0.01)},
            {"select": "1", "fault": {"kind": "disconnect", "start": 0.01}},
        ],
    )
    run = simulate(one, "hedged")

    assert (run.result.outcome, run.failure) == ("ok", None)
    assert run.result.cancelled == 1
