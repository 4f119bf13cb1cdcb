"""Seeds of runs."""

from firstk.scenarios.seeds import seed_of, seed_range


def test_seeds() -> None:
    """Runs have successive seeds, and a range names the first and the last of them."""
    assert [seed_of(7, run) for run in range(3)] == [7, 8, 9]
    assert seed_range(7, 3) == "7 to 9"
    assert seed_range(7, 1) == "7"
