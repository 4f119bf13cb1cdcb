"""A run of a scenario on real servers, with the same records as a simulated one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import urandom
from typing import Any, cast

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from firstk.downloader import Download as OurDownload
from firstk.downloader.http import HTTPStorageServer
from firstk.downloader.http.time_limits import UNLIMITED
from firstk.harness.grid.build import ServerSpec, in_download_order, server_specs
from firstk.harness.grid.consumer import SimConsumer
from firstk.harness.grid.files import GridFile, file_of
from firstk.harness.grid.trace import Trace
from firstk.harness.kernel.lost_errors import logged_errors
from firstk.harness.kernel.raised import as_error
from firstk.harness.kernel.rng import stream
from firstk.harness.live.clock import RunClock
from firstk.harness.live.faults import not_live
from firstk.harness.live.grid import LiveGrid
from firstk.harness.live.measured import Times
from firstk.harness.live.processes import Keeper, LiveError
from firstk.harness.live.traced import TracedServer, Tracer
from firstk.harness.run.download import DownloadOutcome
from firstk.harness.run.finish import Run, finish_run
from firstk.harness.run.under_test import DownloaderSpec, DownloadRequest, find_downloader
from firstk.scenarios.faults import Operation
from firstk.scenarios.model import Scenario
from firstk.scenarios.transport import TAHOE_HTTPS

#: The number of connections made to each server before a run, as a long-lived client has. A request
#: then takes one round trip, as in the simulation.
_WARM = 4

#: How long to wait for all processes to settle before a run, in seconds.
_SETTLING = 0.05

#: How often to check whether an idle run is over, in seconds.
_TICK = 0.02


class LiveScenario:
    """A scenario for live runs.

    With `is_warm`, connections are established before a download begins; with
    `transport = "tahoe-https"` the download makes them itself. `limit` is when a run that is
    still busy is cut off, in seconds. Raises `LiveError` if a live grid does not support it.
    """

    def __init__(self, reactor: Any, keeper: Keeper, scenario: Scenario, limit: float) -> None:
        problems = list(not_live(scenario, file_of(scenario)))
        if problems:
            raise LiveError(f"{scenario.name} cannot be run live: {'; '.join(problems)}")
        self.scenario = scenario
        self.grid = LiveGrid(keeper, scenario.grid.servers)
        self.is_warm = scenario.grid.transport != TAHOE_HTTPS
        self._reactor = reactor
        self._limit = limit

    async def play(self, strategy: DownloaderSpec, run: int, quiet: float) -> Run:
        """Run a download, and return the finished run.

        It has stalled if nothing has happened for `quiet` seconds and it has no timer of its own:
        it is waiting for an answer that will not come.
        """
        scenario = self.scenario
        seed = scenario.seed_of(run)
        file = file_of(scenario)
        plans = server_specs(scenario, seed, file.shares)
        self.grid.calm()
        self.grid.store(file, plans)
        clients = await self._connect(file, plans, seed, _WARM if self.is_warm else 0)
        failures: list[BaseException] = []
        timers: list[Any] = []
        download = _LiveDownload(self._reactor, scenario, seed, strategy, file, clients)
        with logged_errors(failures):
            try:
                self.grid.begin(
                    file,
                    plans,
                    seed,
                    lambda delay, act: timers.append(self._reactor.callLater(delay, act)),
                    self._limit,
                    scenario.grid.client_bandwidth,
                )
                download.start()
                await download.wait(self._limit, quiet)
            finally:
                ending = download.end()
                for timer in timers:
                    if timer.active():
                        timer.cancel()
                await gatherResults([client.close() for client in clients])
        return finish_run(scenario, strategy, run, seed, download.trace, ending, failures)

    async def round_trips(self, run: int) -> Times:
        """Return how long queries take on established connections, one server at a time."""
        scenario = self.scenario
        seed = scenario.seed_of(run)
        file = file_of(scenario)
        good = [
            replace(plan, faults=(), bandwidth=None, service=None)
            for plan in server_specs(scenario, seed, file.shares)
        ]
        self.grid.calm()
        clients = await self._connect(file, good, seed, 1)
        self.grid.begin(file, good, seed, lambda delay, act: None, self._limit)
        times: dict[tuple[str, Operation], list[float]] = {}
        try:
            for client in clients:
                start = self._reactor.seconds()
                await client.get_buckets(urandom(16))
                times[client.name, "get_buckets"] = [self._reactor.seconds() - start]
        finally:
            await gatherResults([client.close() for client in clients])
        return times

    async def _connect(
        self, file: GridFile, plans: Sequence[ServerSpec], seed: int, warm: int
    ) -> list[HTTPStorageServer]:
        """Return clients of all servers, each with `warm` established connections."""
        by_name = {
            name: HTTPStorageServer(self._reactor, nurl, name=name, limits=UNLIMITED)
            for name, nurl in self.grid.nurls.items()
        }
        warming: list[Deferred[Any]] = [
            client.get_buckets(urandom(16)) for client in by_name.values() for _ in range(warm)
        ]
        await gatherResults(warming)
        await deferLater(self._reactor, _SETTLING, lambda: None)
        listed: list[Any] = [by_name[plan.name] for plan in plans]
        ordered: list[Any] = list(in_download_order(self.scenario, seed, file, listed))
        return ordered


class _LiveDownload:
    """One download from real servers."""

    def __init__(
        self,
        reactor: Any,
        scenario: Scenario,
        seed: int,
        strategy: DownloaderSpec,
        file: GridFile,
        servers: Sequence[HTTPStorageServer],
    ) -> None:
        self.trace = Trace()
        self._reactor = reactor
        self._scenario = scenario
        self._subject = find_downloader(strategy)
        self._file = file
        self._clock = RunClock(reactor)
        self._tracer = Tracer(self._clock, self.trace)
        self._servers = [TracedServer(server, self._tracer) for server in servers]
        self._random = stream(seed, "client", "choice")
        self._drain = RunClock(reactor)
        self._consumer = SimConsumer(
            self._drain,
            file,
            scenario.file.offset,
            scenario.stop == "first-block",
            self.trace,
            scenario.consumer.bandwidth if scenario.consumer else None,
        )
        self._finished: float | None = None
        self._failure: Exception | None = None
        self._stalled = False
        self._over: Deferred[None] = Deferred()

    def start(self) -> None:
        """Start the download."""
        self._clock.restart()
        self._drain.restart()
        order = DownloadRequest(
            self._clock,
            self._servers,
            self._file.cap,
            self._consumer,
            self._scenario.file.offset,
            self._scenario.file.length,
            self._random,
        )
        started = self._clock.run(maybeDeferred, self._subject, order)
        started.addBoth(self._end)

    def _end(self, outcome: Any) -> None:
        if self._over.called:
            return
        self._finished = self._clock.seconds()
        self._timers_left = list(map(str, self._clock.getDelayedCalls()))
        if isinstance(outcome, Failure):
            self._failure = as_error(cast(BaseException, outcome.value))
        self.trace.note(self._finished, "raised" if self._failure else "fired")
        self._consumer.end()
        self._over.callback(None)

    async def wait(self, limit: float, quiet: float) -> None:
        """Wait until it is over, or silent for `quiet` seconds, or the limit is reached."""
        while self._finished is None and self._clock.seconds() < limit:
            busy = self._clock.getDelayedCalls() or self._drain.getDelayedCalls()
            if not busy and self._clock.seconds() - self._tracer.last > quiet:
                self._stalled = True
                return
            await deferLater(self._reactor, _TICK, lambda: None)

    def end(self) -> DownloadOutcome:
        """End the download if necessary, and return its outcome."""
        ended = self._tracer.last if self._finished is None else self._finished
        if not self._over.called:
            self._over.callback(None)
        self._tracer.end()
        self._clock.run(self._consumer.stop)
        self._clock.cancel_all()
        self._drain.cancel_all()
        consumer = self._consumer
        producer = consumer.producer
        status = producer.status if isinstance(producer, OurDownload) else None
        rest = self._file.cap.size - self._scenario.file.offset
        length = self._scenario.file.length
        return DownloadOutcome(
            failure=self._failure,
            finished=self._finished,
            ended=ended,
            queue_empty=self._stalled,
            located=status.located if status else None,
            first=consumer.first,
            content_ok=consumer.content_ok,
            asked=rest if length is None else min(rest, length),
            wrote=consumer.wrote,
            stopped=consumer.stopped,
            status=status,
            timers_left=(),
            misconduct=consumer.misconduct,
        )
