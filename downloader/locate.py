"""Phase 1: ask the servers for buckets, and know when enough shares are located."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from firstk.downloader.errors import NotEnoughSharesError, ServerFailedError
from firstk.downloader.interfaces import IStorageServer
from firstk.downloader.session import NO_SERVERS_FAULT, Session
from firstk.downloader.share import Share
from firstk.downloader.status import Request
from firstk.downloader.text import one_line, shown

#: How many of the impossible share numbers in one answer are named; a server may send thousands.
_MOST_REFUSED = 3


@dataclass(slots=True)
class _Answer:
    """What one server that was asked has said so far."""

    server: str
    said: str | None = "no answer"
    refused: list[str] = field(default_factory=list)
    shares: list[Share] = field(default_factory=list)
    late: bool = False

    def account(self) -> str:
        """Return one line: what the server answered, and why its shares did not do."""
        shares = [f"share {share.number}: {share.state}" for share in self.shares]
        said = self.said or "; ".join(shares + self.refused) or "no shares"
        return f"{self.server}: {said}" + (" (too late, ignored)" if self.late else "")


class ShareFinder:
    """The shares that are located, in the order in which the answers came.

    Once it is `closed` no more will join.
    """

    def __init__(self, session: Session, servers: Sequence[IStorageServer]) -> None:
        self.shares: list[Share] = []
        self.closed = not servers
        self._session = session
        self._servers = servers
        self._answers: list[_Answer] = []  # of the servers that were asked
        self._settled = 0
        self._waiting: dict[Request, None] = {}  # queries that are not overdue, oldest first
        self._window = session.strategy.outstanding(session.cap.n)
        self._numbers: set[int] = set()
        self._ended = False

    @property
    def has_room(self) -> bool:
        """Whether `ask_more` would ask another server."""
        return len(self._answers) < len(self._servers) and len(self._waiting) < self._window

    async def locate(self) -> None:
        """Ask servers, and return when the strategy says that locating ends.

        Raises `NotEnoughSharesError` if fewer than K distinct share numbers are known
        by then.
        """

        def look() -> float | None:
            while not self._ended:
                due = self.more()
                if due is not None:
                    return due
            return None

        self._check()
        await self._session.news.until(look)
        if len(self._numbers) < self._session.cap.k:
            raise self.shortage(len(self._numbers))

    def more(self) -> float | None:
        """Ask more servers, if there are any, and return when to do so again.

        It is None if one has answered at once: then there are news.
        """
        settled = self._settled
        self.expire()
        self.ask_more()
        if self._settled != settled:
            return None
        return self._due() if len(self._answers) < len(self._servers) else inf

    def ask_more(self) -> None:
        """Ask the next servers for buckets, as many as the strategy's window has room for.

        Where servers answer at once, no more than it takes to hear of another share.
        """
        known = len(self.shares)
        while self.has_room:
            self._session.waits.check()
            self._query(len(self._answers))
            if self._window < inf and len(self.shares) > known:
                return

    def _due(self, latest: float = inf) -> float:
        """Return when the next query is overdue; at the `latest` all are."""
        for request in self._waiting:  # the oldest
            return min(request.sent + self._session.patience.with_query(), latest)
        return inf

    def expire(self, latest: float = inf) -> float | None:
        """Find the queries that are overdue by now, all at the `latest`.

        Return when the next one will be; None if any has been found.
        """
        now, found = self._session.reactor.seconds(), False
        while (due := self._due(latest)) <= now:
            request = next(iter(self._waiting))
            request.overdue = now
            del self._waiting[request]
            found = True
        return None if found else due

    def _query(self, place: int) -> None:
        """Ask the server at a place in the list."""
        server = self._servers[place]
        answer = _Answer(_name(server, place))
        request = Request(answer.server, "get_buckets")

        def answered(buckets: Any, error: ServerFailedError | None) -> None:
            if error is not None:
                answer.said = str(error)
            else:
                answer.said = None
                self._take(buckets, answer, self._session.reactor.seconds() - request.sent)
            self._waiting.pop(request, None)
            self._settled += 1
            self._check()

        self._answers.append(answer)
        self._waiting[request] = None
        storage_index = self._session.cap.storage_index
        self._session.ask(request, lambda: server.get_buckets(storage_index), answered)

    def _take(self, buckets: Any, answer: _Answer, rtt: float) -> None:
        """Make shares of what a server answered, which may be anything."""
        answer.late = self.closed
        try:
            items = [(number, bucket) for number, bucket in buckets.items()]
        except NO_SERVERS_FAULT:
            raise
        except BaseException:  # it may not be a mapping, or be a hostile one
            answer.said = f"answered {type(buckets).__name__}, not buckets"
            return
        for number, bucket in items:
            if type(number) is int and 0 <= number < self._session.cap.n:
                answer.shares.append(Share(self._session, answer.server, number, bucket, rtt))
            elif len(answer.refused) < _MOST_REFUSED:
                plain = type(number) in (int, bool, float, str, bytes)
                name = shown(number, 40) if plain else type(number).__name__
                answer.refused.append(f"no share can have the number {name:.40}")
        if not self.closed:
            self.shares += answer.shares
            self._numbers.update(share.number for share in answer.shares)

    def _check(self) -> None:
        """See whether locating is over: once for each answer, whatever is in it."""
        session = self._session
        all_answered = self._settled == len(self._servers)
        enough = len(self._numbers) >= session.cap.k
        ends = all_answered or (enough and session.strategy.locating_ends == "k-distinct")
        if all_answered or (ends and session.strategy.late_answers == "ignored"):
            self.closed = True
        self._ended = self._ended or ends
        if (
            enough
            and session.status.located is None
            and (ends or session.strategy.locating_ends == "never")
        ):
            session.status.located = session.reactor.seconds()
        session.news.fire()

    def shortage(self, have: int, silence: float | None = None) -> NotEnoughSharesError:
        """Return the error for `have` distinct good share numbers, with every server's line.

        `silence` is how long nothing was heard, in seconds, where the download gave up.
        """
        lines = [answer.account() for answer in self._answers]
        rest = range(len(lines), len(self._servers))
        lines += [f"{_name(self._servers[place], place)}: not asked" for place in rest]
        return NotEnoughSharesError.of(have, self._session.cap.k, lines, silence)


def _name(server: IStorageServer, place: int) -> str:
    return one_line(str(getattr(server, "name", f"server {place}")))
