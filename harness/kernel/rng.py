"""Random streams, one per purpose, so that adding a stream does not change the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from random import Random

#: The streams that replace those of their purposes.
_given: dict[tuple[str, ...], Random] = {}


@contextmanager
def given_streams(streams: Mapping[tuple[str, ...], Random]) -> Iterator[None]:
    """Replace the streams of some purposes, whatever the seed, for one simulation."""
    _given.update(streams)
    try:
        yield
    finally:
        _given.clear()


def stream(seed: int, *purpose: str) -> Random:
    """Return the stream of random numbers for a purpose in the run of a seed.

    A purpose is usually a server's name and what is drawn for it. Streams of different
    purposes are independent; equal ones are equal on every machine and Python version.
    """
    if (given := _given.get(purpose)) is not None:
        return given
    name = "\0".join([str(seed), *purpose])
    return Random(int.from_bytes(sha256(name.encode()).digest(), "big"))
