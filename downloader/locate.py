"""Phase 1: ask the servers for buckets, and know when enough shares are located."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.python.failure import Failure

from downloader.errors import NotEnoughSharesError, ServerFailedError
from downloader.interfaces import IStorageServer
from downloader.session import Session, Signal, one_line
from downloader.share import Share
from downloader.status import Request

#: So many impossible share numbers in one answer are told; a server may send thousands.
_MOST_REFUSED = 3


@dataclass(slots=True)
class _Answer:
    """What one server has said so far."""

    server: str
    said: str | None = "no answer"
    refused: list[str] = field(default_factory=list)
    shares: list[Share] = field(default_factory=list)
    late: bool = False

    def account(self) -> str:
        """Return one line: what the server answered, and why its shares did not do."""
        shares = [f"share {share.number}: {share.problem or 'good'}" for share in self.shares]
        said = self.said or "; ".join(shares + self.refused) or "no shares"
        return f"{self.server}: {said}" + (" (too late, ignored)" if self.late else "")


class Located:
    """The shares that are located, in the order in which the answers came.

    Once it is `closed` no more will join.
    """

    def __init__(self, session: Session, servers: Sequence[IStorageServer]) -> None:
        self.shares: list[Share] = []
        self.closed = False
        self._session = session
        self._servers = servers
        self._answers = [
            _Answer(one_line(str(getattr(server, "name", f"server {i}"))))
            for i, server in enumerate(servers)
        ]
        self._outstanding = len(servers)
        self._numbers: set[int] = set()
        self._ended = False
        self._end = Signal(session.waits)

    async def locate(self) -> None:
        """Ask every server at once; return when the strategy says that locating ends.

        Raises `NotEnoughSharesError` if fewer than K distinct share numbers are known
        by then.
        """
        for server, answer in zip(self._servers, self._answers, strict=True):
            self._session.waits.check()
            self._query(server, answer)
        self._check()
        if not self._ended:
            await self._end.wait()
        if len(self._numbers) < self._session.cap.k:
            raise self.shortage(len(self._numbers))
        self._session.status.located = self._session.reactor.seconds()

    def _query(self, server: IStorageServer, answer: _Answer) -> None:
        def answered(buckets: Any) -> None:
            answer.said = None
            self._take(buckets, answer)

        def failed(failure: Failure) -> None:
            if not isinstance(failure.value, ServerFailedError):
                failure.raiseException()
            answer.said = str(failure.value)

        def settled(_: None) -> None:
            self._outstanding -= 1
            self._check()

        request = Request(answer.server, "get_buckets")
        storage_index = self._session.cap.storage_index
        asked = self._session.ask(request, lambda: server.get_buckets(storage_index))
        asked.addCallbacks(answered, failed).addCallback(settled).addErrback(self._crash)

    def _take(self, buckets: Any, answer: _Answer) -> None:
        """Make shares of what a server answered, which may be anything."""
        answer.late = self.closed
        try:
            items = [(number, bucket) for number, bucket in buckets.items()]
        except Exception:  # it may be no mapping, or one of a hostile kind
            answer.said = f"answered {type(buckets).__name__}, not buckets"
            return
        for number, bucket in items:
            if type(number) is int and 0 <= number < self._session.cap.n:
                answer.shares.append(Share(self._session, answer.server, number, bucket))
            elif len(answer.refused) < _MOST_REFUSED:
                plain = type(number) in (int, bool, float, str, bytes)
                name = repr(number) if plain else type(number).__name__
                answer.refused.append(f"no share can have the number {name:.40}")
        if not self.closed:
            self.shares += answer.shares
            self._numbers.update(share.number for share in answer.shares)

    def _crash(self, failure: Failure) -> None:
        """End the download with what no server is to blame for: a defect, or Control-C."""
        self._session.waits.stop(failure.value)

    def _check(self) -> None:
        """See whether locating is over: once for each answer, whatever is in it."""
        strategy = self._session.strategy
        all_answered = not self._outstanding
        enough = strategy.locating_ends == "k-distinct" and (
            len(self._numbers) >= self._session.cap.k
        )
        if all_answered or (enough and strategy.late_answers == "ignored"):
            self.closed = True
        if (all_answered or enough) and not self._ended:
            self._ended = True
            self._end.fire()
        self._session.news.fire()

    def shortage(self, have: int) -> NotEnoughSharesError:
        """Return the error for `have` distinct good share numbers, with every server's line."""
        lines = [answer.account() for answer in self._answers]
        return NotEnoughSharesError.of(have, self._session.cap.k, lines)
