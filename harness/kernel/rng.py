"""Random streams, one per purpose, so that adding a stream does not change the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from functools import lru_cache
from hashlib import sha256
from random import Random
from threading import get_ident

#: How many streams of a seed are kept, and how many draws of each.
_MOST_STREAMS = 100
_MOST_DRAWS = 64

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


def draws(draw: Callable[[Random], float], seed: int, *purpose: str) -> Iterator[float]:
    """Yield what `draw` returns for the stream of a purpose, again and again.

    The other strategies draw the same in the run of a seed, and so does the bound. To make a stream
    takes longer than to draw from it, so the first draws of the first streams are kept for them.
    """
    streams = _streams_of(get_ident(), seed)
    if (begun := streams.get((draw, purpose))) is None or purpose in _given:
        random = stream(seed, *purpose)
        if len(streams) == _MOST_STREAMS or purpose in _given:
            while True:
                yield draw(random)
        begun = streams[draw, purpose] = random, []
    random, known = begun
    for place in range(_MOST_DRAWS):
        if place == len(known):
            known.append(draw(random))
        yield known[place]
    random = copy(random)
    while True:
        yield draw(random)


@lru_cache(maxsize=16)
def _streams_of(
    thread: int, seed: int
) -> dict[tuple[Callable[[Random], float], tuple[str, ...]], tuple[Random, list[float]]]:
    """Return the streams of a seed that are kept, each with the draws made from it so far."""
    return {}
