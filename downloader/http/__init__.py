"""A client of Tahoe-LAFS's HTTP storage protocol, for downloads from a real grid.

Pass `HTTPStorageServer` objects to `firstk.download`. This needs the extra `http`. The protocol is
defined in Tahoe-LAFS's documents "Storage Node Protocol (Great Black Swamp)" and "NURLs". Servers
are not trusted: each answer is limited in size and in time, and an invalid answer is rejected with
a `StorageServerError` that describes the problem.
"""

from firstk.downloader.http.errors import (
    BadAnswerError,
    BadNURLError,
    SilentServerError,
    StorageServerError,
    UnreachableServerError,
    WrongPinError,
)
from firstk.downloader.http.nurl import NURL, parse_nurl
from firstk.downloader.http.server import HTTPBucket, HTTPStorageServer
from firstk.downloader.http.servers_file import parse_servers
from firstk.downloader.http.time_limits import TimeLimits

__all__ = [
    "NURL",
    "BadAnswerError",
    "BadNURLError",
    "HTTPBucket",
    "HTTPStorageServer",
    "SilentServerError",
    "StorageServerError",
    "TimeLimits",
    "UnreachableServerError",
    "WrongPinError",
    "parse_nurl",
    "parse_servers",
]
