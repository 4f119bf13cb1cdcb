"""Random streams, one per purpose, so that adding a stream does not change the others."""

from __future__ import annotations

from hashlib import sha256
from random import Random


def stream(seed: int, *purpose: str) -> Random:
    """Return the stream of random numbers for a purpose in the run of a seed.

    A purpose is usually a server's name and what is drawn for it. Streams of different
    purposes are independent; equal ones are equal on every machine and Python version.
    """
    name = "\0".join([str(seed), *purpose])
    return Random(int.from_bytes(sha256(name.encode()).digest(), "big"))
