"""Reading with progress reports: a caller is notified while bytes arrive, not only at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from firstk.downloader.interfaces import IBucket, IProgressBucket

#: A bucket that reports no progress is read in pieces of this many bytes. On a link of 128 kbit/s,
#: one takes two seconds.
PIECE = 32 * 1024


def read_in_pieces(
    bucket: IBucket, offset: int, length: int, progress: Callable[[int], None]
) -> Deferred[bytes]:
    """Read a span of a bucket; `progress` is called as `IProgressBucket.read` calls it.

    A bucket that does not report progress is sent several reads at once, and each answer counts as
    progress. Cancelling the Deferred cancels all reads.
    """
    if IProgressBucket.providedBy(bucket):
        return cast(Any, bucket).read(offset, length, progress)  # type: ignore[no-any-return]
    if length <= PIECE:
        return bucket.read(offset, length)
    return _Pieces(bucket, offset, length, progress).done


class _Pieces:
    """The reads of one span, all sent at once."""

    def __init__(
        self, bucket: IBucket, offset: int, length: int, progress: Callable[[int], None]
    ) -> None:
        self.done: Deferred[bytes] = Deferred(lambda _: self._cancel())
        self._progress = progress
        self._arrived = 0
        self._lacking = 0
        self._data: list[bytes] = []
        self._reads: list[Deferred[Any]] = []
        ends = range(offset, offset + length, PIECE)
        self._lacking = len(ends)
        self._data = [b""] * len(ends)
        for place, start in enumerate(ends):
            size = min(PIECE, offset + length - start)
            answer = maybeDeferred(bucket.read, start, size)
            self._reads.append(answer)
            answer.addCallback(self._take, place, size).addErrback(self._fail)
            if self.done.called:
                return

    def _take(self, data: Any, place: int, size: int) -> None:
        if self.done.called:
            return
        if not isinstance(data, bytes) or len(data) > size:
            self._end(data)  # the caller handles invalid answers
            return
        self._data[place] = data
        self._lacking -= 1
        if not self._lacking:
            self._end(b"".join(self._data))
        elif data:
            self._arrived += len(data)
            self._progress(self._arrived)

    def _fail(self, failure: Failure) -> None:
        if not self.done.called:
            self._end(failure)

    def _end(self, result: bytes | Failure) -> None:
        self.done.callback(result)
        self._cancel()

    def _cancel(self) -> None:
        for read in self._reads:
            read.cancel()
