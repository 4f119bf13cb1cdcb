"""A downloader under test with its environment: servers, a reactor, and a trace of its work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from firstk.downloader import DownloadError
from firstk.harness.grid.build import subset_of
from firstk.harness.grid.client_machine import ClientMachine
from firstk.harness.grid.connection import Client, Connections
from firstk.harness.grid.files import GridFile
from firstk.harness.grid.server import SimServer
from firstk.harness.grid.trace import Trace
from firstk.harness.kernel.client_reactor import ClientReactor, Context
from firstk.harness.kernel.livelock import LivelockError
from firstk.harness.kernel.raised import Place
from firstk.harness.kernel.reactor import SimReactor
from firstk.harness.run.sources import sends_requests
from firstk.harness.run.under_test import DownloaderSpec, runs_strategy
from firstk.scenarios.model import Scenario

if TYPE_CHECKING:
    from firstk.harness.run.download import SimulatedDownload


class Session:
    """The environment of one downloader in a simulation, for one download or several reads.

    `number` distinguishes it from others in the grid, and `machine` is the machine that it shares
    with them (default: one of its own). With `listens`, its downloads are checked after each of its
    events. `failed` is called with exceptions of its timers, which otherwise propagate to the
    reactor. `connect` returns the servers as a client sees them, if these are not simulated
    objects, and `enter` is used to call code of the downloader. With `sources`, the trace has the
    line that sent each request for firstk's strategies too.
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
        failed: Callable[[Exception], None] | None = None,
        machine: ClientMachine | None = None,
        *,
        listens: bool = False,
        connect: Callable[[Client], Sequence[Any]] | None = None,
        enter: Callable[..., Any] | None = None,
        sources: bool = False,
    ) -> None:
        self.scenario = scenario
        self.seed = seed
        self.strategy = strategy
        self.reactor = reactor
        self.file = file
        self.number = number
        self.trace = Trace()
        self.downloads: list[SimulatedDownload] = []
        heard = self._heard if listens else None
        machine = machine or ClientMachine(reactor.env, scenario.client)
        self.processor = processor = machine.processor
        busy_until = None if processor is None else processor.after
        self.context = Context(reactor.env, self._abort, enter)
        self.pool = machine.pool(seed, number, self.context.run, heard or _nothing)
        self.clock = ClientReactor(
            reactor,
            heard,
            failed,
            self.context,
            busy_until,
            self.pool,
            None if machine.clock is None else machine.clock.time,
        )
        # A clock of its own: the consumer's timers are not left behind by the download.
        self.drain = ClientReactor(reactor, heard, failed, self.context, busy_until)
        self.client = Client(
            self.trace,
            heard,
            self.clock.run,
            holds=["read"] if scenario.stop == "located" else [],
            note=self.context.note,
            source=self._source_of(strategy, sources),
            processor=processor,
            tied=file.cap.k if scenario.grid.tied else None,
        )
        servers = subset_of(scenario, seed, number, servers)
        self.connections: Sequence[Any] = (
            Connections(servers, self.client, reading=bool(scenario.grid.reading_queries))
            if connect is None
            else connect(self.client)
        )
        self._late = 0  # how many things of its own wait for the processor
        self._listens = listens

    def _source_of(
        self, strategy: DownloaderSpec, sources: bool
    ) -> Callable[[], Place | None] | None:
        """Return a function that returns the line that sends a request; None if it is not known.

        The lines of firstk's strategies are of interest in reports only, and take time to find.
        """
        if not runs_strategy(strategy):
            return self.context.source
        return partial(self.context.source, sends_requests) if sources else None

    @property
    def waits(self) -> bool:
        """Whether any event is still to come that lets the downloader continue."""
        return bool(
            self.client.waits
            or self.clock.has_timers
            or self.drain.has_timers
            or self._late
            or (self.pool is not None and self.pool.working)
        )

    def later(self, work: float, function: Callable[[], None]) -> None:
        """Call a function after the processor has done `work` seconds of work for it."""
        time = self.reactor.seconds()
        if self.processor is not None:
            time = self.processor.after(work)
        if time <= self.reactor.seconds():
            function()
            return
        self._late += 1

        def call(_: object) -> None:
            self._late -= 1
            function()
            if self._listens:
                self._heard()

        self.reactor.env.at(time, call)

    def progress(self) -> None:
        """Restart the count of actions at one time: bytes of the file have been written."""
        self.context.progress()
        self.reactor.at_once.reset()

    def drop_frames(self) -> None:
        """Let go of the frames that its failures came through; see `drop_frames`."""
        for download in self.downloads:
            if download.failure is not None:
                drop_frames(download.failure)

    def _heard(self) -> None:
        for download in self.downloads:
            download.heard()

    def _abort(self, error: LivelockError) -> None:
        """End all that is not over: it does one thing after another, and time does not pass."""
        under_way = [one for one in self.downloads if one.finished is None]
        if not under_way:
            self.reactor.errors.append(error)
        for download in under_way:
            download.abort(error)


def drop_frames(error: BaseException) -> None:
    """Drop the frames of an error's traceback, which refer to the whole simulation.

    The message of an error that the downloader reports deliberately is sufficient. For other
    errors, the place where they were raised is kept for inspection.
    """
    if isinstance(error, DownloadError):
        error.__traceback__ = error.__context__ = error.__cause__ = None


def _nothing() -> None:
    """Do nothing."""
