"""The errors of storage servers that are reached over HTTP."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionClosed,
    DNSLookupError,
)
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

from firstk.downloader.errors import DownloadError
from firstk.downloader.text import message_of, one_line


class BadNURLError(DownloadError, ValueError):
    """The text is not a NURL that this client supports."""


class StorageServerError(DownloadError):
    """A storage server did not answer a request as the protocol requires.

    It is the base class of the more specific errors.
    """

    __module__ = "firstk"  # as users import it


class UnreachableServerError(StorageServerError):
    """No connection could be made, or it was lost before the answer was complete."""


class WrongPinError(StorageServerError):
    """The server's key is not the one in its NURL: it is another server, or an attacker."""


class SilentServerError(StorageServerError):
    """The server did not answer in time, or too slowly."""


class BadAnswerError(StorageServerError):
    """The server's answer violates the protocol, or is too large."""


def translated(error: Exception) -> Exception:
    """Translate an error of the HTTP client into one of the errors above.

    The error of a cancelled request remains a `CancelledError`.
    """
    if isinstance(error, StorageServerError | CancelledError):
        return error
    if isinstance(error, ConnectingCancelledError):
        return CancelledError()
    for reason in getattr(error, "reasons", ()):  # Twisted collects what led to its own errors
        value = reason.value if isinstance(reason, Failure) else None
        if isinstance(value, Exception) and not isinstance(value, ResponseDone):
            return translated(value)
    text = one_line(message_of(error)).rstrip(".")
    if isinstance(error, ConnectError | DNSLookupError):
        return UnreachableServerError(f"cannot connect: {text}")
    if isinstance(error, ConnectionClosed | PotentialDataLoss):
        return UnreachableServerError("the connection was lost before the answer was complete")
    if type(error).__module__.startswith("OpenSSL"):
        return UnreachableServerError(f"TLS failed: {text}")
    return BadAnswerError(f"the answer is not HTTP: {type(error).__name__}: {text}")
