"""One download in a simulated grid, from its start to what it came to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from twisted.internet.defer import maybeDeferred
from twisted.python.failure import Failure

from downloader import DownloadStatus
from harness.clock import DownloadClock
from harness.consumer import SimConsumer
from harness.files import GridFile
from harness.reactor import SimReactor
from harness.server import Client, Connections, SimServer
from harness.streams import stream
from harness.subject import Given, Order, find_subject, is_other, name_of
from harness.trace import Trace
from scenarios.model import Scenario


@dataclass(frozen=True, slots=True)
class Ending:
    """What is kept of a download when it is over, or nothing more is to happen.

    Times are in virtual seconds since it began; `finished` is None if it was not over. `asked`
    and `wrote` are numbers of bytes. `misconduct` lists what it did to the consumer
    that no consumer allows.
    """

    failure: BaseException | None
    finished: float | None
    ended: float
    dry: bool
    located: float | None
    first: float | None
    content_ok: bool | None
    asked: int
    wrote: int
    status: DownloadStatus | None
    timers_left: Sequence[str]
    misconduct: Sequence[str] = ()


class Download:
    """A download of what a scenario asks for, from servers that are there.

    `number` tells it from others in the same grid. `over` is called when it has finished, or
    can never finish any more: it waits for nothing that will come. `failed` is called with what
    its timers raise; without it that goes to the reactor.
    Raises `SubjectError` if `strategy` is neither one of ours nor another downloader.
    """

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        strategy: Given,
        reactor: SimReactor,
        file: GridFile,
        servers: Sequence[SimServer],
        number: int = 0,
        over: Callable[[Download], None] | None = None,
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        self.scenario = scenario
        self.strategy = strategy
        self.trace = Trace()
        self.started = 0.0
        self.finished: float | None = None
        self.failure: BaseException | None = None
        self._subject = find_subject(strategy)
        self._random = stream(seed, "client", "choice", *([str(number)] if number else []))
        self._reactor = reactor
        self._over = over
        heard = self._heard if over is not None or scenario.stop == "located" else None
        self._clock = DownloadClock(reactor, heard, failed)
        self._file = file
        self.client = Client(self.trace, heard)
        self._connections = Connections(servers, self.client)
        # A clock of its own: the consumer's timers are not left behind by the download.
        self._drain = DownloadClock(reactor, heard, failed)
        self._consumer = SimConsumer(
            self._drain,
            file,
            scenario.file.offset,
            scenario.stop == "first-block",
            self.trace,
            scenario.consumer.bandwidth if scenario.consumer else None,
        )
        self._timers_left: Sequence[str] = ()

    @property
    def status(self) -> DownloadStatus | None:
        """What the downloader tells of itself, if it is ours."""
        return getattr(self._consumer.producer, "status", None)

    @property
    def buffered(self) -> int:
        """How many bytes are in the consumer's buffer."""
        return self._consumer.buffered

    def start(self) -> None:
        """Begin now."""
        self.started = self._reactor.seconds()
        order = Order(
            self._clock,
            self._connections,
            self._file.cap,
            self._consumer,
            self.scenario.file.offset,
            self.scenario.file.length,
            self._random,
        )
        maybeDeferred(self._subject, order).addBoth(self._end)
        if self._over is not None:
            self._heard()

    def _heard(self) -> None:
        """See what to do after something has happened to the download."""
        if self.finished is None and self.scenario.stop == "located":
            status = self.status
            if status is not None and status.located is not None:
                self._consumer.stop()
        waits = self.finished is None and (
            self.client.waits or self._clock.getDelayedCalls() or self._drain.getDelayedCalls()
        )
        if self._over is not None and not waits:
            over, self._over = self._over, None
            over(self)

    def stop(self) -> None:
        """End it, if that can be done, and tell nobody."""
        self._over = None
        if self.finished is None:
            self._consumer.stop()

    def _end(self, outcome: Any) -> None:
        self.finished = self._reactor.seconds()
        self._timers_left = list(map(str, self._clock.getDelayedCalls()))
        self._consumer.end()
        # What becomes of a download that was told to stop is its own affair, if it is not ours.
        stopped = self._consumer.stopped and is_other(name_of(self.strategy))
        if isinstance(outcome, Failure) and not stopped:
            self.failure = cast(BaseException, outcome.value)
        self.trace.note(self.finished, "raised" if self.failure else "fired", "the download")

    def ending(self, dry: bool) -> Ending:
        """Return what it has come to by now; `dry` tells that nothing is left to happen."""

        def since(time: float | None) -> float | None:
            return None if time is None else float(time - self.started)

        status, consumer = self.status, self._consumer
        return Ending(
            failure=self.failure,
            finished=since(self.finished),
            ended=float(self._reactor.seconds() - self.started),
            dry=dry,
            located=since(status.located) if status else None,
            first=since(consumer.first),
            content_ok=consumer.content_ok,
            asked=_asked(self.scenario, self._file.cap.size),
            wrote=consumer.wrote,
            status=status,
            timers_left=self._timers_left,
            misconduct=consumer.misconduct,
        )


def _asked(scenario: Scenario, size: int) -> int:
    """Return how many bytes are asked for, of a file of `size` bytes."""
    rest = size - scenario.file.offset
    return rest if scenario.file.length is None else min(rest, scenario.file.length)
