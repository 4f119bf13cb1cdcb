"""A grid in virtual time that a test sets up and drives step by step.

    grid = SimGrid(servers=10, k=3, n=10, rtt=0.05)
    grid.servers[3:].hang()
    assert grid.download("first-k").ttfb < 0.3

It has the same servers, faults and results as scenario files; see docs/python.md.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import inf
from types import TracebackType
from typing import Any, Literal, Self

from firstk.downloader import DownloadStatus
from firstk.downloader.text import message_of
from firstk.harness.explain.scene import Scene
from firstk.harness.grid.build import make_servers
from firstk.harness.grid.client_machine import ClientMachine
from firstk.harness.grid.files import file_of
from firstk.harness.grid.server import SimServer
from firstk.harness.grid.trace import Exchange
from firstk.harness.grid.untriggered import described, untriggered_faults, words
from firstk.harness.kernel.condition import ConditionNeverMetError
from firstk.harness.kernel.interrupt import interruptible
from firstk.harness.kernel.isolation import isolated, not_watched
from firstk.harness.kernel.livelock import LivelockError
from firstk.harness.kernel.lost_errors import observed
from firstk.harness.kernel.raised import error_name
from firstk.harness.kernel.reactor import SimReactor
from firstk.harness.kernel.rng import stream
from firstk.harness.kernel.watchdog import watchdog
from firstk.harness.run.download import SimulatedDownload
from firstk.harness.run.finish import Run, combine_failures, finish_run
from firstk.harness.run.result import Result
from firstk.harness.run.session import Session, drop_frames
from firstk.harness.run.under_test import DownloaderSpec, find_reader, name_of
from firstk.scenarios.faults import Fault, Operation
from firstk.scenarios.load import entry_from, from_tables
from firstk.scenarios.model import Scenario, groups_of
from firstk.scenarios.selection import MACHINE, selected

#: The maximum number of outstanding requests that a message lists.
_MOST_TOLD = 12


class ServerGroup:
    """Some servers of a grid. Each method applies to all of them, from now on.

    An index or a slice selects some of them, as for a list, and so does a name: `["s3"]`,
    `["0,3-5"]`. Times are in virtual seconds; `start` is when a fault begins (default now) and
    `end` when it ends (default never).
    """

    def __init__(self, grid: SimGrid, servers: Sequence[SimServer]) -> None:
        self._grid = grid
        self._servers = servers

    @property
    def names(self) -> list[str]:
        """The names of the servers: s0, s1 and so on."""
        return [server.name for server in self._servers]

    @property
    def outstanding(self) -> list[Exchange]:
        """The requests that the servers have not answered, in the order in which they were sent."""
        return [e for e in self._grid.outstanding if e.server in self.names]

    def hang(
        self,
        on: Operation | Sequence[Operation] = ("get_buckets", "read"),
        *,
        start: float | None = None,
        end: float | None = None,
    ) -> Self:
        """Keep the connection open but answer nothing until the fault ends."""
        operations = [on] if isinstance(on, str) else list(on)
        return self.fault("hung", on=operations, start=start, end=end)

    def slow(
        self,
        factor: float | None = None,
        *,
        extra: float | None = None,
        start: float | None = None,
        end: float | None = None,
    ) -> Self:
        """Multiply the round-trip times by `factor`, and add `extra` seconds."""
        return self.fault("slow", factor=factor, extra=extra, start=start, end=end)

    def corrupt(
        self, part: str = "block", *, start: float | None = None, end: float | None = None
    ) -> Self:
        """Return wrong bytes in one part of each share."""
        return self.fault("corrupt", part=part, start=start, end=end)

    def disconnect(self, *, start: float | None = None, end: float | None = None) -> Self:
        """Drop the connections: outstanding and later requests fail."""
        return self.fault("disconnect", start=start, end=end)

    def fault(self, kind: str, **keys: Any) -> Self:
        """Add a fault of any kind; the keys are those of a scenario file.

        A key that is None is left out. With `rolling`, the servers have the fault one after
        another, in their order here. Raises `ScenarioError` if there is no such fault.
        """
        given = {key: value for key, value in keys.items() if value is not None}
        table = {"kind": kind, "start": self._grid.now, **given}
        entry = entry_from({"select": "all", "fault": table}, self._grid.scenario)
        for fault in entry.faults or ():
            self._grid._added.append((fault, [(s, len(s.faults)) for s in self._servers]))
            for place, server in enumerate(self._servers):
                server.add_fault(fault.rolled(place))
        return self

    def heal(self, *, at: float | None = None) -> Self:
        """End all faults, now or at a given time, and answer the requests that were held.

        Faults that are added later are not affected.
        """
        for server in self._servers:
            server.heal(None if at is None else _finite(at))
        return self

    def hold(self, *shares: int) -> Self:
        """Make the servers hold copies of exactly the shares with these numbers.

        Reads of other shares fail, including those from buckets that were found before. Requests
        that a server has already begun to process are still answered. Raises `ScenarioError` if
        the file has no such share.
        """
        entry_from({"select": "all", "shares": list(shares)}, self._grid.scenario)
        file = self._grid.file
        held = {number: file.shares[number] for number in sorted(set(shares))}
        for server in self._servers:
            server.hold(file.cap.storage_index, held)
        return self

    def groups(self, kind: str | int) -> list[ServerGroup]:
        """Return the groups of a kind, such as "rack", or of a given number of consecutive servers.

        The groups are those of the grid's key `groups`, restricted to the servers in this group.
        Raises `ValueError` if there is no such kind.
        """
        scenario = self._grid.scenario
        if kind != MACHINE and isinstance(kind, str) and kind not in (scenario.grid.groups or {}):
            raise ValueError(f"no groups are called {kind!r}: `groups` of the grid has them")
        here = {server.name: server for server in self._servers}
        found = [
            [here[name] for number in one.servers if (name := f"s{number}") in here]
            for one in groups_of(kind, scenario.grid, scenario.servers)
        ]
        return [ServerGroup(self._grid, servers) for servers in found if servers]

    def __len__(self) -> int:
        return len(self._servers)

    def __iter__(self) -> Iterator[ServerGroup]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, which: int | slice | str) -> ServerGroup:
        if isinstance(which, str):
            numbers = selected(which, self._grid.scenario.grid.servers)
            chosen = {f"s{number}" for number in numbers}
            return ServerGroup(self._grid, [s for s in self._servers if s.name in chosen])
        if isinstance(which, slice):
            return ServerGroup(self._grid, self._servers[which])
        return ServerGroup(self._grid, [self._servers[which]])

    def __repr__(self) -> str:
        return f"<Servers {', '.join(self.names)}>"


class RunningDownload:
    """A download that has started in a grid. Times are in virtual seconds from its start."""

    def __init__(
        self, grid: SimGrid, download: SimulatedDownload, errors: Sequence[Exception]
    ) -> None:
        self._grid = grid
        self._download = download
        self._errors = errors
        self._run: Run | None = None

    def __repr__(self) -> str:
        ending = self._download.ending(queue_empty=False)
        if self._download.failure is not None:
            state = f"failed with {error_name(self._download.failure)}"
        elif self.done:
            state = "done"
        else:
            waiting = len(self._download.client.outstanding)
            state = f"under way, {waiting} requests without an answer"
        subject = name_of(self._download.strategy)
        return f"<RunningDownload {subject}: {state}, {ending.wrote} of {ending.asked} bytes>"

    @property
    def _wrong(self) -> list[BaseException]:
        """The errors of its timers so far, and the error that it failed with."""
        failure = self._download.failure
        return [*self._errors, *([] if failure is None else [failure])]

    def cancel(self) -> None:
        """Cancel the download as a player that seeks does: the consumer stops its producer."""
        with self._grid._watched():
            self._download.cancel()

    @property
    def done(self) -> bool:
        """Whether the download has ended, successfully or not."""
        return self._download.finished is not None

    @property
    def ttfb(self) -> float | None:
        """The time to first byte; None before the first byte."""
        return self._download.ending(queue_empty=False).first

    @property
    def buffered(self) -> int:
        """The number of bytes that the consumer has received and not yet drained."""
        return self._download.buffered

    @property
    def status(self) -> DownloadStatus | None:
        """The downloader's own status; None if it is not one of ours, or has not started."""
        return self._download.status

    def finish(self) -> Result:
        """Run all remaining events, including late answers, and return the result.

        If no events are left and the download has not ended, it has `stalled`. It is cut off at
        the grid's `deadline`, counted from its start.
        """
        if self._run is None:
            self._run = self._grid._finish(self._download, self._errors)
        return self._run.result


class GridNode:
    """A downloader in a grid that stays alive for several reads of its file.

    If the downloader has nodes, all reads use the same one; otherwise each read starts afresh.
    """

    def __init__(self, grid: SimGrid, downloader: DownloaderSpec) -> None:
        self._grid = grid
        self._reader = find_reader(downloader)
        self._session, self._errors = grid._session(downloader, grid.scenario)
        self._begun = 0

    def read(self, offset: int = 0, length: int | None = None) -> RunningDownload:
        """Start to read `length` bytes from `offset`; the default is the whole file.

        The result lists the requests of all reads of the node. Raises `ValueError` if the file
        does not have these bytes.
        """
        scenario = self._grid._asked(offset, length)
        download = SimulatedDownload(self._session, scenario, self._begun, self._reader.read)
        self._begun += 1
        return self._grid._start(download, self._errors)

    def close(self) -> None:
        """Close the node, if the downloader's node can be closed."""
        with self._grid._watched():
            self._session.context.run(self._reader.close)

    def __repr__(self) -> str:
        return f"<GridNode {name_of(self._session.strategy)}, {self._begun} reads>"


class SimGrid:
    """A storage grid in virtual time that stores one file.

    Server `i` holds share `i`, modulo the number of servers. `size` is the size of the file in
    bytes; `k` of its `n` shares are needed. `rtt` is the round-trip time in seconds, or the table
    of a latency law. `more` are other keys of `[grid]` and `[file]` in a scenario file:
    `segment_size`, `order`, `bandwidth` and so on. `seed` determines all random choices;
    `deadline` is when a download is cut off, in virtual seconds.

    `downloader` is the default of `start` and `download`. With `consumer_bandwidth`, the consumer
    of each download drains its buffer at that rate, in bytes/s; `client` is the table `[client]`.
    The attribute `timeout` limits the real time, in seconds, of each call that lets virtual time
    pass (default None: no limit); a download that takes longer fails with a `StuckError`.
    Raises `ScenarioError` if the grid is not valid.

    >>> with SimGrid(servers=10, k=3, n=10, rtt=0.05) as grid:
    ...     _ = grid.servers[3:].hang()
    ...     result = grid.download("first-k")
    >>> result.outcome, result.ttfb
    ('ok', 0.25)
    """

    def __init__(
        self,
        *,
        servers: int = 10,
        k: int = 3,
        n: int = 10,
        size: int = 40_000,
        rtt: float | Mapping[str, Any] = 0.05,
        seed: int = 0,
        deadline: float = 3600.0,
        downloader: DownloaderSpec | None = None,
        consumer_bandwidth: float | None = None,
        client: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        law = rtt if isinstance(rtt, Mapping) else {"law": "constant", "value": rtt}
        file = {"size": size, "k": k, "n": n}
        if "segment_size" in more:
            file["segment_size"] = more.pop("segment_size")
        grid = {"servers": servers, "rtt": law, **more}
        tables = {"name": "grid", "seed": seed, "deadline": deadline, "file": file, "grid": grid}
        if consumer_bandwidth is not None:
            tables["consumer"] = {"bandwidth": consumer_bandwidth}
        if client is not None:
            tables["client"] = dict(client)
        self._set_up(from_tables(tables), downloader)

    @classmethod
    def of(cls, scenario: Scenario, downloader: DownloaderSpec | None = None) -> Self:
        """Return the grid of a scenario, with the faults of its servers.

        Raises `ValueError` if the scenario has `[[reads]]`: a test makes its own reads, see `node`.
        """
        if scenario.reads is not None:
            raise ValueError(f"{scenario.name} has [[reads]]: a test makes its own, of `node()`")
        grid = cls.__new__(cls)
        grid._set_up(scenario, downloader)
        return grid

    def _set_up(self, scenario: Scenario, downloader: DownloaderSpec | None) -> None:
        self.scenario = scenario
        self.file = file_of(scenario)
        self.reactor = SimReactor()
        self._machine = ClientMachine(self.reactor.env, scenario.client)
        self.runs: list[Run] = []
        self.scenes: list[Scene] = []  # the final state of the download in each run
        self.timeout: float | None = None
        self._downloader = downloader
        self._subject = ""
        self._random = stream(scenario.seed, "client", "random")
        self._failures: list[BaseException] = []
        self._running: list[RunningDownload] = []
        # Faults, each with the servers that have it and its index among each server's faults.
        self._added: list[tuple[Fault, list[tuple[SimServer, int]]]] = []
        self._in_order = make_servers(scenario, scenario.seed, self.file, self.reactor)
        by_number = sorted(self._in_order, key=lambda server: int(server.name[1:]))
        self.servers = ServerGroup(self, by_number)
        self.reactor.startRunning(installSignalHandlers=False)

    @property
    def now(self) -> float:
        """The virtual time, in seconds."""
        return self.reactor.seconds()

    @property
    def outstanding(self) -> list[Exchange]:
        """The outstanding requests, in the order in which they were sent."""
        found = [e for server in self._in_order for e in server.outstanding]
        return sorted(found, key=lambda e: (e.sent, e.number))

    def start(
        self,
        downloader: DownloaderSpec | None = None,
        *,
        offset: int = 0,
        length: int | None = None,
        stop: Literal["located", "first-block", "complete"] | None = None,
    ) -> RunningDownload:
        """Start to download `length` bytes from `offset`; the default is the whole file.

        Raises `DownloaderError` if there is no such downloader, and `ValueError` if the file does
        not have these bytes.
        """
        subject = downloader or self._downloader
        if subject is None:
            raise TypeError("start() needs a downloader, or a strategy")
        asked = {"stop": stop or self.scenario.stop}
        scenario = self._asked(offset, length).model_copy(update=asked)
        session, errors = self._session(subject, scenario)
        return self._start(SimulatedDownload(session), errors)

    def node(self, downloader: DownloaderSpec | None = None) -> GridNode:
        """Return a downloader that stays alive for several reads of the file.

        Raises `DownloaderError` if the downloader is not found.
        """
        subject = downloader or self._downloader
        if subject is None:
            raise TypeError("node() needs a downloader, or a strategy")
        return GridNode(self, subject)

    def _asked(self, offset: int, length: int | None) -> Scenario:
        """Return the scenario that reads these bytes; raise `ValueError` if the file lacks them."""
        rest = self.file.cap.size - offset
        if offset < 0 or not 0 <= (rest if length is None else length) <= rest:
            what = f"{'all' if length is None else length} bytes from {offset} on"
            raise ValueError(f"{what}: the file has {self.file.cap.size}")
        file = self.scenario.file
        if offset or length is not None:
            file = file.model_copy(update={"offset": offset, "length": length})
        return self.scenario.model_copy(update={"file": file})

    def _session(
        self, subject: DownloaderSpec, scenario: Scenario
    ) -> tuple[Session, list[Exception]]:
        """Return a session of a downloader, and the list that collects the errors of its timers."""
        errors: list[Exception] = []
        session = Session(
            scenario,
            scenario.seed,
            subject,
            self.reactor,
            self.file,
            self._in_order,
            failed=errors.append,
            machine=self._machine,
            listens=scenario.stop == "located",
        )
        return session, errors

    def _start(self, download: SimulatedDownload, errors: Sequence[Exception]) -> RunningDownload:
        gc.freeze()  # so that later collections only scan what the download leaves behind
        self._subject = name_of(download.strategy)
        running = RunningDownload(self, download, errors)
        self._running.append(running)
        with self._watched():
            download.start()
        return running

    def download(self, downloader: DownloaderSpec | None = None, **asked: Any) -> Result:
        """Start a download, finish it, and return its result."""
        return self.start(downloader, **asked).finish()

    def finish(self) -> list[Result]:
        """Finish all downloads, and return their results in the order of their starts."""
        return [running.finish() for running in self._running]

    def advance(self, seconds: float) -> None:
        """Run all events that are due within `seconds`, and advance the clock by that much."""
        self.advance_to(self.now + _finite(seconds))

    def advance_to(self, time: float) -> None:
        """Run all events that are due by `time`, in virtual seconds, and set the clock to it."""
        self.reactor.env.at(max(_finite(time), self.now), lambda _: None)
        self._step_while(lambda: self.reactor.peek() <= time)

    def until(self, condition: Callable[[], object]) -> None:
        """Run events one by one until `condition()` is true.

        Raises `ConditionNeverMetError` if it is still false when no events are left, or at the
        grid's `deadline`, counted from now.
        """
        __tracebackhide__ = True  # pytest shows the test's own line
        latest = self.now + self.scenario.deadline

        def goes_on() -> bool:
            with not_watched():  # the condition is the test's own code
                met = condition()
            return not met and self.reactor.peek() <= latest

        self._step_while(goes_on)
        if not condition():
            errors = self._errors()
            message = self._never(self.reactor.peek() == inf, errors)
            raise ConditionNeverMetError(message) from (errors[0] if errors else None)

    def _errors(self) -> list[BaseException]:
        """Return the errors of downloads that no result has reported yet."""
        going = [running for running in self._running if running._run is None]
        own = [error for running in going for error in running._wrong]
        return _without([*self._failures, *self.reactor.errors], own) + own

    def _never(self, dry: bool, errors: Sequence[BaseException]) -> str:
        why = "no events left" if dry else "deadline reached"
        outstanding = self.outstanding
        waiting = ", ".join(map(_words, outstanding[:_MOST_TOLD])) or "none"
        if len(outstanding) > _MOST_TOLD:
            waiting += f" and {len(outstanding) - _MOST_TOLD} more"
        raised = "".join(f"; {type(error).__name__}: {message_of(error)}" for error in errors)
        return (
            f"the condition never became true: {why} at {self.now:.6g} s;"
            f" outstanding requests: {waiting}{raised}"
        )

    def _step_while(self, condition: Callable[[], bool]) -> None:
        with self._watched():
            while condition():
                self.reactor.step()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Collect errors that no Deferred reports, and attempts to escape from the simulation."""
        with (
            watchdog(self.reactor, self.timeout, self._failures),
            interruptible(self.reactor),
            observed(self._failures),
            isolated(
                self._subject,
                lambda: self._random,
                self._failures,
                clock=self._machine.read_clock,
            ),
        ):
            try:
                yield
            except LivelockError as e:
                self._failures.append(e)

    def _finish(self, download: SimulatedDownload, errors: Sequence[Exception]) -> Run:
        latest = download.started + self.scenario.deadline
        try:
            with self._watched():
                while self.reactor.peek() <= latest:
                    self.reactor.step()
                gc.collect()  # a Deferred reports its failure when it is collected
        finally:
            gc.unfreeze()
        # An error known to belong to another download is not reported for this one.
        known = [error for running in self._running for error in running._wrong]
        failures = [*errors, *_without([*self._failures, *self.reactor.errors], known)]
        self._failures.clear()
        self.reactor.errors.clear()
        scene = Scene()
        scene.look(download)
        if download.failure is not None:
            drop_frames(download.failure)
        run = finish_run(
            download.scenario,
            download.strategy,
            0,
            download.scenario.seed,
            download.trace,
            download.ending(queue_empty=self.reactor.peek() == inf),
            failures,
        )
        self.runs.append(run)
        self.scenes.append(scene)
        return run

    def under_way(self) -> list[tuple[Run, float]]:
        """Return the unfinished downloads in their current state, each with the time it has run.

        These are the downloads whose `finish` was not called. The outcome of one that has not ended
        is "deadline", or "stalled" if no events are left.
        """
        found, dry = [], self.reactor.peek() == inf
        for running in self._running:
            if running._run is None:
                download = running._download
                run = finish_run(
                    download.scenario,
                    download.strategy,
                    0,
                    download.scenario.seed,
                    download.trace,
                    download.ending(dry),
                    running._errors,
                )
                found.append((run, self.now - download.started))
        return found

    def untriggered_faults(self) -> list[str]:
        """Return a sentence for each fault that met no request; none if no download was started."""
        if not self._subject:
            return []
        found = list(described(self.scenario, untriggered_faults(self.scenario, self._in_order)))
        for fault, places in self._added:
            if not any(place in server.met_faults() for server, place in places):
                found.append(words(fault, [server.name for server, _ in places]))
        return found

    def close(self) -> None:
        """Shut the reactor down, which ends what a downloader has set up for the life of the grid.

        Raises the errors of downloads whose results were not requested.
        """
        gc.unfreeze()
        if self.reactor.running:
            with interruptible(self.reactor):
                self.reactor.stop()
                self.reactor.mainLoop()
        unreported = combine_failures(self._errors())
        self._failures.clear()
        self.reactor.errors.clear()
        self._running.clear()
        if unreported is not None:
            raise unreported

    def __repr__(self) -> str:
        downloads = len(self._running)
        return (
            f"<SimGrid of {len(self.servers)} servers at {self.now:.6g} s, {downloads} downloads>"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except Exception:
            if error is None:  # otherwise that error is reported
                raise


def _without(
    errors: Sequence[BaseException], known: Sequence[BaseException]
) -> list[BaseException]:
    return [error for error in errors if not any(error is other for other in known)]


def _finite(time: float) -> float:
    if not -inf < time < inf:
        raise ValueError(f"{time} is not a time in seconds")
    return time


def _words(exchange: Exchange) -> str:
    what = exchange.operation if exchange.share is None else f"read of share {exchange.share}"
    return f"{exchange.server} ({what} at {exchange.sent:.6g} s)"
