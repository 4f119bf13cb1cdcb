"""Seeds of runs."""

from firstk.scenarios.seeds import seed_of, seed_range


def test_seeds() -> None:
    """Runs have consecutive seeds, and a range is formatted with its first and last."""
    assert [seed_of(7, run) for run in range(3)] == [7, 8, 9]
    assert seed_range(7, 3) == "7 to 9"
    assert seed_range(7, 1) == "7"
