"""A client of Tahoe-LAFS's HTTP storage protocol, so that a download reads from a real grid.

`HTTPStorageServer` is a server as `firstk.download` takes it. It needs the extra `http`. The
protocol is that of Tahoe-LAFS's documents "Storage Node Protocol (Great Black Swamp)" and
"NURLs". Servers are trusted with nothing: each answer has a limit in size and in time, and is
refused with a `StorageServerError` that says what is wrong with it.
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
