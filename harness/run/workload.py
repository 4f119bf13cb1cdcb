"""Many downloads in one simulation: a load on a grid, and what results from it."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from math import inf
from random import Random

from twisted.internet.interfaces import IDelayedCall

from firstk.downloader.text import message_of
from firstk.harness.grid.build import in_download_order, make_servers, server_specs, tahoe_order
from firstk.harness.grid.client_machine import ClientMachine
from firstk.harness.grid.files import GridFile, file_of, make_up
from firstk.harness.grid.server import SimServer
from firstk.harness.grid.untriggered import untriggered_faults
from firstk.harness.kernel.interrupt import interruptible
from firstk.harness.kernel.isolation import isolated
from firstk.harness.kernel.lost_errors import logged_errors
from firstk.harness.kernel.raised import error_name
from firstk.harness.kernel.reactor import SimReactor
from firstk.harness.kernel.rng import stream
from firstk.harness.kernel.time_average import TimeAverage
from firstk.harness.run.download import SimulatedDownload
from firstk.harness.run.finish import combine_failures, finish_run
from firstk.harness.run.result import Result
from firstk.harness.run.session import Session
from firstk.harness.run.under_test import DownloaderSpec, name_of
from firstk.harness.run.workload_result import Tally, WorkloadResult
from firstk.scenarios.base import MAX_MADE_UP_SIZE
from firstk.scenarios.laws import Law
from firstk.scenarios.model import MadeUpFile, Scenario
from firstk.scenarios.workload import Closed, TraceFile

#: How many downloads of closed clients may begin at one time, beyond the first of each client.
_MOST_AT_ONCE = 100_000


class OverloadError(Exception):
    """A grid cannot sustain a load: more downloads are in progress than the workload allows.

    Or clients that take no time begin one download after another, and time never passes.
    """


def simulate_workload(
    scenario: Scenario,
    strategy: DownloaderSpec,
    run: int = 0,
    each: Callable[[Result], None] | None = None,
    *,
    keep_loaded: bool = True,
) -> WorkloadResult:
    """Run the downloads of a scenario's workload in virtual time, with the seed for this run.

    The first ones to begin are left out of the result, as many as the workload's `warmup` says.
    If `keep_loaded` is True, further ones begin until all that count are over, so that these never
    have the grid for themselves. Otherwise no more begin, which takes less time, but the last ones
    are too fast, and the grid is measured only until the last start. `each` is called with the
    result of each that counts, in the order in which they end; its times are from its own start.
    Raises `DownloaderError` as `simulate` does, and `OverloadError` once more downloads are in
    progress than the workload allows.
    """
    seed = scenario.seed_of(run)
    failures: list[BaseException] = []
    with logged_errors(failures):
        load = _Load(scenario, strategy, seed, run, each, keep_loaded=keep_loaded)
        tally = load.play(failures)
        unmet = untriggered_faults(scenario, load.servers)
        del load  # the rest of it goes while errors are logged
    if isinstance(tally, OverloadError):  # raised here, where no frame holds the simulation
        if (error := combine_failures(failures)) is not None:
            first = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
            text = f"{error_name(first)}: {message_of(first)}"
            raise OverloadError(f"{tally}. Errors came up meanwhile: {text}")
        raise tally
    tally.add_strays(failures)
    return tally.result(scenario, strategy, run, unmet)


class _Load:
    """One simulation of a workload."""

    def __init__(
        self,
        scenario: Scenario,
        strategy: DownloaderSpec,
        seed: int,
        run: int,
        each: Callable[[Result], None] | None,
        *,
        keep_loaded: bool,
    ) -> None:
        assert scenario.workload is not None
        self._scenario = scenario
        self._keep_loaded = keep_loaded
        self._strategy = strategy
        self._seed = seed
        self._run = run
        self._each = each
        self._workload = scenario.workload
        self._reactor = SimReactor()
        self._reactor.at_once.most = inf  # each download counts for itself
        self._files = _Files(scenario, seed, self._reactor)
        self._machine = ClientMachine(self._reactor.env, scenario.client)
        self._tally = Tally(self._files.servers)
        self._under_way = TimeAverage(self._reactor.env)
        self._begun = 0
        self._left = self._workload.counted  # that count and are not over
        self._overload: OverloadError | None = None
        self._time = 0.0
        self._at_once = 0  # how many downloads have begun at that time

    @property
    def servers(self) -> Sequence[SimServer]:
        """The servers of the grid."""
        return self._files.servers

    def play(self, failures: list[BaseException]) -> Tally | OverloadError:
        """Let downloads begin until all that count are over, or there are too many."""
        reactor = self._reactor
        reactor.startRunning(installSignalHandlers=False)
        arrivals = self._workload.arrivals
        if isinstance(arrivals, Closed):
            for client in range(arrivals.clients):
                draws = stream(self._seed, "workload", "think", str(client))
                self._think(partial(_thinking, arrivals.think, draws))
        else:
            self._arrive(arrivals.times(stream(self._seed, "workload", "arrivals")))
        chance = partial(stream, self._seed, "client", "random")
        watched = isolated(
            name_of(self._strategy), chance, failures, clock=self._machine.read_clock
        )
        with interruptible(reactor), watched:
            while self._left and self._overload is None and reactor.process_next():
                pass
        if self._left and self._overload is None:  # no further one begins: it could not
            raise reactor.errors[0]
        if self._overload is None and self._keep_loaded:
            self._tally.close(reactor.seconds(), self._under_way.area)
        reactor.stop()
        reactor.mainLoop()
        failures += reactor.errors
        return self._overload or self._tally

    def _arrive(self, times: Iterator[float]) -> None:
        """Begin the next download when its time has come, if there is one."""

        def begin() -> None:
            if self._under_way.now >= self._workload.most_under_way:
                self._overload = self._too_many()
                return
            self._begin(None)
            if self._keep_loaded or self._begun < self._workload.last:
                self._arrive(times)

        if (time := next(times, None)) is not None:
            self._reactor.callAt(time, begin)

    def _too_many(self) -> OverloadError:
        """Return the error for too many concurrent downloads."""
        return self._cannot(
            "the grid cannot carry this load",
            f"{self._under_way.now:,} downloads are under way",
            "Lower the rate or make the servers faster. If you expect this many, set"
            f" workload.max_under_way to more than {self._workload.most_under_way:,}: each takes 30"
            " to 100 KB of memory while it waits for ten servers, and more for more servers",
        )

    def _cannot(self, what: str, why: str, remedy: str) -> OverloadError:
        counted, now = self._workload.counted, self._reactor.seconds()
        return OverloadError(
            f"{self._scenario.name}, {name_of(self._strategy)}, seed {self._seed}: {what}"
            f" ({self._workload.arrivals}): {why} at {now:.6g} s, and {counted - self._left:,} of"
            f" the {counted:,} counted downloads have finished. {remedy}"
        )

    def _is_endless(self) -> bool:
        """Count a download that begins; return whether it is one too many for this time."""
        now = self._reactor.seconds()
        if now != self._time:
            self._time, self._at_once = now, 0
        self._at_once += 1
        return self._at_once > self._workload.most_under_way + _MOST_AT_ONCE

    def _think(self, draw: Callable[[], float]) -> None:
        """Let a client begin its next download after its think time."""

        def begin() -> None:
            if self._is_endless():
                self._overload = self._cannot(
                    "virtual time stands still, since neither clients nor servers take any",
                    f"{self._at_once:,} downloads have begun",
                    "Give the clients a time to think, or the grid a round-trip time",
                )
                return
            self._begin(lambda: self._think(draw))

        self._reactor.callLater(draw(), begin)

    def _begin(self, then: Callable[[], None] | None) -> None:
        number, self._begun = self._begun, self._begun + 1
        if number == self._workload.warmed_up:
            self._tally.open(self._reactor.seconds(), self._under_way.area)
            self._tally.piled_up = -self._under_way.now
        file, servers = self._files.draw(number)
        timer: IDelayedCall | None = None

        def over(download: SimulatedDownload) -> None:
            if timer is not None:
                timer.cancel()
            end(download)

        def end(download: SimulatedDownload, *, cut: bool = False) -> None:
            self._under_way.change(-1)
            self._end(number, download, cut=cut)
            if then is not None:
                then()

        session = Session(
            self._scenario,
            self._seed,
            self._strategy,
            self._reactor,
            file,
            servers,
            number,
            machine=self._machine,
            listens=True,
        )
        download = SimulatedDownload(session, over=over)
        self._under_way.change(1)
        if number == self._workload.last - 1:
            self._tally.piled_up += self._under_way.now
            if not self._keep_loaded:
                self._tally.close(self._reactor.seconds(), self._under_way.area)
        timer = self._reactor.callLater(self._scenario.deadline, self._cut, download, end)
        download.start()

    def _cut(self, download: SimulatedDownload, end: Callable[..., None]) -> None:
        """Count a download as it stands at its deadline, and stop it."""
        end(download, cut=True)
        download.stop()

    def _end(self, number: int, download: SimulatedDownload, *, cut: bool) -> None:
        """Record the outcome of a download, and drop it."""
        ending = download.ending(queue_empty=not cut)
        result = finish_run(
            download.scenario,
            self._strategy,
            self._run,
            self._seed,
            download.trace,
            ending,
            [],
        ).result
        counts = self._workload.warmed_up <= number < self._workload.last
        self._tally.add(number, result, counts=counts)
        if counts:
            self._left -= 1
            if self._each is not None:
                self._each(result)
        # Requests that are held forever would otherwise stay in memory.
        download.client.withdraw(held=not self._workload.cancel)


def _thinking(law: Law | None, draws: Random) -> float:
    """Return how long a client thinks, in seconds."""
    return 0.0 if law is None else law.sample(draws)


class _Files:
    """The files that are downloaded, each made when it is first asked for, and their servers."""

    def __init__(self, scenario: Scenario, seed: int, reactor: SimReactor) -> None:
        assert scenario.workload is not None
        self._scenario = scenario
        self._seed = seed
        self._arrivals = scenario.workload.arrivals
        self._files = scenario.workload.files
        first = file_of(scenario)
        in_order = make_servers(scenario, seed, first, reactor)
        self.servers = sorted(in_order, key=lambda server: int(server.name[1:]))
        self._made: dict[int, tuple[GridFile, Sequence[SimServer]]] = {}
        if self._files is None:
            self._made[first.cap.size] = first, in_order
        else:
            weights = [(i + 1) ** -self._files.zipf for i in range(self._files.count)]
            self._shares = list(accumulate(weights))
            self._draws = stream(seed, "workload", "file")
        self._named = {
            plan.name: plan.shares
            for plan in server_specs(scenario, seed, first.shares)
            if plan.shares_named
        }

    def draw(self, number: int) -> tuple[GridFile, Sequence[SimServer]]:
        """Return the file of the download with this number, and its servers in their order."""
        if self._files is not None:
            point = self._draws.random() * self._shares[-1]
            return self._numbered(min(bisect(self._shares, point), self._files.count - 1))
        size = None
        if isinstance(self._arrivals, TraceFile) and number < len(self._arrivals.rows):
            size = self._arrivals.rows[number][1]
        if size is None or size in self._made:
            return self._made[size or next(iter(self._made))]
        return self._make(size, size, len(self._made))

    def _numbered(self, number: int) -> tuple[GridFile, Sequence[SimServer]]:
        if number in self._made:
            return self._made[number]
        assert self._files is not None
        assert isinstance(self._scenario.file, MadeUpFile)
        size = self._scenario.file.size
        if self._files.sizes is not None:
            drawn = self._files.sizes.sample(stream(self._seed, "workload", "size", str(number)))
            size = round(min(max(drawn, 1), MAX_MADE_UP_SIZE))
        return self._make(number, size, number)

    def _make(self, key: int, size: int, number: int) -> tuple[GridFile, Sequence[SimServer]]:
        """Make a file, and put its shares on the servers as Tahoe-LAFS does."""
        assert isinstance(self._scenario.file, MadeUpFile)
        table = self._scenario.file.model_copy(update={"size": size})
        file = make_up(table, self._seed, number)
        index = file.cap.storage_index
        held: dict[str, dict[int, bytes]] = {
            name: {n: file.shares[n] for n in numbers} for name, numbers in self._named.items()
        }
        places = tahoe_order(index, self.servers)
        for n, share in file.shares.items():
            name = places[n % len(places)].name
            if name not in self._named:
                held.setdefault(name, {})[n] = share
        for server in self.servers:
            if server.name in held:
                server.shares = {**server.shares, index: held[server.name]}
        grid = self._scenario.grid
        in_order = places
        if grid.order != "permuted":
            in_order = in_download_order(self._scenario, self._seed, file, self.servers)
        self._made[key] = file, in_order
        return self._made[key]
