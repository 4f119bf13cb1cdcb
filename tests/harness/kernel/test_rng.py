"""Random streams depend only on their seed and their purpose."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, islice
from random import Random

import pytest

from firstk.harness.kernel.rng import draws, given_streams, stream
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
def test_is_the_same_forever(purpose: tuple[str, ...], first: float) -> None:
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
    drawn = [{one.random() for _ in range(20)} for one in streams]

    assert not any(one & two for one, two in combinations(drawn, 2))


def test_names_do_not_run_together() -> None:
    """The boundaries between names matter, and so does the seed."""
    seeds_and_names = [
        (1, ["a", "bc"]),
        (1, ["ab", "c"]),
        (1, ["abc"]),
        (1, ["a", "b", "c"]),
        (11, ["a", "bc"]),
    ]
    drawn = {stream(seed, *names).random() for seed, names in seeds_and_names}

    assert len(seeds_and_names) == len(drawn)


def drawn_from(seed: int, *purpose: str, count: int = 200) -> list[float]:
    """Return the first draws of a stream."""
    one = stream(seed, *purpose)
    return [one.random() for _ in range(count)]


def test_draws() -> None:
    """All that draw from a stream get the same, at whatever pace, and many draws too."""
    seed = 77_001
    slow, fast = (draws(Random.random, seed, "s0", "rtt") for _ in range(2))
    got = list(islice(slow, 3)), list(islice(fast, 190)), list(islice(slow, 197))
    late = list(islice(draws(Random.random, seed, "s0", "rtt"), 200))

    assert drawn_from(seed, "s0", "rtt") == late == got[0] + got[2]
    assert got[1] == late[:190]


def test_draws_of_many_streams() -> None:
    """With more streams than are kept, the draws are the same, and so they are the second time."""
    seed = 77_002
    for _ in range(2):
        for number in range(150):
            found = list(islice(draws(Random.random, seed, f"s{number}", "rtt"), 3))

            assert drawn_from(seed, f"s{number}", "rtt", count=3) == found


def test_draws_by_another_law() -> None:
    """What is drawn from a stream by one law is not what another law draws."""
    seed = 77_003
    for law in (Random.random, lambda random: 2 * random.random(), Random.random):
        (found,) = islice(draws(law, seed, "s0", "rtt"), 1)

        assert found == law(stream(seed, "s0", "rtt"))


def test_draws_from_given_streams() -> None:
    """Streams that replace others are not kept."""
    seed, purpose = 77_004, ("s0", "rtt")
    usual = drawn_from(seed, *purpose, count=2)
    for number in (1, 2):
        with given_streams({purpose: Random(number)}):
            found = list(islice(draws(Random.random, seed, *purpose), 2))
            expected = Random(number)

            assert found == [expected.random(), expected.random()]
        assert usual == list(islice(draws(Random.random, seed, *purpose), 2))


def test_draws_in_threads() -> None:
    """Threads that draw from one stream at the same time do not disturb one another."""
    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(lambda _: list(islice(draws(Random.random, 77_005, "s0"), 60)), range(40))
        )

    assert all(one == drawn_from(77_005, "s0", count=60) for one in found)
