"""The file of a run: its cap, its shares, and the plaintext that must come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from random import Random

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer, IProducer
from zope.interface import implementer

from downloader import download
from downloader.cap import CHKCap
from downloader.encode import encode
from downloader.interfaces import IBucket, IStorageServer
from harness.reactor import SimReactor
from harness.streams import stream
from scenarios.model import MadeUpFile, RealFile, Scenario


@dataclass(frozen=True, slots=True)
class GridFile:
    """A file that lies on a grid.

    `plaintext` is None if the shares cannot be decoded: then nothing can be said of what
    comes out.
    """

    cap: CHKCap
    shares: Mapping[int, bytes]
    plaintext: bytes | None
    trusted: bool = True

    def holds(self, offset: int, data: bytes) -> bool:
        """Tell whether `data` is what the file has at `offset`."""
        if self.plaintext is None or not self.trusted:
            return False
        return self.plaintext[offset : offset + len(data)] == data


def file_of(scenario: Scenario, seed: int) -> GridFile:
    """Return the file of the run with this seed: made up from it, or the real one."""
    if isinstance(scenario.file, RealFile):
        return _real(scenario.file)
    return _made_up(scenario.file, seed)


@lru_cache(maxsize=2)  # each strategy of a run meets the same file
def _made_up(file: MadeUpFile, seed: int) -> GridFile:
    return make_up(file, seed)


def make_up(file: MadeUpFile, seed: int, number: int = 0) -> GridFile:
    """Return a file that is made up from a seed; `number` tells it from others."""
    name = ["file", str(number)] if number else ["file"]
    plaintext = _random_bytes(stream(seed, *name), file.size)
    encoded = encode(plaintext, k=file.k, n=file.n, segment_size=file.segment_size)
    return GridFile(encoded.cap, encoded.shares, plaintext)


#: The most bytes that are drawn at once, a multiple of 4: Python cannot draw 2**31 bits.
_PIECE = 2**26


def _random_bytes(random: Random, size: int) -> bytes:
    """Return what `random.randbytes` does, of any size."""
    pieces = [random.randbytes(min(_PIECE, size - at)) for at in range(0, size, _PIECE)]
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


@lru_cache(maxsize=2)
def _real(file: RealFile) -> GridFile:
    plaintext = _decode(file)
    right = plaintext is not None and file.sha256 in (None, sha256(plaintext).hexdigest())
    return GridFile(file.parsed_cap, file.data, plaintext, trusted=right)


def _decode(file: RealFile) -> bytes | None:
    """Return the plaintext of real shares, read as from good servers."""
    consumer = _Collector()
    servers = [_LocalServer({number: data}) for number, data in file.data.items()]
    done = download(SimReactor(), servers, file.parsed_cap, consumer, strategy="wait-for-all")
    failures: list[object] = []
    done.addErrback(failures.append)
    return None if failures else b"".join(consumer.pieces)


@implementer(IConsumer)
class _Collector:
    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Take all that comes."""

    def unregisterProducer(self) -> None:
        """Nothing was kept."""

    def write(self, data: bytes) -> None:
        self.pieces.append(data)


@implementer(IStorageServer)
class _LocalServer:
    """A server that answers at once."""

    def __init__(self, shares: Mapping[int, bytes]) -> None:
        self._shares = shares

    def get_buckets(self, storage_index: bytes) -> Deferred[Mapping[int, IBucket]]:
        return succeed({number: _LocalBucket(data) for number, data in self._shares.items()})


@implementer(IBucket)
class _LocalBucket:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, offset: int, length: int) -> Deferred[bytes]:
        return succeed(self._data[offset : offset + length])
