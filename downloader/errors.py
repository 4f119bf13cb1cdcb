"""The errors with which a download fails."""

from __future__ import annotations

from collections.abc import Sequence


class DownloadError(Exception):
    """The base of every error that a download reports on purpose."""

    __module__ = "firstk"  # as users import it


class BadCapError(DownloadError, ValueError):
    """The text is not a read-cap that this downloader reads."""

    __module__ = "firstk"  # as users import it


class NotEnoughSharesError(DownloadError):
    """Fewer than K distinct good shares could be had.

    It is raised wherever the shortage is found: while locating, or when a share that
    was located turns out bad and no other takes its place. `have` counts distinct good
    share numbers (not buckets), `need` is K, and `servers` holds one line for each
    server: what it answered, and why its shares did not do. `silence` is the time in
    seconds in which nothing was sent or heard before the download gave up; None where it
    did not have to.
    """

    __module__ = "firstk"  # as users import it

    def __init__(
        self, have: int, need: int, servers: Sequence[str] = (), silence: float | None = None
    ) -> None:
        self.have = have
        self.need = need
        self.servers = tuple(servers)
        self.silence = silence
        # The arguments as they are: exceptions are copied and pickled by them.
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
        """Return the error for this shortage: `NoSharesError` where nothing is good."""
        kind = NotEnoughSharesError if have else NoSharesError
        return kind(have, need, servers, silence)


class NoSharesError(NotEnoughSharesError):
    """Not one good share could be had."""

    __module__ = "firstk"  # as users import it


class BadURIExtensionError(DownloadError):
    """The UEB is the one that the cap vouches for, and it makes no sense.

    No other share can help: the file was made wrong.
    """

    __module__ = "firstk"  # as users import it


class BadCiphertextHashError(DownloadError):
    """K valid blocks decode to a segment that is not the one that was encoded.

    No other share can help: the file was made wrong.
    """

    __module__ = "firstk"  # as users import it


class ShareError(DownloadError):
    """Why one share does not do. The download goes on with another."""


class CorruptShareError(ShareError):
    """A share holds, or a server sent, something that no honest encoder made."""


class CorruptBlockError(CorruptShareError):
    """A block of a share is not the one that was encoded. Its other blocks may be good."""


class UnprovenShareError(CorruptShareError):
    """A share's own hashes do not prove its blocks. What another share has told may."""


class ServerFailedError(ShareError):
    """A server failed a request."""


class ServerLostError(ServerFailedError):
    """A request failed with its connection: the server itself may be well."""


class DownloadStopped(DownloadError):  # noqa: N818 - a request of the consumer's, no error
    """The consumer called `stopProducing`; used inside the downloader only."""
