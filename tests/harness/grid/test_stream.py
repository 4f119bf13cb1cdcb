"""Answers are streams: their bytes trickle, stall, are throttled, and report progress."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from firstk.downloader.interfaces import IBucket, IProgressBucket
from firstk.harness.grid.link import CHUNK
from tests.harness.grid.bench import FAULT, LOST, RTT, Bench
from tests.harness.making import constant

LARGE = bytes(range(256)) * 4096  # 64 chunks


def large(*faults: dict[str, Any], **keys: Any) -> Bench:
    """Return a bench whose server has a share of 1 MiB."""
    bench = Bench(*faults, **keys)
    bench.shares[4] = LARGE
    return bench


def ends(bench: Bench) -> list[float]:
    """Return when the answers arrived."""
    return [time for time, _ in bench.run()]


TRICKLE = {"kind": "trickle", "piece": 100, "every": 0.5}


@pytest.mark.parametrize(
    ("length", "pieces"), [(0, 1), (1, 1), (100, 1), (101, 2), (200, 2), (1000, 10), (1001, 11)]
)
def test_trickle(length: int, pieces: int) -> None:
    """The first piece arrives at once, and further ones at the interval."""
    bench = large(TRICKLE).read(0, 0, length)

    assert [(RTT + (pieces - 1) * 0.5, LARGE[:length])] == bench.run()


def test_trickle_progress() -> None:
    """Each piece is reported when it arrives, except the last, which completes the answer."""
    bench = large(TRICKLE).read(1, 0, 350)

    assert [(3.0, LARGE[:350])] == bench.run()
    assert bench.progress == [(1.5, 100), (2.0, 200), (2.5, 300)]


def test_trickle_ends() -> None:
    """When the fault ends, the rest arrives at once; later reads are not affected."""
    bench = large({**TRICKLE, "end": 1.0}).read(0, 0, 1000).read(0.75, 0, 1000)

    assert ends(bench) == [1.25, 1.25]


def test_trickle_later() -> None:
    """An answer that was in flight when the fault began does not trickle."""
    bench = large({**TRICKLE, "start": 0.25}).read(0, 0, 1000).read(-0.0, 0, 10)

    assert ends(bench) == [0.5 + 9 * 0.5, 0.5][::-1]


def test_trickles_do_not_touch_queries() -> None:
    """Answers to queries have no bytes that could trickle or stall."""
    bench = large(TRICKLE, {"kind": "stall", "after_bytes": 0}).query()

    assert ends(bench) == [RTT]
    assert set() == bench.server.met_faults()


def test_trickle_over_a_link() -> None:
    """A piece that takes longer on the uplink than the interval delays the next one."""
    bench = large(TRICKLE, bandwidth=100.0).read(0, 0, 300)

    assert ends(bench) == [RTT + 3.0]
    assert bench.progress == [(RTT + 1.0, 100), (RTT + 2.0, 200)]


def test_stall() -> None:
    """An answer stops after `after_bytes`, and continues when the fault ends."""
    bench = large({"kind": "stall", "after_bytes": 70, "end": 9.0}).read(0, 0, 100).read(1, 0, 70)

    assert [(1.5, LARGE[:70]), (9.25, LARGE[:100])] == bench.run()
    assert bench.progress == [(0.5, 70)]
    assert {0} == bench.server.met_faults()


def test_stalls_forever() -> None:
    """A stall without an end leaves no events."""
    bench = large({"kind": "stall", "after_bytes": 70}).read(0, 0, 100)

    assert bench.run() == []
    assert bench.progress == [(0.5, 70)]
    assert not bench.connection._client.waits


def test_stall_heals() -> None:
    """Healing a server releases a stalled answer."""
    bench = large({"kind": "stall", "after_bytes": 70}).read(0, 0, 100)
    bench.reactor.callLater(3.0, bench.server.heal)

    assert [(3.25, LARGE[:100])] == bench.run()


def test_lost_midway() -> None:
    """A lost connection fails a stalled answer; the bytes that arrived count."""
    stall = {"kind": "stall", "after_bytes": 70}
    bench = large(stall, {"kind": "disconnect", "start": 3.0}).read(0, 0, 100)

    assert bench.run() == [(3.0, LOST)]
    assert [exchange.received for exchange in bench.trace.exchanges] == [70]


@pytest.mark.parametrize("bandwidth", [None, 5000.0])
def test_throttled(bandwidth: float | None) -> None:
    """A throttled server sends at the lower rate exactly from the start to the end of the fault."""
    throttled = {"kind": "throttled", "bandwidth": 1000.0, "start": 2.25, "end": 4.25}
    bench = large(throttled, bandwidth=bandwidth).read(0, 0, 20_000).read(2.5, 0, 500)

    if bandwidth is None:
        assert ends(bench) == [RTT, 2.5 + RTT + 0.5]
    else:
        # 10000 bytes in 2 s, 2000 in the next 2 s; the rest takes 1.6 s. Its first 16384 bytes are
        # one chunk, and the other read comes after it.
        chunk = 4.25 + (16384 - 12_000) / 5000
        assert ends(bench) == pytest.approx([chunk + 0.1 + 0.25, chunk + 0.1 + 3616 / 5000 + 0.25])


def test_throttled_by_hand() -> None:
    """Throttling and healing take effect even in the middle of a chunk."""
    bench = large(bandwidth=2000.0).read(0, 0, 10_000)
    fault = {"kind": "throttled", "bandwidth": 100.0, "start": 1.25}
    bench.reactor.callLater(1.25, lambda: bench.server.add_fault(FAULT.validate_python(fault)))
    bench.reactor.callLater(11.25, bench.server.heal)

    assert ends(bench) == pytest.approx([11.25 + (10_000 - 2000 - 1000) / 2000 + 0.25])
    assert {0} == bench.server.met_faults()


@given(
    size=st.integers(1, 100_000),
    start=st.floats(0, 5),
    lasts=st.floats(0.01, 5),
    rates=st.tuples(st.floats(1e3, 1e6), st.floats(1e3, 1e6)),
)
@settings(max_examples=60, deadline=None)
def test_throttle_integral(
    size: int, start: float, lasts: float, rates: tuple[float, float]
) -> None:
    """An answer takes until the integral of the bandwidth over time is its size."""
    wide, narrow = rates
    throttled = {"kind": "throttled", "bandwidth": narrow, "start": start, "end": start + lasts}
    bench = large(throttled, bandwidth=wide, law=constant(0.0)).read(0, 0, size)
    before, slow = start * wide, lasts * min(wide, narrow)
    if size <= before:
        expected = size / wide
    elif size <= before + slow:
        expected = start + (size - before) / min(wide, narrow)
    else:
        expected = start + lasts + (size - before - slow) / wide

    assert ends(bench) == pytest.approx([expected], rel=1e-9)


def test_progress() -> None:
    """On a link with a bandwidth, each chunk is reported when it arrives."""
    bench = large(bandwidth=float(CHUNK)).read(0, 0, 3 * CHUNK + 1)

    assert [time for time, _ in bench.run()] == [RTT + 3 + 1 / CHUNK]
    assert [(RTT + n, n * CHUNK) for n in (1, 2, 3)] == bench.progress
    assert [exchange.arrivals for exchange in bench.trace.exchanges] == [
        [RTT + 1, RTT + 2, RTT + 3]
    ]


def test_no_progress_in_one_piece() -> None:
    """An answer in one piece reports no progress."""
    bench = large(bandwidth=float(CHUNK)).read(0, 0, CHUNK)
    bench.run()

    assert bench.progress + large().read(0, 0, len(LARGE)).progress == []


def test_progress_is_optional() -> None:
    """Buckets provide the progress interface, and can be read without it."""
    bench = large(bandwidth=float(CHUNK))
    found: list[Any] = []

    def ask(buckets: Any) -> None:
        assert verifyObject(IProgressBucket, buckets[4])
        assert verifyObject(IBucket, buckets[4])
        buckets[4].read(0, 5).addCallback(found.append)

    bench.connection.get_buckets(bytes(range(16))).addCallback(ask)
    bench.run()

    assert [LARGE[:5]] == found
