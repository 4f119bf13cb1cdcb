"""The keystream is AES-128 in counter mode from zero, and starts anywhere."""

from hypothesis import given, settings
from hypothesis import strategies as st

from firstk.downloader.aes import Keystream

KEY = bytes(range(16))


def test_known() -> None:
    """The zero key's first two blocks are those of the GCM specification's first test case."""
    expected = "66e94bd4ef8a2c3b884cfa59ca342b2e58e2fccefa7e3061367f1d57a4e7455a"

    assert bytes.fromhex(expected) == Keystream(bytes(16)).apply(bytes(32))


@given(st.binary(max_size=100), st.integers(0, 100))
@settings(deadline=None, max_examples=50)
def test_offset(data: bytes, offset: int) -> None:
    """A keystream that starts at an offset is the rest of the one from the start."""
    whole = Keystream(KEY).apply(data)

    assert whole[offset:] == Keystream(KEY, offset).apply(data[offset:])


@given(st.lists(st.binary(max_size=40), max_size=8), st.integers(0, 100))
@settings(deadline=None, max_examples=50)
def test_pieces(pieces: list[bytes], offset: int) -> None:
    """Each piece continues where the last ended."""
    whole = Keystream(KEY, offset).apply(b"".join(pieces))
    keystream = Keystream(KEY, offset)

    assert whole == b"".join(keystream.apply(piece) for piece in pieces)


@given(st.binary(max_size=100), st.integers(0, 2**64))
@settings(deadline=None, max_examples=50)
def test_round_trip(data: bytes, offset: int) -> None:
    """Applying the keystream twice restores the data."""
    assert data == Keystream(KEY, offset).apply(Keystream(KEY, offset).apply(data))


def test_far_away() -> None:
    """The counter continues past the end of the largest file that a share can hold."""
    for offset in (2**36 - 16, 2**64 - 16, 2**68 - 16):
        here = Keystream(KEY, offset).apply(bytes(32))

        assert here[16:] == Keystream(KEY, offset + 16).apply(bytes(16))
        assert here[:16] != here[16:]
