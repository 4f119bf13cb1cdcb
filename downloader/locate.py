"""Phase 1: querying the servers for buckets until enough shares are located."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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

#: The maximum number of impossible share numbers of one answer to report; there may be thousands.
_MOST_REFUSED = 3


#: A server whose last read took this many times as long as the typical one, or that was silent for
#: so long, is read from only if no other server can be expected to answer.
_FAR_SLOWER = 2


@dataclass(eq=False, slots=True)
class _Answer:
    """The state of the query to one server, which is sent over the `connection`.

    `attempts` is the number of times that its connection was lost since it last sent bytes.
    `again_at` is when to query it again; infinity if it will not be queried, or is being queried.
    """

    place: int
    connection: IStorageServer
    server: str
    said: str | None = "no answer"
    refused: Sequence[str] = ()
    shares: Sequence[Share] = ()
    late: bool = False
    attempts: int = 0
    again_at: float = inf

    def account(self) -> str:
        """Return one line: what the server answered, and why its shares could not be used."""
        shares = [f"share {share.number}: {share.state}" for share in self.shares]
        said = self.said or "; ".join([*shares, *self.refused]) or "no shares"
        return f"{self.server}: {said}" + (" (too late, ignored)" if self.late else "")


class ShareFinder:
    """Queries servers, and collects the located shares in the order of the answers.

    Once it is `closed`, no more shares are added.
    """

    def __init__(
        self, session: Session, servers: Sequence[IStorageServer], offset: int = 0
    ) -> None:
        self.shares: list[Share] = []
        self.closed = not servers
        self._session = session
        self._servers = servers
        self._total = len(servers)
        self._answers: list[_Answer] = []  # of the servers that were queried
        self._settled = 0
        self._spans = guessed_spans(session.cap, offset) if session.strategy.speculates else []
        self._away: dict[_Answer, None] = {}  # those with lost connections
        self._waiting: dict[Request, None] = {}  # queries that are not overdue, oldest first
        self._window = session.strategy.outstanding(session.cap.k, session.cap.n)
        self._numbers: set[int] = set()
        self._ended = False
        self._more_at = session.reactor.seconds() + session.strategy.delay

    @property
    def has_room(self) -> bool:
        """Whether `ask_more` would query another server."""
        asked = len(self._answers)
        if asked >= self._total or len(self._waiting) >= self._window:
            return False
        return asked < self._session.cap.k or self._delay_is_over

    @property
    def _delay_is_over(self) -> bool:
        return self._session.reactor.seconds() >= self._more_at

    async def locate(self) -> None:
        """Query servers, and return when locating ends according to the strategy.

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
        """Query more servers, if there are any, and return when to do so again.

        Return None if a server has answered immediately: then there is news to process first.
        """
        settled = self._settled
        self.expire()
        self.ask_more()
        if self._settled != settled:
            return None
        if len(self._answers) == self._total:
            return inf
        return self._due() if self._delay_is_over else min(self._due(), self._more_at)

    def ask_more(self) -> None:
        """Query the next servers, as many as the strategy's window allows.

        If servers answer immediately, stop as soon as another share is known.
        """
        known = len(self.shares)
        now = self._session.reactor.seconds()
        for answer in list(self._away):
            if answer.again_at <= now:
                self._session.waits.check()
                answer.again_at = inf
                self._send(answer)
        if self._answers and not self._waiting:
            self._more_at = now  # nothing else can be expected
        while self.has_room:
            self._session.waits.check()
            self._query(len(self._answers))
            if self._window < inf and len(self.shares) > known:
                return

    def _due(self, latest: float = inf) -> float:
        """Return when the next query becomes overdue, but no later than `latest`."""
        for request in self._waiting:  # the oldest
            return min(request.sent + self._session.patience.with_query(), latest)
        return inf

    def expire(self, latest: float = inf) -> float | None:
        """Mark the queries that are overdue by now; at `latest`, all of them are.

        Return when the next one becomes overdue, or None if any were marked.
        """
        now, found = self._session.reactor.seconds(), False
        while (due := self._due(latest)) <= now:
            request = next(iter(self._waiting))
            request.overdue = now
            del self._waiting[request]
            found = True
        return None if found else due

    def _query(self, place: int) -> None:
        """Query the server at an index in the list."""
        connection = self._servers[place]
        answer = _Answer(place, connection, _name(connection, place))
        self._answers.append(answer)
        self._send(answer)

    def _send(self, answer: _Answer) -> None:
        """Send a first or a repeated query to a server."""
        server, again = answer.connection, answer in self._away
        spans, length = list[ByteRange](), None
        if self._spans and not again and self._reads_from(server, answer):
            spans, length = self._spans, sum(length for _, length in self._spans)
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
        """Return whether to read a share with the query: from the first K servers, and spares."""
        first = answer.place < self._session.cap.k + self._session.strategy.spares
        return first and IReadingServer.providedBy(server)

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
        """Add the shares in a server's answer, which is untrusted and may be anything."""
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
        before = {share.number: share for share in answer.shares} if answer.shares else {}
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
                answer.refused = [*answer.refused, f"no share can have the number {name:.40}"]
        if not found:
            return
        answer.shares = [*answer.shares, *found]
        if not self.closed:
            self.shares += found
            self._numbers.update(share.number for share in found)

    def remember(self) -> None:
        """Record, for later downloads, the performance of each server that was read from."""
        now = self._session.reactor.seconds()
        for answer in self._answers:
            times = [share.rtt for share in answer.shares if share.tried]
            if times:
                self._session.memory.add_server(now, answer.server, min(times))

    # Servers whose connections are lost

    @property
    def again_at(self) -> float:
        """When to query the next lost server again, if shares are lacking; infinity if none."""
        return min((answer.again_at for answer in self._away), default=inf)

    def lose(self, share: Share) -> None:
        """Record that the connection to a share's server is lost."""
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
        """Record that a share sends bytes after its server was queried again: it has recovered."""
        answer = next(answer for answer in self._answers if share in answer.shares)
        answer.attempts, share.again = 0, False

    def _check(self) -> None:
        """Check whether locating has ended; called once per answer, whatever it contains."""
        session = self._session
        all_answered = self._settled == self._total
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
        """Return the error for `have` distinct good share numbers, with a line for every server.

        `silence` is the time without progress, in seconds, if the download gave up.
        """
        lines = [answer.account() for answer in self._answers]
        rest = range(len(lines), self._total)
        lines += [f"{_name(self._servers[place], place)}: not asked" for place in rest]
        return NotEnoughSharesError.of(have, self._session.cap.k, lines, silence)


def _name(server: IStorageServer, place: int) -> str:
    return one_line(str(getattr(server, "name", f"server {place}")))
