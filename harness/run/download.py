"""One download in a simulated grid, from its start to its outcome."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from twisted.internet.defer import maybeDeferred
from twisted.python.failure import Failure

from firstk.downloader import Download as OurDownload
from firstk.downloader import DownloadStatus
from firstk.harness.grid.consumer import SimConsumer
from firstk.harness.grid.files import GridFile
from firstk.harness.grid.server import Client, Connections, SimServer
from firstk.harness.grid.trace import Trace
from firstk.harness.kernel.client_reactor import ClientReactor, Context
from firstk.harness.kernel.livelock import LivelockError
from firstk.harness.kernel.raised import as_error
from firstk.harness.kernel.reactor import SimReactor
from firstk.harness.kernel.rng import stream
from firstk.harness.run.under_test import (
    DownloaderSpec,
    DownloadRequest,
    MisconductError,
    find_downloader,
    is_external,
    name_of,
    runs_strategy,
)
from firstk.scenarios.faults import Operation
from firstk.scenarios.model import Scenario


@dataclass(frozen=True, slots=True)
class DownloadOutcome:
    """The outcome of a download: what is kept when it is over, or no events are left.

    Times are in virtual seconds since it began; `finished` is None if it was not over. `asked`
    and `wrote` are numbers of bytes. `stopped` says whether it was stopped before its end.
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


class SimulatedDownload:
    """A download of what a scenario asks for, from servers that are there.

    With `stop = "located"` its reads are never sent, whatever the downloader is, and it ends
    when K distinct share numbers are known: at once if it does not obey.

    `number` distinguishes it from others in the grid. `over` is called when it has finished, or
    can never finish any more: it waits for nothing that will come. `failed` is called with what
    its timers raise; without it that goes to the reactor. `connect` returns the servers as the
    client sees them, and `enter` calls what is code of the client.
    Raises `DownloaderError` if `strategy` is neither one of ours nor another downloader.
    """

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        strategy: DownloaderSpec,
        reactor: SimReactor,
        file: GridFile,
        servers: Sequence[SimServer],
        number: int = 0,
        over: Callable[[SimulatedDownload], None] | None = None,
        failed: Callable[[Exception], None] | None = None,
        connect: Callable[[Client, Sequence[SimServer]], Sequence[Any]] | None = None,
        enter: Callable[..., Any] | None = None,
    ) -> None:
        self.scenario = scenario
        self.strategy = strategy
        self.trace = Trace()
        self.started = 0.0
        self.finished: float | None = None
        self.failure: Exception | None = None
        self._subject = find_downloader(strategy)
        self._random = stream(seed, "client", "choice", *([str(number)] if number else []))
        self._reactor = reactor
        self._over = over
        self._locates = scenario.stop == "located"
        self._known: float | None = None
        heard = self._heard if over is not None or self._locates else None
        context = Context(reactor.env, self._abort, enter)
        self._clock = ClientReactor(reactor, heard, failed, context)
        self._file = file
        held: Sequence[Operation] = ["read"] if self._locates else []
        self.client = Client(
            self.trace,
            heard,
            self._clock.run,
            holds=held,
            note=context.note,
            source=None if runs_strategy(strategy) else context.source,
        )
        self._connections = (connect or _connections)(self.client, servers)
        # A clock of its own: the consumer's timers are not left behind by the download.
        self._drain = ClientReactor(reactor, heard, failed, context)
        self._consumer = SimConsumer(
            self._drain,
            file,
            scenario.file.offset,
            scenario.stop == "first-block",
            self.trace,
            scenario.consumer.bandwidth if scenario.consumer else None,
            self._progress,
        )
        self._context = context
        self._timers_left: Sequence[str] = ()
        self._stalled = False

    @property
    def status(self) -> DownloadStatus | None:
        """What the downloader reports about itself; None if it is not ours."""
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
    def buffered(self) -> int:
        """How many bytes are in the consumer's buffer."""
        return self._consumer.buffered

    def start(self) -> None:
        """Begin now."""
        self.started = self._reactor.seconds()
        order = DownloadRequest(
            self._clock,
            self._connections,
            self._file.cap,
            self._consumer,
            self.scenario.file.offset,
            self.scenario.file.length,
            self._random,
        )
        self._clock.run(self._begin, order)
        if self._over is not None:
            self._heard()

    def _begin(self, order: DownloadRequest) -> None:
        maybeDeferred(self._subject, order).addBoth(self._end)

    def _heard(self) -> None:
        """Check the download after each of its events."""
        if self._locates and self.finished is None:
            if self._known is None and len(self.client.known) >= self._file.cap.k:
                self._known = self._reactor.seconds()
            if self._located is not None:
                self._end_located()
        waits = self.finished is None and (
            self.client.waits or self._clock.getDelayedCalls() or self._drain.getDelayedCalls()
        )
        if self._over is not None and not waits:
            over, self._over = self._over, None
            self._stalled = self.finished is None
            over(self)

    def _end_located(self) -> None:
        """Stop the download, which has located its shares; it is over now, whatever it does."""
        self.client.holds = ["get_buckets", "read"]
        try:
            self._clock.run(self._consumer.stop)
        except Exception as e:
            self.failure = e
        if self.finished is None:
            # Its Deferred may fire later, or never: not every downloader can be stopped.
            self._finish()

    def stop(self) -> None:
        """Stop it, if that is possible, without reporting its end."""
        self._over = None
        if self.finished is None:
            self._clock.run(self._consumer.stop)

    def _progress(self) -> None:
        self._context.progress()
        self._reactor.at_once.reset()

    def _abort(self, error: LivelockError) -> None:
        """End it: it does one thing after another, and time does not pass."""
        if self.finished is not None:
            self._reactor.errors.append(error)
            return
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
        self._timers_left = list(map(str, self._clock.getDelayedCalls()))
        self._consumer.end()
        # Another downloader may end in any way after it was stopped.
        stopped = self._consumer.stopped and is_external(name_of(self.strategy))
        if isinstance(outcome, Failure) and not stopped:
            self.failure = as_error(cast(BaseException, outcome.value))
        self._finish()

    def _finish(self) -> None:
        self.finished = self._reactor.seconds()
        self.trace.note(self.finished, "raised" if self.failure else "fired")

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
            status=self.status,
            timers_left=self._timers_left,
            misconduct=consumer.misconduct,
        )


def _connections(client: Client, servers: Sequence[SimServer]) -> Sequence[Any]:
    return Connections(servers, client)


def _asked(scenario: Scenario, size: int) -> int:
    """Return how many bytes are asked for, of a file of `size` bytes."""
    rest = size - scenario.file.offset
    return rest if scenario.file.length is None else min(rest, scenario.file.length)
