"""The mean of the reads is that of an order statistic; hung servers cost time, not the file."""

from statistics import mean

import pytest
from reader import download, without_spares

from firstk import SimGrid, load_scenario, simulate

TAIL = load_scenario("tail.toml")
RUNS = 25


def harmonic(n):
    return sum(1 / i for i in range(1, n + 1))


def times(downloader):
    """Return the times to first byte of some runs, in seconds."""
    return [simulate(TAIL, downloader, run).result.ttfb for run in range(RUNS)]


def test_ten_spares():
    """The 29th of 39 exponential answers comes after H(39) - H(10) = 1.32 s on average."""
    assert mean(times(download)) == pytest.approx(harmonic(39) - harmonic(10), rel=0.1)


def test_no_spares():
    """The last of 29 comes after H(29) = 3.96 s."""
    assert mean(times(without_spares)) == pytest.approx(harmonic(29), rel=0.15)


@pytest.mark.parametrize(("hung", "longest"), [(10, 4.0), (11, 8.0)])
def test_hung_servers(hung, longest):
    """Ten hung servers of the first 39 are spares; with eleven, other servers are asked."""
    grid = SimGrid.of(TAIL)
    grid.servers[:hung].hang()

    result = grid.download(download)

    assert result.outcome == "ok"
    assert longest - 4.0 < result.ttfb < longest
