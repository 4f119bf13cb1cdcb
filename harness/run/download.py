"""One download in a simulated grid, from its start to its outcome."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from firstk.downloader import Download as OurDownload
from firstk.downloader import DownloadStatus
from firstk.harness.grid.consumer import SimConsumer
from firstk.harness.kernel.livelock import LivelockError
from firstk.harness.kernel.raised import Place, as_error
from firstk.harness.kernel.rng import stream
from firstk.harness.run.session import Session
from firstk.harness.run.under_test import (
    DownloadRequest,
    MisconductError,
    Subject,
    find_downloader,
    is_external,
    name_of,
)
from firstk.scenarios.model import Scenario


@dataclass(frozen=True, slots=True)
class DownloadOutcome:
    """The outcome of a download: what is kept when it is over, or no events are left.

    Times are in virtual seconds since it began; `finished` is None if it was not over. `asked`
    and `wrote` are numbers of bytes. `stopped` says whether it was stopped before its end, and
    `cancelled` whether a scenario or a test did that. `started` is when it began, in virtual
    seconds of the simulation.
    `misconduct` lists what it did to the consumer that no consumer allows.
    """

    failure: Exception | None
    finished: float | None
    ended: float
    queue_empty: bool
    located: float | None
    first: float | None
    content_ok: bool | None
    asked: int
    wrote: int
    stopped: bool
    status: DownloadStatus | None
    timers_left: Sequence[str]
    misconduct: Sequence[str] = ()
    cancelled: bool = False
    started: float = 0.0


class SimulatedDownload:
    """A download of the range that a scenario requests, in a session of a downloader.

    With `stop = "located"` its reads are never sent, whatever the downloader is, and it ends when K
    distinct share numbers are known, even if the downloader does not stop.

    `place` is its index among the session's reads, and `subject` starts it, by default the
    downloader of the session. `over` is called when it has finished, or can never finish because no
    event that it waits for will happen. Only a session that listens detects the latter, and what is
    located. `ended` is called when it has finished. Raises `DownloaderError` if the downloader is
    not found.
    """

    def __init__(
        self,
        session: Session,
        scenario: Scenario | None = None,
        place: int = 0,
        subject: Subject | None = None,
        over: Callable[[SimulatedDownload], None] | None = None,
        ended: Callable[[], None] | None = None,
    ) -> None:
        self.session = session
        self.scenario = scenario = scenario or session.scenario
        self.strategy = session.strategy
        self.trace = session.trace
        self.client = session.client
        self.started = 0.0
        self.finished: float | None = None
        self.failure: Exception | None = None
        self.deferred: Deferred[Any] = Deferred()  # in place of its own, until it has begun
        self.cancelled = False
        self._alone = subject is None  # nothing else is under way in the session
        self._subject = subject or find_downloader(session.strategy)
        names = [str(session.number)] if session.number or place else []
        names += [str(place)] if place else []
        self._random = stream(session.seed, "client", "choice", *names)
        self._reactor = session.reactor
        self._over = over
        self._on_end = ended
        self._locates = scenario.stop == "located"
        self._known: float | None = None
        self._file = session.file
        self._consumer = SimConsumer(
            session.drain,
            session.file,
            scenario.file.offset,
            scenario.stop == "first-block",
            self.trace,
            scenario.consumer.bandwidth if scenario.consumer else None,
            session.progress,
            session.context.source,
            None if session.processor is None else self._write_later,
        )
        self._timers_left: Sequence[str] = ()
        self._stalled = False
        session.downloads.append(self)

    @property
    def status(self) -> DownloadStatus | None:
        """The downloader's own status; None if it is not firstk's."""
        producer = self._consumer.producer
        return producer.status if isinstance(producer, OurDownload) else None

    @property
    def _located(self) -> float | None:
        """When the download located its shares, in virtual seconds; None if it has not.

        Ours says when. For another downloader it is when K distinct share numbers were known, and
        it is only looked for with `stop = "located"`.
        """
        status = self.status
        return self._known if status is None else status.located

    @property
    def timers(self) -> Sequence[str]:
        """Descriptions of the download's timers that are still active."""
        return list(map(str, self.session.clock.getDelayedCalls()))

    @property
    def wrong_from(self) -> Place | None:
        """The line of code under test that wrote the first wrong byte, if it is known."""
        return self._consumer.wrong_from

    @property
    def buffered(self) -> int:
        """The number of bytes in the consumer's buffer."""
        return self._consumer.buffered

    def start(self) -> None:
        """Start the download now."""
        self.started = self._reactor.seconds()
        order = DownloadRequest(
            self.session.clock,
            self.session.connections,
            self._file.cap,
            self._consumer,
            self.scenario.file.offset,
            self.scenario.file.length,
            self._random,
        )
        self.session.later(0.0, partial(self.session.context.run, self._begin, order))
        if self._over is not None:
            self.heard()

    def _begin(self, order: DownloadRequest) -> None:
        self.deferred = maybeDeferred(self._subject, order)
        self.deferred.addBoth(self._ended)

    def _write_later(self, write: Callable[[], None]) -> None:
        """Write a segment after the processor has worked on it."""
        assert self.session.processor is not None
        work = self.session.processor.client.cpu_per_segment
        self.session.later(work, partial(self.session.context.run, write))

    def _ended(self, outcome: Any) -> None:
        """End it when the client has worked on all that it wrote."""
        self.session.later(0.0, partial(self._end, outcome))

    def heard(self) -> None:
        """Check the download after one of its session's events."""
        if self._locates and self.finished is None:
            if self._known is None and len(self.client.known) >= self._file.cap.k:
                self._known = self._reactor.seconds()
            if self._located is not None:
                self._end_located()
        if self._over is not None and (self.finished is not None or not self.session.waits):
            over, self._over = self._over, None
            self._stalled = self.finished is None
            over(self)

    def _end_located(self) -> None:
        """Stop the download, which has located its shares, and treat it as ended."""
        self.client.holds = ["get_buckets", "read"]
        try:
            self.session.context.run(self._consumer.stop)
        except Exception as e:
            self.failure = e
        if self.finished is None:
            # Its Deferred may fire later, or never: not every downloader can be stopped.
            self._finish()

    def stop(self) -> None:
        """Stop the download, if that is possible, without reporting its end."""
        self._over = None
        if self.finished is None:
            self.session.context.run(self._consumer.stop)

    def cancel(self) -> None:
        """Cancel the download in the way a consumer does: stop the producer."""
        if self.finished is None:
            self.cancelled = True
            self.session.later(0.0, partial(self.session.context.run, self._consumer.stop))

    def abort(self, error: LivelockError) -> None:
        """End the download with an error."""
        self.failure = error
        self._consumer.end()
        self._finish()

    def _end(self, outcome: Any) -> None:
        if self.finished is not None:
            return
        if self._stalled:  # the result was returned long ago, and was wrong
            message = (
                f"a download ended at {self._reactor.seconds():.6g} s that had counted as stalled:"
                " it waited for no answer and no timer of its own, and another download woke it"
            )
            self._reactor.errors.append(MisconductError(message))
        if self._alone:
            self._timers_left = self.timers
        self._consumer.end()
        # Another downloader may end in any way after it was stopped.
        stopped = self._consumer.stopped and is_external(name_of(self.strategy))
        if isinstance(outcome, Failure) and not stopped:
            self.failure = as_error(cast(BaseException, outcome.value))
        self._finish()

    def _finish(self) -> None:
        self.finished = self._reactor.seconds()
        self.trace.note(self.finished, "raised" if self.failure else "fired")
        if self._on_end is not None:
            self._on_end()

    def ending(self, queue_empty: bool) -> DownloadOutcome:
        """Return the outcome so far; `queue_empty` says that no events are left."""

        def since(time: float | None) -> float | None:
            return None if time is None else float(time - self.started)

        consumer = self._consumer
        return DownloadOutcome(
            failure=self.failure,
            finished=since(self.finished),
            ended=float(self._reactor.seconds() - self.started),
            queue_empty=queue_empty,
            located=since(self._located),
            first=since(consumer.first),
            content_ok=consumer.content_ok,
            asked=_asked(self.scenario, self._file.cap.size),
            wrote=consumer.wrote,
            stopped=consumer.stopped,
            cancelled=self.cancelled,
            status=self.status,
            timers_left=self._timers_left,
            misconduct=consumer.misconduct,
            started=self.started,
        )


def _asked(scenario: Scenario, size: int) -> int:
    """Return the number of requested bytes of a file of `size` bytes."""
    rest = size - scenario.file.offset
    return rest if scenario.file.length is None else min(rest, scenario.file.length)
