"""Random streams depend only on their seed and their purpose."""

from __future__ import annotations

from itertools import combinations

import pytest

from firstk.harness.kernel.rng import stream
from tests.harness.making import run_python


def test_repeats() -> None:
    """Equal seeds and purposes give equal draws."""
    one, two = stream(928, "s0", "rtt"), stream(928, "s0", "rtt")

    assert [one.random() for _ in range(100)] == [two.random() for _ in range(100)]


@pytest.mark.parametrize(
    ("purpose", "first"),
    [
        (("s0", "rtt"), 0.5645276354859091),
        (("file",), 0.3352356978552188),
        ((), 0.4807749734272654),
    ],
    ids=["server", "file", "none"],
)
def test_is_the_same_for_ever(purpose: tuple[str, ...], first: float) -> None:
    """The draws never change between versions, so that old digests can be reproduced."""
    assert first == stream(928, *purpose).random()


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_hash_seed(hash_seed: str) -> None:
    """Python's hash seed changes nothing."""
    code = "from firstk.harness.kernel.rng import stream; print(stream(928, 's0', 'rtt').random())"

    assert (
        repr(stream(928, "s0", "rtt").random())
        == run_python(code, PYTHONHASHSEED=hash_seed).strip()
    )


def test_independent() -> None:
    """Streams that differ in seed, server or purpose share no draws."""
    streams = [
        stream(seed, server, purpose)
        for seed in (0, 1, 10, 11)
        for server in ("s0", "s1", "s10")
        for purpose in ("rtt", "order", "select 0", "select 1")
    ]
    draws = [{one.random() for _ in range(20)} for one in streams]

    assert not any(one & two for one, two in combinations(draws, 2))


def test_names_do_not_run_together() -> None:
    """The boundaries between names matter, and so does the seed."""
    seeds_and_names = [
        (1, ["a", "bc"]),
        (1, ["ab", "c"]),
        (1, ["abc"]),
        (1, ["a", "b", "c"]),
        (11, ["a", "bc"]),
    ]
    draws = {stream(seed, *names).random() for seed, names in seeds_and_names}

    assert len(seeds_and_names) == len(draws)
