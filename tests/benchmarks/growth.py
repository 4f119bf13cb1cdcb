"""How the time of a download grows with servers and bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256

import zfec

from firstk.downloader.aes import Keystream
from firstk.harness.grid.files import file_of
from firstk.harness.run.simulate import simulate
from firstk.scenarios.load import from_tables
from firstk.scenarios.model import Scenario
from tests.benchmarks.download import scenario
from tests.benchmarks.measure import Figure, in_turn, seconds

_MEGABYTES = 8


def figures(rounds: int) -> Iterator[Figure]:
    """Yield the growth of the time per query, and the rate of bytes over that of arithmetic."""
    few, many = _grid(10), _grid(10_000)
    times = in_turn(_runs(few, 200), _runs(many, 1), rounds)
    yield Figure(
        "a query at 10,000 servers",
        [(large / 10_000) / (small / 200 / 10) for small, large in times],
        1.3,
        at_least=False,
        note="time over that at 10 servers",
    )
    small = scenario(size=1 << 20)
    large = scenario(size=(1 + _MEGABYTES) << 20)
    for strategy in ("first-k", "windowed"):
        _runs(large, 1, strategy)()
        found = []
        for _ in range(rounds):
            extra = seconds(_runs(large, 1, strategy)) - seconds(_runs(small, 1, strategy))
            found.append(seconds(_arithmetic(large)) / extra)
        yield Figure(
            f"bytes, {strategy}",
            found,
            0.6,
            at_least=True,
            note="rate beyond the first segment over that of hashing, AES and zfec alone",
        )


def _grid(servers: int) -> Scenario:
    return from_tables(
        {
            "name": "bench",
            "stop": "located",
            "file": {"size": 1_000, "k": 3, "n": 10},
            "grid": {"servers": servers, "rtt": {"law": "constant", "value": 0.05}},
        }
    )


def _runs(one: Scenario, count: int, strategy: str = "wait-for-all") -> Callable[[], None]:
    def work() -> None:
        for _ in range(count):
            simulate(one, strategy)

    return work


def _arithmetic(one: Scenario) -> Callable[[], None]:
    """Return a function that does the minimum work for the bytes beyond the first segment.

    Each block of the K shares is hashed, and the segment is decoded, hashed and decrypted.
    """
    file = file_of(one)
    size = _MEGABYTES << 20
    segment = 1 << 20
    assert file.plaintext is not None
    blocks = [file.plaintext[: -(-segment // 3)] for _ in range(3)]
    decoder = zfec.Decoder(3, 10)
    key = bytes(16)

    def work() -> None:
        stream = Keystream(key, 0)
        for _ in range(size // segment):
            for block in blocks:
                sha256(sha256(block).digest()).digest()
            pieces = decoder.decode(blocks, [0, 1, 2])
            text = b"".join(pieces)
            sha256(sha256(text).digest()).digest()
            stream.apply(text)

    return work
