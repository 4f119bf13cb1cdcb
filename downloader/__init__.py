"""A downloader for Tahoe-LAFS immutable files that hung servers do not block.

It runs on any Twisted reactor, and reads from any objects that provide `IStorageServer`. The entry
point is `download`.
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
