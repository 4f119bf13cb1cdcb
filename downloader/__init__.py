"""A downloader for Tahoe-LAFS immutable files that waits for no hung server.

It runs on any Twisted reactor that is passed in, and reads from anything that provides
`IStorageServer`. `download` is the way in.
"""

from downloader.cap import CHKCap, LITCap, parse_cap
from downloader.download import download
from downloader.errors import (
    BadCapError,
    BadCiphertextHashError,
    BadURIExtensionError,
    DownloadError,
    NoSharesError,
    NotEnoughSharesError,
)
from downloader.interfaces import IBucket, IStorageServer
from downloader.status import DownloadStatus, Request
from downloader.strategy import STRATEGIES, Strategy

__all__ = [
    "STRATEGIES",
    "BadCapError",
    "BadCiphertextHashError",
    "BadURIExtensionError",
    "CHKCap",
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
]
