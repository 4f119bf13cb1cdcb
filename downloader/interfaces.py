"""What the downloader asks of a storage server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from twisted.internet.defer import Deferred
from zope.interface import Interface


class IBucket(Interface):
    """A bucket: one share on one server.

    Answers are not trusted: a downloader checks every byte against hashes.
    """

    def read(offset: int, length: int) -> Deferred[bytes]:
        """Read `length` bytes of the share's data from `offset` on.

        Return a Deferred of the bytes: fewer than `length` at the end of the share, none beyond
        it. The Deferred may fail, or never fire.
        """


class IProgressBucket(IBucket):
    """A bucket that reports how much of an answer has arrived.

    It is optional: a downloader asks `IProgressBucket.providedBy(bucket)`.
    """

    def read(
        offset: int, length: int, progress: Callable[[int], None] | None = None
    ) -> Deferred[bytes]:
        """Read `length` bytes of the share's data from `offset` on; see `IBucket.read`.

        `progress` is called whenever more bytes of the answer have arrived, with the number of
        those that have arrived so far, but not for the bytes that come with the end of the answer.
        It is never called after the Deferred has fired, failed or been cancelled.
        """


class IStorageServer(Interface):
    """A storage server, as a downloader sees it.

    A server may also have a `name` (a string), by which errors and timelines call it.
    """

    def get_buckets(storage_index: bytes) -> Deferred[Mapping[int, IBucket]]:
        """Ask for the shares of a file, which has a storage index of 16 bytes.

        Return a Deferred of a mapping from share numbers to buckets, empty if the server has no
        share of the file. The Deferred may fail, or never fire.
        """


class IReadingServer(IStorageServer):
    """A storage server that reads a share in the same round trip in which it is asked for it.

    It is optional: a downloader asks `IReadingServer.providedBy(server)`.
    """

    def get_and_read(
        storage_index: bytes, number: int, spans: Sequence[tuple[int, int]]
    ) -> Deferred[tuple[Mapping[int, IBucket], Mapping[int, Sequence[bytes]]]]:
        """Ask for the shares of a file, and read spans of one of them: offsets and lengths.

        That is the share with the `number` if the server has it, else the one with the next higher
        number that it has, else the one with the lowest. Return a Deferred of what `get_buckets`
        returns, and of what was read, by share number: for each span what `IBucket.read` returns.
        """


class IReconnectingServer(IStorageServer):
    """A storage server whose connection a downloader may set up anew.

    It is optional: a downloader asks `IReconnectingServer.providedBy(server)`.
    """

    def reconnect() -> Deferred[None]:
        """Close the connection to the server, and set up a new one.

        What is outstanding on the old one fails with `ConnectionLost`. Later requests go over the
        new one, once it is up. The Deferred fires then, or fails with a `ConnectError` or
        `ConnectionLost`, or never fires.
        """
