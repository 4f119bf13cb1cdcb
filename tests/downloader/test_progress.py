"""Reads with progress, even from buckets that do not report it."""

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, succeed
from zope.interface import implementer

from firstk.downloader.interfaces import IProgressBucket
from firstk.downloader.progress import PIECE, read_in_pieces
from tests.doubles import result_of
from tests.downloader.scenery import AnyBucket, BoomError, ManualBucket

DATA = bytes(i % 251 for i in range(3 * PIECE + 100))


def begin(bucket: Any, offset: int = 0, length: int = len(DATA)) -> tuple[Deferred[bytes], Any]:
    """Return the Deferred of a read, and the list of its reported progress."""
    arrived: list[int] = []
    return read_in_pieces(bucket, offset, length, arrived.append), arrived


def test_bucket_that_reports() -> None:
    """A bucket that reports progress gets one read, and reports by itself."""

    @implementer(IProgressBucket)
    class Reporting:
        def read(self, offset: int, length: int, progress: Any = None) -> Deferred[bytes]:
            progress(7)
            return succeed(DATA[offset : offset + length])

    answer, arrived = begin(Reporting())

    assert result_of(answer) == DATA
    assert arrived == [7]


@pytest.mark.parametrize("length", [0, 1, PIECE])
def test_small_read(length: int) -> None:
    """A small read is sent as one read."""
    bucket = ManualBucket(DATA)
    answer, arrived = begin(bucket, 5, length)

    assert [(5, length)] == [(o, n) for o, n, _ in bucket.waiting]
    bucket.answer_all()

    assert DATA[5 : 5 + length] == result_of(answer)
    assert arrived == []


def test_pieces() -> None:
    """A large read is split into several, sent at once; each answer but the last is progress."""
    bucket = ManualBucket(DATA)
    answer, arrived = begin(bucket)

    assert len(bucket.waiting) == 4
    bucket.waiting.reverse()
    bucket.answer_all()

    assert result_of(answer) == DATA
    assert arrived == [100, 100 + PIECE, 100 + 2 * PIECE]


def test_end_of_the_share() -> None:
    """Pieces past the end of the share do not count as progress."""
    bucket = ManualBucket(DATA[: PIECE + 1])
    answer, arrived = begin(bucket)
    bucket.answer_all()

    assert DATA[: PIECE + 1] == result_of(answer)
    assert arrived == [PIECE, PIECE + 1]


def test_failure() -> None:
    """If one piece fails, the read fails, and the other pieces are cancelled."""
    bucket = ManualBucket(DATA)
    answer, _ = begin(bucket)
    others = [each for _, _, each in bucket.waiting[1:]]
    bucket.fail()

    with pytest.raises(BoomError):
        result_of(answer)
    assert all(each.called for each in others)


def test_cancel() -> None:
    """Cancelling the read cancels all its pieces."""
    bucket = ManualBucket(DATA)
    answer, _ = begin(bucket)
    answer.cancel()

    with pytest.raises(CancelledError):
        result_of(answer)
    assert all(each.called for _, _, each in bucket.waiting)


@pytest.mark.parametrize("nonsense", [None, "text", b"x" * (PIECE + 1)])
def test_nonsense(nonsense: Any) -> None:
    """An answer that is not bytes ends the read, and is returned for the caller to judge."""
    answer, arrived = begin(AnyBucket(lambda *_: succeed(nonsense)))

    assert result_of(answer) == nonsense
    assert arrived == []


def test_raises() -> None:
    """A bucket that raises fails the read."""

    def read(*_: int) -> Any:
        raise BoomError

    with pytest.raises(BoomError):
        result_of(begin(AnyBucket(read))[0])
