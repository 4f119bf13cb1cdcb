"""What Tahoe-LAFS's `test_hung_server.py` tests, for every strategy and for Tahoe-LAFS itself.

Its grid: ten servers with one share each of a file of 40,000 bytes, any three of which will do. The
tests have the names of the originals, those of 2010 and of today. Where those reach into the
downloader to make a timer fire, these let virtual time pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from firstk.downloader import STRATEGIES
from firstk.downloader import download as download_with
from firstk.harness.kernel.condition import ConditionNeverMetError
from firstk.harness.run.result import Result
from firstk.harness.testing.simgrid import ServerGroup, SimGrid
from tests.harness.making import needs_tahoe
from tests.marks import few

#: The round-trip time, in seconds.
RTT = 0.05

#: Strategies that read in phases, one after another: five round trips to the first byte.
IN_PHASES = ("wait-for-all", "first-k", "first-k-late")

#: Strategies that read all that they need of a share in one round: two round trips.
IN_ONE_ROUND = ("windowed", "hedged", "tahoe")


@pytest.fixture(params=[*STRATEGIES, pytest.param("tahoe", marks=needs_tahoe)])
def downloader(request: pytest.FixtureRequest) -> str:
    """Return the name of each strategy, and of Tahoe-LAFS."""
    name: str = request.param
    return name


@pytest.fixture
def grid(downloader: str) -> Iterator[SimGrid]:
    """Make the grid."""
    with SimGrid(servers=10, k=3, n=10, size=40_000, rtt=RTT, downloader=downloader) as grid:
        yield grid


@pytest.fixture
def segmented(downloader: str) -> Iterator[SimGrid]:
    """Make the grid, with a file of four segments, so that much can happen while it is read."""
    with SimGrid(size=40_000, segment_size=10_000, rtt=RTT, downloader=downloader) as grid:
        yield grid


def rounds(downloader: str) -> int:
    """Return the number of round trips to the first byte without faults."""
    return 5 if downloader in IN_PHASES else 2


def assert_ok(result: Result, ttfb: float | None = None) -> None:
    """Check that the file was downloaded, and when its first byte came."""
    assert (result.outcome, result.content_ok) == ("ok", True)
    if ttfb is not None:
        assert pytest.approx(ttfb) == result.ttfb


def assert_too_few(result: Result, have: int) -> None:
    """Check that the download failed with too few shares, and reported how many it had."""
    assert (result.outcome, result.error) == ("failed", "NotEnoughSharesError")
    said = "ran out of shares" if result.strategy == "tahoe" else f"have {have}, need 3"
    assert said in str(result.message)


def waiting(servers: SimGrid | ServerGroup) -> list[str]:
    """Return the servers that owe an answer."""
    return sorted({exchange.server for exchange in servers.outstanding})


def is_read(servers: ServerGroup) -> bool:
    """Return whether a read from these servers is outstanding."""
    return any(exchange.operation == "read" for exchange in servers.outstanding)


# Enough servers answer


def test_10_good(grid: SimGrid, downloader: str) -> None:
    """Without faults, the first byte takes the fewest round trips."""
    assert_ok(grid.download(), rounds(downloader) * RTT)


def test_10_good_copied_share(grid: SimGrid, downloader: str) -> None:
    """A share that appears twice does no harm."""
    grid.servers[0].hold(0, 2)

    assert_ok(grid.download(), rounds(downloader) * RTT)


def test_3_good_7_noshares(grid: SimGrid, downloader: str) -> None:
    """Three shares are enough, and empty servers do no harm."""
    grid.servers[3:].hold()

    assert_ok(grid.download(), rounds(downloader) * RTT)


def test_3_good_7_hung(grid: SimGrid, downloader: str) -> None:
    """Three servers that answer are enough, except for wait-for-all: ticket #928."""
    grid.servers[3:].hang()
    result = grid.download()

    if downloader == "wait-for-all":
        assert (result.outcome, result.ttfb) == ("stalled", None)
        assert grid.servers[3:].names == waiting(grid)
    else:
        assert_ok(result, rounds(downloader) * RTT)


# Too few shares


def test_2_good_8_broken(grid: SimGrid) -> None:
    """Two shares are too few; the download fails as soon as all servers have answered."""
    grid.servers[2:].fault("broken")
    result = grid.download()

    assert_too_few(result, have=2)
    assert pytest.approx(RTT) == result.finished


def test_2_good_8_noshares(grid: SimGrid) -> None:
    """With two shares, the download fails once the others answer that they have none."""
    grid.servers[2:].hold()
    result = grid.download()

    assert_too_few(result, have=2)
    assert pytest.approx(RTT) == result.finished


def test_2_good_8_broken_copied_share(grid: SimGrid, downloader: str) -> None:
    """Two servers are enough if one of them has a third share."""
    grid.servers[0].hold(0, 2)
    grid.servers[2:].fault("broken")

    assert_ok(grid.download(), rounds(downloader) * RTT)


def test_2_good_8_broken_duplicate_share(grid: SimGrid) -> None:
    """They are not if both have that share: three buckets are not three shares."""
    grid.servers[0].hold(0, 1)
    grid.servers[2:].fault("broken")

    assert_too_few(grid.download(), have=2)


def test_2_good_8_hung(grid: SimGrid, downloader: str) -> None:
    """With eight servers hung, only `hedged` does not wait forever."""
    grid.servers[2:].hang()
    result = grid.download()

    if downloader == "hedged":
        assert_too_few(result, have=2)
        assert "gave up after 60 s without progress" in str(result.message)
        assert pytest.approx(2 * RTT + 60) == result.finished  # it has read the two by then
        assert waiting(grid) == []  # its queries are withdrawn
    else:
        assert (result.outcome, result.ttfb) == ("stalled", None)
        assert grid.servers[2:].names == waiting(grid)


# Servers that recover


@pytest.mark.parametrize("shares", [[2], [0, 2]], ids=["1 share", "2 shares"])
@pytest.mark.parametrize("recovers", few(1, [5, 15]))
def test_2_good_8_hung_then_1_recovers(
    grid: SimGrid, downloader: str, recovers: int, shares: list[int]
) -> None:
    """A server that recovers answers its query, and counts, overdue (after 10 s) or not."""
    grid.servers[2].hold(*shares)
    grid.servers[2:].hang()
    download = grid.start()
    grid.advance(recovers)
    assert not download.done
    assert grid.servers[2:].names == waiting(grid)

    grid.servers[2].heal()
    result = download.finish()

    if downloader == "wait-for-all":
        assert result.outcome == "stalled"  # on the seven others
        assert grid.servers[3:].names == waiting(grid)
    else:  # half a round trip until its answer is there, and then all that comes after it
        assert_ok(result, recovers + RTT / 2 + (rounds(downloader) - 1) * RTT)


# Windows of queries


def window(name: str, queries: int) -> Callable[..., Any]:
    """Return a downloader that is our strategy with this window."""
    return partial(download_with, strategy=replace(STRATEGIES[name], window=queries))


def test_5_overdue() -> None:
    """Five hung servers fill a window of five, until they are overdue and make room for others."""
    grid = SimGrid(rtt=RTT)
    grid.servers[:5].hang()
    download = grid.start(window("windowed", 5))
    grid.advance(9.99)
    assert grid.servers[:5].names == waiting(grid)
    assert len(grid.outstanding) == 5

    grid.advance(0.02)
    assert len(grid.outstanding) == 10

    assert_ok(download.finish(), 10 + 2 * RTT)
    assert grid.servers[:5].names == waiting(grid)


def test_5_overdue_hedged() -> None:
    """`hedged` succeeds, although its whole window hangs at first."""
    grid = SimGrid(rtt=RTT)
    grid.servers[:5].hang()

    assert_ok(grid.download(window("hedged", 5)))


def test_10_overdue(downloader: str) -> None:
    """The same with the first ten of twenty servers hung, for strategies with a window of ten."""
    with SimGrid(servers=20, n=20, rtt=RTT, downloader=downloader) as grid:
        grid.servers[:10].hang()
        result = grid.download()

    if downloader == "wait-for-all":
        assert result.outcome == "stalled"
    else:
        overdue = 10 if downloader in ("windowed", "tahoe") else 0
        assert_ok(result, overdue + rounds(downloader) * RTT)


# Failures during the download: stage 4 of the downloader of 2010


@pytest.mark.parametrize("kind", ["broken", "disconnect", "corrupt", "read-error"])
def test_failover(segmented: SimGrid, downloader: str, kind: str) -> None:
    """A share that goes bad between two segments is replaced, if another one is known."""
    download = segmented.start()
    segmented.until(lambda: download.ttfb is not None)
    keys = {"part": "block"} if kind == "corrupt" else {}
    segmented.servers[0].fault(kind, **keys)
    result = download.finish()

    if downloader == "first-k":  # it has ignored all answers but the first three
        assert_too_few(result, have=2)
    else:
        assert_ok(result)


def test_failover_to_late_answer(grid: SimGrid, downloader: str) -> None:
    """If a share is corrupt, a spare one in a late answer replaces it: ticket #287."""
    grid.servers[2].corrupt("block")
    grid.servers[3:].hang()
    download = grid.start()
    if downloader == "wait-for-all":
        with pytest.raises(ConditionNeverMetError, match=r"s3 \(get_buckets at 0 s\), .* s9"):
            grid.until(lambda: is_read(grid.servers[2]))
        return

    grid.until(lambda: is_read(grid.servers[2]))
    grid.servers[3].heal()
    result = download.finish()

    if downloader == "first-k":
        assert_too_few(result, have=2)
    elif downloader == "first-k-late":
        assert_ok(result)
    else:
        assert_ok(result, 3 * RTT)


def test_failover_waits_for_late_answer(segmented: SimGrid, downloader: str) -> None:
    """A connection is lost between two segments, while the server of the spare share hangs."""
    segmented.servers[3:].hang()
    download = segmented.start()
    segmented.advance(RTT * (rounds(downloader) + 1.5))
    segmented.servers[0].disconnect()
    segmented.advance(5)
    # first-k knows of no other, and waits for none; hedged has read all segments in one round.
    assert (downloader in ("first-k", "hedged")) is download.done

    segmented.servers[9].heal()
    result = download.finish()

    if downloader == "wait-for-all":
        assert (result.outcome, result.ttfb) == ("stalled", None)  # it has not begun to read
    elif downloader == "first-k":
        assert_too_few(result, have=2)
    else:
        assert_ok(result)
        assert result.finished is not None
        assert downloader == "hedged" or 5 < result.finished < 7


@pytest.mark.slow
def test_yes_then_hang(grid: SimGrid, downloader: str) -> None:
    """A server that hangs after its first answer stalls all but `hedged`."""
    grid.servers[0].hang("read")
    result = grid.download()

    if downloader == "hedged":
        assert_ok(result)
        assert waiting(grid) == []  # the read is withdrawn
    else:
        assert (result.outcome, result.ttfb) == ("stalled", None)
        assert waiting(grid) == ["s0"]
