"""Running one download: from a scenario, a strategy and a seed to a result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import inf

from firstk.harness.grid.build import make_servers
from firstk.harness.grid.client_machine import ClientMachine
from firstk.harness.grid.files import file_of
from firstk.harness.grid.trace import Trace
from firstk.harness.grid.untriggered import Unmet, untriggered_faults
from firstk.harness.kernel.interrupt import interruptible
from firstk.harness.kernel.isolation import isolated
from firstk.harness.kernel.lost_errors import logged_errors
from firstk.harness.kernel.reactor import SimReactor
from firstk.harness.kernel.rng import stream
from firstk.harness.kernel.watchdog import check_timeout, watchdog
from firstk.harness.run.download import DownloadOutcome, SimulatedDownload
from firstk.harness.run.finish import Run, finish_reads, finish_run
from firstk.harness.run.reads import SimulatedReads
from firstk.harness.run.session import Session
from firstk.harness.run.under_test import DownloaderError, DownloaderSpec, name_of
from firstk.scenarios.model import Scenario
from firstk.scenarios.transport import TAHOE_HTTPS


def simulate(
    scenario: Scenario, strategy: DownloaderSpec, run: int = 0, timeout: float | None = None
) -> Run:
    """Run one download in virtual time, with the scenario's seed for this run.

    `strategy` is one of firstk's strategies, or another downloader: `package.module:callable`,
    `tahoe`, or the callable itself. `run` is the number of the run, starting at 0. After `timeout`
    seconds of real time the run fails with a `StuckError`. A timeout requires the main thread and
    a system with `signal.setitimer`; otherwise `RuntimeError` is raised.

    Raises `DownloaderError` if the downloader is not found or cannot be tested, and `ValueError` if
    the scenario has a workload: use `firstk run` for it.

    >>> from firstk.scenarios.library import load_all
    >>> (scenario,) = load_all(["one-hung"])
    >>> simulate(scenario, "first-k").result.ttfb
    0.25
    >>> simulate(scenario, "wait-for-all").result.outcome
    'stalled'
    """
    return observe(scenario, strategy, run, timeout)


def observe(
    scenario: Scenario,
    strategy: DownloaderSpec,
    run: int = 0,
    timeout: float | None = None,
    look: Callable[[SimulatedDownload], None] = lambda download: None,
    *,
    sources: bool = False,
) -> Run:
    """Run one download as `simulate` does, and pass it to `look` at the end.

    `look` is called when no more events happen, before the simulation is discarded. With `sources`,
    the trace has the line that sent each request, for firstk's strategies too.
    """
    if scenario.workload is not None:
        raise ValueError(f"{scenario.name} has a [workload]: it is not a single download")
    check_timeout(timeout)
    seed = scenario.seed_of(run)
    if scenario.grid.transport == TAHOE_HTTPS:
        return _over_https(scenario, strategy, run, seed, timeout)
    failures: list[BaseException] = []
    with logged_errors(failures, scenario.grid.servers):
        trace, endings, unmet = _play(scenario, strategy, seed, failures, timeout, look, sources)
    if scenario.reads is not None:
        return finish_reads(scenario, strategy, run, seed, trace, endings, failures, unmet)
    return finish_run(scenario, strategy, run, seed, trace, endings[0], failures, unmet)


def _over_https(
    scenario: Scenario, strategy: DownloaderSpec, run: int, seed: int, timeout: float | None
) -> Run:
    """Run one download over Tahoe-LAFS's own HTTP; see `over_https`."""
    # Errors of servers reach Twisted's log too, so ignore it: `play` returns the client's errors.
    try:
        from firstk.harness.run.over_https import play
    except ModuleNotFoundError as e:
        raise DownloaderError(
            f'transport = "{TAHOE_HTTPS}": Tahoe-LAFS is not there ({e}); to install it:'
            " pip install 'firstk[tahoe]'"
        ) from e
    with logged_errors([]):
        played = play(scenario, strategy, seed, file_of(scenario), timeout)
    common = scenario, strategy, run, seed, played.trace
    if scenario.reads is not None:
        made = finish_reads(*common, played.outcomes, played.failures, played.untriggered_faults)
    else:
        made = finish_run(*common, played.outcomes[0], played.failures, played.untriggered_faults)
    return replace(made, network=played.network)


def _play(
    scenario: Scenario,
    strategy: DownloaderSpec,
    seed: int,
    failures: list[BaseException],
    timeout: float | None,
    look: Callable[[SimulatedDownload], None],
    sources: bool,
) -> tuple[Trace, list[DownloadOutcome], Unmet]:
    """Run the simulation, and return what is kept of it: not the reactor, nor the grid."""
    reactor = SimReactor()
    file = file_of(scenario)
    servers = make_servers(scenario, seed, file, reactor)
    machine = ClientMachine(reactor.env, scenario.client)
    listens = scenario.stop == "located"
    given = scenario, seed, strategy, reactor, file, servers
    session = Session(*given, machine=machine, listens=listens, sources=sources)
    reads = None if scenario.reads is None else SimulatedReads(session)
    start = SimulatedDownload(session).start if reads is None else reads.start
    reactor.callWhenRunning(start)
    try:
        with (
            watchdog(reactor, timeout, failures),
            interruptible(reactor),
            isolated(
                name_of(strategy),
                partial(stream, seed, "client", "random"),
                failures,
                clock=machine.read_clock,
            ),
        ):
            reactor.run(installSignalHandlers=False, until=scenario.deadline)
    except ExceptionGroup as e:
        failures += e.exceptions
    except Exception as e:
        failures.append(e)
    for one in _shown(session.downloads):
        look(one)
    session.drop_frames()
    idle = reactor.peek() == inf
    if reads is not None:
        failures += reads.errors
    endings = reads.endings(idle) if reads else [one.ending(idle) for one in session.downloads]
    session.trace.closed = True
    return session.trace, endings, untriggered_faults(scenario, servers)


def _shown(downloads: Sequence[SimulatedDownload]) -> Sequence[SimulatedDownload]:
    """Return the download that shows what went wrong: the first unfinished one, or the last."""
    left = [one for one in downloads if one.finished is None]
    return left[:1] or downloads[-1:]
