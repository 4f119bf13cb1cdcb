"""The errors that a download can fail with."""

from __future__ import annotations

from collections.abc import Sequence


class DownloadError(Exception):
    """The base class of the errors that a download reports."""

    __module__ = "firstk"  # as users import it


class BadCapError(DownloadError, ValueError):
    """The text is not a read-cap that this downloader supports."""

    __module__ = "firstk"  # as users import it


class NotEnoughSharesError(DownloadError):
    """Fewer than K distinct good shares could be obtained.

    It is raised when the shortage is found: while locating, or when a located share turns out to
    be bad and no other can replace it. `have` is the number of distinct good share numbers (not
    buckets), `need` is K, and `servers` has one line per server: what it answered, and why its
    shares could not be used. `silence` is the number of seconds without progress after which the
    download gave up; None if it failed for another reason.
    """

    __module__ = "firstk"  # as users import it

    def __init__(
        self, have: int, need: int, servers: Sequence[str] = (), silence: float | None = None
    ) -> None:
        self.have = have
        self.need = need
        self.servers = tuple(servers)
        self.silence = silence
        # Exceptions are copied and pickled by their arguments, so pass these unchanged.
        super().__init__(have, need, self.servers, silence)

    def __str__(self) -> str:
        headline = f"not enough shares: have {self.have}, need {self.need}"
        if self.silence is not None:
            headline += f"; gave up after {self.silence:g} s without progress"
        return "\n  ".join([headline, *self.servers])

    @staticmethod
    def of(
        have: int, need: int, servers: Sequence[str], silence: float | None = None
    ) -> NotEnoughSharesError:
        """Return the error for this shortage: `NoSharesError` if `have` is 0."""
        kind = NotEnoughSharesError if have else NoSharesError
        return kind(have, need, servers, silence)


class NoSharesError(NotEnoughSharesError):
    """No good share could be obtained."""

    __module__ = "firstk"  # as users import it


class BadURIExtensionError(DownloadError):
    """The URI extension block (UEB) has the hash in the cap, but its contents are invalid.

    The file was encoded incorrectly, so no other share can help.
    """

    __module__ = "firstk"  # as users import it


class BadCiphertextHashError(DownloadError):
    """K valid blocks decode to a segment whose hash is wrong.

    The file was encoded incorrectly, so no other share can help.
    """

    __module__ = "firstk"  # as users import it


class ShareError(DownloadError):
    """The base class of reasons why a share cannot be used; the download tries another."""


class CorruptShareError(ShareError):
    """A share, or the data that a server sent for it, is corrupt."""


class CorruptBlockError(CorruptShareError):
    """A block of a share is corrupt. The share's other blocks may be good."""


class UnprovenShareError(CorruptShareError):
    """A share's own hashes do not prove its blocks; those from another share may."""


class ServerFailedError(ShareError):
    """A server failed a request."""


class ServerLostError(ServerFailedError):
    """A request failed because its connection was lost; the server itself may be healthy."""


class DownloadStopped(DownloadError):  # noqa: N818 - a request of the consumer's, no error
    """The consumer called `stopProducing`; used inside the downloader only."""
