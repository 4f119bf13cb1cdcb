"""Tahoe-LAFS's own storage servers, client and downloader, over simulated TLS: all unmodified.

The first byte takes six round trips: TCP, TLS and the list of shares, and the same again for reads,
since HTTP/1.1 takes one request at a time and Tahoe-LAFS sends several. With real servers and real
SIGSTOP the rows of 10 s and 60 s took 10.01 to 10.04 s and 60.5 s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from firstk.downloader.encode import encode
from tests.harness.making import needs_tahoe, run_python
from tests.marks import few

# Tahoe-LAFS uses deprecated functions, and leaves files open.
pytestmark = [needs_tahoe, pytest.mark.filterwarnings("ignore")]

_PLAINTEXT = bytes(range(256)) * 512 + b"xy"  # two segments


def _do(name: str, *numbers: int) -> Callable[[Any, float], None]:
    """Return a function that applies a fault to some servers at the start."""

    def begin(grid: Any, start: float) -> None:
        for number in numbers:
            getattr(grid.servers[number], name)()

    return begin


def _freeze_later(after: float) -> Callable[[Any, float], None]:
    """Return a function that freezes the three servers in use in the middle of the download."""

    def begin(grid: Any, start: float) -> None:
        for host in grid.servers[:3]:
            grid.net.at(start + after, host.freeze)

    return begin


def _partition(*numbers: int) -> Callable[[Any, float], None]:
    def begin(grid: Any, start: float) -> None:
        for number in numbers:
            grid.net.partition("client", f"s{number}")

    return begin


@pytest.mark.parametrize(
    ("fault", "servers", "holders", "first", "done"),
    few(
        4,
        [
            pytest.param(_do("freeze"), 10, None, 0.300, 0.350, id="none"),
            pytest.param(_do("freeze", 0), 10, None, 0.300, 0.350, id="one-frozen"),
            pytest.param(_do("freeze", *range(7)), 10, None, 0.300, 0.350, id="first-7-frozen"),
            pytest.param(_do("freeze", *range(3, 10)), 10, None, 0.300, 0.350, id="last-7-frozen"),
            pytest.param(_do("kill", *range(7)), 10, None, 0.300, 0.350, id="7-killed"),
            pytest.param(_do("power_off", *range(7)), 10, None, 0.300, 0.350, id="7-off"),
            pytest.param(_partition(*range(7)), 10, None, 0.300, 0.350, id="7-partitioned"),
            pytest.param(
                *(_do("freeze", *range(10)), 13, [10, 11, 12], 10.300, 10.350), id="10-of-13-frozen"
            ),
            pytest.param(_freeze_later(0.2), 10, None, 60.300, 60.350, id="frozen-before-reads"),
            pytest.param(_freeze_later(0.31), 10, None, 0.300, 60.500, id="frozen-after-a-segment"),
        ],
    ),
)
def test_downloads(
    tmp_path: Path,
    fault: Callable[[Any, float], None],
    servers: int,
    holders: Sequence[int] | None,
    first: float,
    done: float,
) -> None:
    """The first and the last byte come at these times, whatever happens to the servers."""
    from tests.harness.net.tahoe_grid import TahoeGrid

    file = encode(_PLAINTEXT, k=3, n=10, segment_size=131_072)
    grid = TahoeGrid(tmp_path, file, servers, holders, rtt=0.05)
    start = grid.net.now
    fault(grid, start)
    consumer, ended = grid.download()
    grid.net.advance(100)

    assert consumer.data == _PLAINTEXT
    assert consumer.first is not None
    assert ended.at is not None
    assert consumer.first - start == pytest.approx(first, abs=1e-3)
    assert ended.at - start == pytest.approx(done, abs=1e-3)


def test_too_many_frozen(tmp_path: Path) -> None:
    """With 8 of 10 frozen, the download fails after 60 s, and firstk lists the silent servers."""
    from tests.harness.net.tahoe_grid import TahoeGrid

    file = encode(_PLAINTEXT, k=3, n=10, segment_size=131_072)
    grid = TahoeGrid(tmp_path, file, rtt=0.05)
    start = grid.net.now
    _do("freeze", *range(8))(grid, start)
    consumer, ended = grid.download()
    grid.net.advance(30)
    silent = [one.host for one in grid.net.outstanding]
    grid.net.advance(70)

    assert silent == [f"s{number}" for number in range(8)]
    assert consumer.first is None
    assert ended.at is not None
    assert ended.at - start == pytest.approx(60, abs=1e-3)
    assert type(ended.value).__name__ == "NotEnoughSharesError"


_DIGEST = """
import tempfile, warnings
from pathlib import Path
warnings.simplefilter("ignore")  # Tahoe-LAFS and Twisted use what is deprecated
from firstk import encode
from tests.harness.net.tahoe_grid import TahoeGrid
file = encode(bytes(200_000), k=3, n=10, segment_size=131_072)
for bandwidth in None, 1e6:
    with tempfile.TemporaryDirectory() as folder:
        rtt = {"law": "lognormal", "median": 0.05, "sigma": 1.0}
        grid = TahoeGrid(Path(folder), file, seed=5, rtt=rtt, bandwidth=bandwidth)
        grid.net.at(grid.net.now + 0.31, grid.servers[0].freeze)
        consumer, ended = grid.download()
        grid.net.advance(100)
        assert consumer.data == bytes(200_000)
        print(grid.net.digest())
"""


@pytest.mark.slow  # two processes, which import Tahoe-LAFS
def test_digests() -> None:
    """Equal seeds have equal digests, in any process, with any hash seed."""
    found = {run_python(_DIGEST, PYTHONHASHSEED=str(seed)) for seed in range(2)}

    assert len(found) == 1
