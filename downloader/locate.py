"""Phase 1: ask the servers for buckets, and know when enough shares are located."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, cast

from twisted.internet.defer import Deferred

from firstk.downloader.errors import NotEnoughSharesError, ServerFailedError, ServerLostError
from firstk.downloader.interfaces import IReadingServer, IStorageServer
from firstk.downloader.retry import back_off
from firstk.downloader.sections import ByteRange
from firstk.downloader.session import NO_SERVERS_FAULT, Session
from firstk.downloader.share import Share, guessed_spans
from firstk.downloader.status import Request
from firstk.downloader.text import one_line, shown

#: How many of the impossible share numbers in one answer are named; a server may send thousands.
_MOST_REFUSED = 3


#: A server that took so many times as long for its last read, or was silent for so long, is read
#: from only when no other can be expected to answer.
_FAR_SLOWER = 2


@dataclass(eq=False, slots=True)
class _Answer:
    """What one server that was asked has said so far.

    `attempts` is how often its connection was lost since it last gave bytes, and `again_at` when
    to ask it again, infinity if it is not to be, or is being asked.
    """

    place: int
    server: str
    said: str | None = "no answer"
    refused: list[str] = field(default_factory=list)
    shares: list[Share] = field(default_factory=list)
    late: bool = False
    attempts: int = 0
    again_at: float = inf

    def account(self) -> str:
        """Return one line: what the server answered, and why its shares did not do."""
        shares = [f"share {share.number}: {share.state}" for share in self.shares]
        said = self.said or "; ".join(shares + self.refused) or "no shares"
        return f"{self.server}: {said}" + (" (too late, ignored)" if self.late else "")


class ShareFinder:
    """The shares that are located, in the order in which the answers came.

    Once it is `closed` no more will join.
    """

    def __init__(
        self, session: Session, servers: Sequence[IStorageServer], offset: int = 0
    ) -> None:
        self.shares: list[Share] = []
        self.closed = not servers
        self._session = session
        self._servers = servers
        self._answers: list[_Answer] = []  # of the servers that were asked
        self._settled = 0
        self._spans = guessed_spans(session.cap, offset) if session.strategy.speculates else []
        self._away: dict[_Answer, None] = {}  # whose connections are lost
        self._waiting: dict[Request, None] = {}  # queries that are not overdue, oldest first
        self._window = session.strategy.outstanding(session.cap.k, session.cap.n)
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
        now = self._session.reactor.seconds()
        for answer in list(self._away):
            if answer.again_at <= now:
                self._session.waits.check()
                answer.again_at = inf
                self._send(answer)
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
        answer = _Answer(place, _name(self._servers[place], place))
        self._answers.append(answer)
        self._send(answer)

    def _send(self, answer: _Answer) -> None:
        """Send a query to a server, the first one or another."""
        server = self._servers[answer.place]
        again = answer in self._away
        spans = self._spans if self._reads_from(server, answer) and not again else []
        length = sum(length for _, length in spans) if spans else None
        request = Request(answer.server, "get_buckets", length=length, again=again)

        def answered(buckets: Any, error: ServerFailedError | None) -> None:
            if error is not None:
                answer.said = str(error)
            else:
                answer.said = None
                self._take(buckets, answer, self._session.reactor.seconds() - request.sent, spans)
            self._waiting.pop(request, None)
            self._settled += not request.again
            self._away.pop(answer, None)
            if isinstance(error, ServerLostError):
                self._lose(answer)
            self._check()

        self._waiting[request] = None
        storage_index = self._session.cap.storage_index

        def ask() -> Deferred[Any]:
            if not spans:
                return server.get_buckets(storage_index)
            number = answer.place % self._session.cap.n
            reads: Deferred[Any] = cast(Any, server).get_and_read(storage_index, number, spans)
            return reads

        self._session.ask(request, ask, answered)

    def _reads_from(self, server: IStorageServer, answer: _Answer) -> bool:
        """Return whether a share is read of a server with the query: of the first K, and spares."""
        strategy = self._session.strategy
        first = answer.place < self._session.cap.k + strategy.spares
        return strategy.speculates and first and IReadingServer.providedBy(server)

    @property
    def expecting(self) -> bool:
        """Whether there are queries that are not overdue."""
        return bool(self._waiting)

    @property
    def promised(self) -> int:
        """How many shares are being read with queries that are not overdue."""
        if not self._spans:  # no query reads
            return 0
        return sum(request.length is not None for request in self._waiting)

    def _take(self, buckets: Any, answer: _Answer, rtt: float, spans: Sequence[ByteRange]) -> None:
        """Make shares of what a server answered, which may be anything."""
        answer.late, now = self.closed, self._session.reactor.seconds()
        read: dict[Any, Any] = {}
        try:
            if spans:
                buckets, pieces = buckets
                read = {number: list(pieces[number]) for number in pieces}
                if any(len(each) != len(spans) for each in read.values()):
                    read = {}
            items = [(number, bucket) for number, bucket in buckets.items()]
        except NO_SERVERS_FAULT:
            raise
        except BaseException:  # it may not be a mapping, or be a hostile one
            answer.said = f"answered {type(buckets).__name__}, not buckets"
            return
        before = {share.number: share for share in answer.shares}
        found = []
        for number, bucket in items:
            if type(number) is int and 0 <= number < self._session.cap.n:
                if number not in before:
                    known = self._session.memory.server(now, answer.server)
                    share = Share(self._session, answer.server, number, bucket, max(rtt, known))
                    share.shunned = known > _FAR_SLOWER * rtt
                    found.append(share)
                    if number in read:
                        share.take(spans, read[number], rtt)
                elif before[number].disconnected:
                    before[number].reconnect(bucket)
            elif len(answer.refused) < _MOST_REFUSED:
                plain = type(number) in (int, bool, float, str, bytes)
                name = shown(number, 40) if plain else type(number).__name__
                answer.refused.append(f"no share can have the number {name:.40}")
        answer.shares += found
        if not self.closed:
            self.shares += found
            self._numbers.update(share.number for share in found)

    def remember(self) -> None:
        """Leave to other downloads how each server did that was read from."""
        now = self._session.reactor.seconds()
        for answer in self._answers:
            times = [share.rtt for share in answer.shares if share.tried]
            if times:
                self._session.memory.add_server(now, answer.server, min(times))

    # Servers whose connections are lost

    @property
    def again_at(self) -> float:
        """When to ask the next server again, if shares are lacking; infinity if none."""
        return min((answer.again_at for answer in self._away), default=inf)

    def lose(self, share: Share) -> None:
        """Note that the connection to a share's server is lost."""
        answer = next(answer for answer in self._answers if share in answer.shares)
        if answer not in self._away:
            self._lose(answer)

    def _lose(self, answer: _Answer) -> None:
        if self._session.strategy.asks_again:
            answer.attempts += 1
            self._away[answer] = None
            now = self._session.reactor.seconds()
            answer.again_at = now + back_off(answer.attempts, self._session.random)
            self.closed = False

    def regain(self, share: Share) -> None:
        """Note that a share gives bytes whose server was asked again: its troubles are over."""
        answer = next(answer for answer in self._answers if share in answer.shares)
        answer.attempts, share.again = 0, False

    def _check(self) -> None:
        """See whether locating is over: once for each answer, whatever is in it."""
        session = self._session
        all_answered = self._settled == len(self._servers)
        enough = len(self._numbers) >= session.cap.k
        ends = all_answered or (enough and session.strategy.locating_ends == "k-distinct")
        if (all_answered and not self._away) or (
            ends and session.strategy.late_answers == "ignored"
        ):
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
