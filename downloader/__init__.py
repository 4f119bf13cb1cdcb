"""A downloader for Tahoe-LAFS immutable files that waits for no hung server.

It runs on any Twisted reactor that is passed in, and reads from anything that provides
`IStorageServer`. `download` is the way in.
"""

from firstk.downloader.api import Download, download, start
from firstk.downloader.cap import CHKCap, LITCap, parse_cap
from firstk.downloader.errors import (
    BadCapError,
    BadCiphertextHashError,
    BadURIExtensionError,
    DownloadError,
    NoSharesError,
    NotEnoughSharesError,
)
from firstk.downloader.interfaces import IBucket, IStorageServer
from firstk.downloader.status import DownloadStatus, Request
from firstk.downloader.strategy import STRATEGIES, Strategy

__all__ = [
    "STRATEGIES",
    "BadCapError",
    "BadCiphertextHashError",
    "BadURIExtensionError",
    "CHKCap",
    "Download",
    "DownloadError",
    "DownloadStatus",
    "IBucket",
    "IStorageServer",
    "LITCap",
    "NoSharesError",
    "NotEnoughSharesError",
    "Request",
    "Strategy",
    "download",
    "parse_cap",
    "start",
]
