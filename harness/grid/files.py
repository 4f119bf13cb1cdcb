"""The file of a scenario: its cap, its shares, and the expected plaintext."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from random import Random

from firstk.downloader.cap import CHKCap
from firstk.downloader.encode import encode
from firstk.harness.grid.reference_decoder import decode
from firstk.harness.kernel.rng import stream
from firstk.scenarios.model import MadeUpFile, RealFile, Scenario


@dataclass(frozen=True, slots=True)
class GridFile:
    """A file that is stored on a grid.

    `plaintext` is None if the shares cannot be decoded; then downloaded bytes cannot be checked. It
    is not `trusted` if it is not the plaintext that the scenario states.
    """

    cap: CHKCap
    shares: Mapping[int, bytes]
    plaintext: bytes | None
    trusted: bool = True

    def holds(self, offset: int, data: bytes) -> bool | None:
        """Return whether the file has `data` at `offset`; None if that cannot be checked."""
        if self.plaintext is None:
            return None
        return self.trusted and self.plaintext[offset : offset + len(data)] == data


def file_of(scenario: Scenario) -> GridFile:
    """Return the file of all runs of a scenario: generated, equal for equal tables, or real."""
    if isinstance(scenario.file, RealFile):
        return _real(scenario.file)
    return _made_up(scenario.file)


@lru_cache(maxsize=2)
def _made_up(file: MadeUpFile) -> GridFile:
    return make_up(file, 0)


def make_up(file: MadeUpFile, seed: int, number: int = 0) -> GridFile:
    """Return a file generated from a seed; another `number` results in another file."""
    name = ["file", str(number)] if number else ["file"]
    plaintext = _random_bytes(stream(seed, *name), file.size)
    encoded = encode(plaintext, k=file.k, n=file.n, segment_size=file.segment_size)
    return GridFile(encoded.cap, encoded.shares, plaintext)


#: The maximum number of bytes drawn at once, a multiple of 4: Python cannot draw 2**31 bits.
_PIECE = 2**26


def _random_bytes(random: Random, size: int) -> bytes:
    """Return random bytes like `random.randbytes`, but of any size."""
    pieces = [random.randbytes(min(_PIECE, size - at)) for at in range(0, size, _PIECE)]
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


@lru_cache(maxsize=2)
def _real(file: RealFile) -> GridFile:
    plaintext = decode(file.cap, file.data)
    right = plaintext is None or file.sha256 in (None, sha256(plaintext).hexdigest())
    return GridFile(file.parsed_cap, file.data, plaintext, trusted=right)
