"""Errors are told in words, and survive being copied."""

import copy
import pickle

import pytest

from downloader.errors import NoSharesError, NotEnoughSharesError


@pytest.mark.parametrize("duplicate", [copy.copy, lambda e: pickle.loads(pickle.dumps(e))])  # noqa: S301
def test_copies(duplicate: object) -> None:
    """A shortage that comes from another process, or that SimPy copies, says the same."""
    assert callable(duplicate)
    error = NotEnoughSharesError(2, 3, ["s0: share 0: good", "s1: no answer"])
    other = duplicate(error)

    assert "not enough shares: have 2, need 3\n  s0: share 0: good\n  s1: no answer" == str(other)
    assert (2, 3, error.servers) == (other.have, other.need, other.servers)


def test_kinds() -> None:
    """Nothing good is a kind of shortage of its own."""
    assert NoSharesError is type(NotEnoughSharesError.of(0, 3, []))
    assert NotEnoughSharesError is type(NotEnoughSharesError.of(1, 3, []))
    assert issubclass(NoSharesError, NotEnoughSharesError)
