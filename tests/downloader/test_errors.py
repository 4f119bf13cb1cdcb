"""Errors have readable messages, and survive being copied."""

import copy
import pickle

import pytest

from firstk.downloader.errors import NoSharesError, NotEnoughSharesError


@pytest.mark.parametrize("duplicate", [copy.copy, lambda e: pickle.loads(pickle.dumps(e))])  # noqa: S301
def test_copies(duplicate: object) -> None:
    """A shortage error that is pickled, or copied by SimPy, has the same message."""
    assert callable(duplicate)
    error = NotEnoughSharesError(2, 3, ["s0: share 0: good", "s1: no answer"])
    other = duplicate(error)

    assert str(other) == "not enough shares: have 2, need 3\n  s0: share 0: good\n  s1: no answer"
    assert (2, 3, error.servers) == (other.have, other.need, other.servers)


def test_kinds() -> None:
    """A shortage without a single good share has its own class."""
    assert NoSharesError is type(NotEnoughSharesError.of(0, 3, []))
    assert NotEnoughSharesError is type(NotEnoughSharesError.of(1, 3, []))
    assert issubclass(NoSharesError, NotEnoughSharesError)


@pytest.mark.parametrize("duplicate", [copy.copy, lambda e: pickle.loads(pickle.dumps(e))])  # noqa: S301
def test_silence(duplicate: object) -> None:
    """The error of a download that gave up has its `silence`, even in a copy."""
    assert callable(duplicate)
    error = NotEnoughSharesError.of(2, 3, ["s0: share 0: good", "s1: no answer"], 60.0)
    for one in error, duplicate(error):
        assert one.silence == 60.0
        assert str(one) == (
            "not enough shares: have 2, need 3; gave up after 60 s without progress\n"
            "  s0: share 0: good\n  s1: no answer"
        )


@pytest.mark.parametrize(("silence", "words"), [(0.25, "0.25 s"), (3600.0, "3600 s"), (60, "60 s")])
def test_silence_in_words(silence: float, words: str) -> None:
    """The time is formatted as short as possible."""
    assert f"gave up after {words} without" in str(NotEnoughSharesError.of(0, 3, [], silence))


def test_no_silence() -> None:
    """The error of a download that did not give up has no `silence`."""
    error = NotEnoughSharesError.of(2, 3, [])

    assert error.silence is None
    assert "gave up" not in str(error)


def test_kinds_of_silence() -> None:
    """A download that gave up has the same kinds of shortage."""
    assert NotEnoughSharesError is type(NotEnoughSharesError.of(2, 3, [], 60.0))
    assert NoSharesError is type(NotEnoughSharesError.of(0, 3, [], 60.0))
