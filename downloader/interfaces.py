"""What the downloader asks of a storage server."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.defer import Deferred
from zope.interface import Interface


class IBucket(Interface):
    """A bucket: one share on one server."""

    def read(offset: int, length: int) -> Deferred[bytes]:
        """Read `length` bytes of the share data from `offset`; fewer at its end."""


class IStorageServer(Interface):
    """A storage server, as a downloader sees it.

    A server may also have a `name` (a string), by which errors and timelines call it.
    """

    def get_buckets(storage_index: bytes) -> Deferred[Mapping[int, IBucket]]:
        """Ask for the buckets it holds of a file, by share number."""
