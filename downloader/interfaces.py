"""The interfaces that the downloader expects storage servers to provide."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from twisted.internet.defer import Deferred
from zope.interface import Interface


class IBucket(Interface):
    """A bucket: one share on one server.

    Answers are not trusted: a downloader checks every byte against hashes.
    """

    def read(offset: int, length: int) -> Deferred[bytes]:
        """Read `length` bytes of the share data, starting at `offset`.

        Return a Deferred that fires with the bytes: fewer than `length` if the share ends before,
        and none if `offset` is past its end. The Deferred may fail, or never fire.
        """


class IProgressBucket(IBucket):
    """A bucket that reports how much of an answer has arrived.

    It is optional: a downloader asks `IProgressBucket.providedBy(bucket)`.
    """

    def read(
        offset: int, length: int, progress: Callable[[int], None] | None = None
    ) -> Deferred[bytes]:
        """Read `length` bytes of the share data, starting at `offset`; see `IBucket.read`.

        `progress` is called whenever more bytes of the answer have arrived, with the number of
        bytes that have arrived so far. It is not called for the bytes that complete the answer,
        and never after the Deferred has fired, failed or been cancelled.
        """


class IStorageServer(Interface):
    """A storage server, as a downloader sees it.

    A server may also have a `name` (a string), which is used in errors and timelines.
    """

    def get_buckets(storage_index: bytes) -> Deferred[Mapping[int, IBucket]]:
        """Return the server's buckets for the file with this storage index (16 bytes).

        Return a Deferred that fires with a mapping from share numbers to buckets, empty if the
        server has no share of the file. The Deferred may fail, or never fire.
        """


class IReadingServer(IStorageServer):
    """A storage server that can answer a query and read a share in one round trip.

    It is optional: a downloader asks `IReadingServer.providedBy(server)`.
    """

    def get_and_read(
        storage_index: bytes, number: int, spans: Sequence[tuple[int, int]]
    ) -> Deferred[tuple[Mapping[int, IBucket], Mapping[int, Sequence[bytes]]]]:
        """Return the server's buckets for a file, and read `spans` of one share.

        The share that is read is the one with the `number` if the server has it, else the one with
        the next higher number, else the one with the lowest number. Each span is an offset and a
        length. Return a Deferred that fires with a pair: the mapping of `get_buckets`, and a
        mapping from the number of the share that was read to the bytes of each span, as from
        `IBucket.read`.
        """


class IReconnectingServer(IStorageServer):
    """A storage server to which a downloader can reconnect.

    It is optional: a downloader asks `IReconnectingServer.providedBy(server)`.
    """

    def reconnect() -> Deferred[None]:
        """Close the connection to the server, and set up a new one.

        Requests that are outstanding on the old connection fail with `ConnectionLost`. Later
        requests use the new one, once it is established. The Deferred fires then, or fails with a
        `ConnectError` or `ConnectionLost`, or never fires.
        """
