"""Shares are encoded byte for byte as Tahoe-LAFS encodes them."""

import pytest

from firstk.downloader.encode import encode
from firstk.downloader.errors import BadCapError
from tests.tahoe import CHK_FILES, CONVERGENCE, RealFile


@pytest.mark.parametrize("file", CHK_FILES, ids=str)
def test_equals_tahoe(file: RealFile) -> None:
    """Cap and shares equal those that Tahoe-LAFS 1.20 made of the same plaintext."""
    assert file.k
    assert file.n
    maximum = 131072 if "seg128k" in file.name else 1024 * 1024

    encoded = encode(
        file.plaintext, k=file.k, n=file.n, segment_size=maximum, convergence=CONVERGENCE
    )

    assert file.uri == str(encoded.cap)
    assert file.shares == encoded.shares


def test_empty() -> None:
    """An empty plaintext is refused: Tahoe-LAFS puts it into the cap."""
    with pytest.raises(ValueError, match="empty"):
        encode(b"", k=3, n=10)


def test_segment_size() -> None:
    """A segment size of zero is refused."""
    with pytest.raises(ValueError, match="segment size 0"):
        encode(b"x", k=1, n=1, segment_size=0)


@pytest.mark.parametrize(("k", "n"), [(0, 1), (4, 3), (1, 257)])
def test_impossible_numbers(k: int, n: int) -> None:
    """K and N are checked before any work is done."""
    with pytest.raises(BadCapError, match=f"{k}-of-{n}"):
        encode(b"x", k=k, n=n)
