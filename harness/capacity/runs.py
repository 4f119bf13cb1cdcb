"""The runs of a search for a capacity: one client alone, and loads at one rate after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from math import ceil, sqrt

from firstk.harness.capacity.steady import OVERLOADED, TOLERANCE, Load
from firstk.harness.run.workload import OverloadError, simulate_workload
from firstk.harness.sweep.workers import Pool, WorkersError
from firstk.scenarios.model import Scenario
from firstk.scenarios.workload import Closed, FixedRate, Poisson, Workload

#: The number of independent runs at each rate.
RUNS = 8

#: The number of downloads that count in the shortest runs.
DOWNLOADS = 100

#: The most looks at a rate, and how many times as many downloads each takes as the one before. If
#: the longest runs do not show a verdict, there is none. Runs of `_LONG` downloads or more, which
#: take minutes, are left out, unless they are the shortest.
LOOKS = 4
_LONGER = 3
_LONG = 3_000

#: The number of downloads of one client alone.
_ALONE = 30

#: How many times the unloaded duration of a download the warm-up takes, at least.
_SETTLED = 4

#: A download is given up after this many times the duration of its run, in virtual time.
_PATIENCE = 4

#: The number of downloads in progress at which a run is ended, relative to the number that count.
#: A run begins 1.5 of these, and a grid that carries the load has at most an eighth of them in
#: progress (see `lengths`).
_CLEARLY = 1 / 8 + 1.5 * OVERLOADED

#: The most downloads that count in a run.
_MOST_DOWNLOADS = 20_000


class CapacityError(ValueError):
    """A scenario has no capacity that can be found; the message says why."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run to make: a scenario, a strategy and the number of the run.

    `timed` says whether the times of the downloads are of interest.
    """

    scenario: Scenario
    strategy: str
    run: int
    timed: bool


#: Makes runs, in order.
MakeRuns = Callable[[Sequence[Job]], list[Load]]


def make(job: Job) -> Load:
    """Make one run; return None if too many downloads are in progress."""
    try:
        return simulate_workload(job.scenario, job.strategy, job.run, keep_loaded=job.timed)
    except OverloadError:
        return None


def make_here(jobs: Sequence[Job]) -> list[Load]:
    """Make runs in this process."""
    return [make(job) for job in jobs]


class MakeInPool:
    """Makes runs in the processes of a pool; raises `WorkersError` if one of them dies."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def __call__(self, jobs: Sequence[Job]) -> list[Load]:
        """Make runs, several at a time."""
        try:
            futures = [self._pool.call(make, job) for job in jobs]
            return [future.result() for future in futures]
        except BrokenProcessPool as e:
            what = f"{jobs[0].scenario.name} with {jobs[0].strategy}"
            raise WorkersError(f"a run of {what} ended its process: {e}") from e


@dataclass(frozen=True, slots=True)
class Alone:
    """What one client at a time measures: a grid without a load.

    `seconds` is the mean duration of a download, and `work` how long a download keeps the busiest
    resource busy, also in seconds.
    """

    seconds: float
    work: float

    @property
    def rate(self) -> float:
        """The rate at which the busiest resource would always be busy."""
        return 1 / self.work


def measure_alone(scenario: Scenario, strategy: str, make_runs: MakeRuns) -> Alone:
    """Return what one client alone measures.

    Raises `CapacityError` if nothing in the grid has a limit, or if downloads take so long, or
    never end, that no run can show a steady state.
    """
    load = _open_workload(scenario)
    closed = load.model_copy(
        update={
            "arrivals": Closed(kind="closed", clients=1),
            "downloads": _ALONE,
            "warmup": 0,
            "max_under_way": None,
        }
    )
    (found,) = make_runs([Job(_with(scenario, closed), strategy, 0, timed=True)])
    if found is None or not found.utilisation or not found.span:
        raise CapacityError(
            "no load saturates this grid, since nothing in it has a limit: give the servers a"
            " `service` time and a `concurrency`, or a `bandwidth`, or set `client_bandwidth`"
        )
    alone = Alone(found.span / found.downloads, found.utilisation * found.span / found.downloads)
    if _SETTLED * alone.seconds * alone.rate > _MOST_DOWNLOADS:
        endless = found.outcomes.get("deadline", 0) + found.outcomes.get("stalled", 0)
        why = f", since {endless} of {found.downloads} never end" if endless else ""
        raise CapacityError(
            f"a download with {strategy} takes {alone.seconds:.3g} s on average even without a"
            f" load{why}: too long to reach a steady state in {_MOST_DOWNLOADS:,} downloads"
        )
    return alone


def lengths(rate: float, alone: Alone) -> list[int]:
    """Return how many downloads count in the runs of each look at a rate.

    The warm-up, half as many, is long enough for downloads to end as often as they begin. The
    shortest runs are long enough for the random number of downloads in progress to hide no more
    than the tolerated share.
    """
    in_progress = rate * alone.seconds
    enough = max(DOWNLOADS, 2 * _SETTLED * in_progress, 2 * sqrt(in_progress) / TOLERANCE)
    first = min(ceil(enough), _MOST_DOWNLOADS)
    longer = [first * _LONGER**look for look in range(1, LOOKS)]
    return [first, *(one for one in longer if one < _LONG)]


def jobs_at(
    rate: float, downloads: int, scenario: Scenario, strategy: str, *, timed: bool
) -> list[Job]:
    """Return the runs at a rate: `RUNS` of them, each with this number of downloads that count.

    A run is ended once the number of downloads in progress shows that the grid does not carry the
    load: the rest of it would show nothing new.
    """
    load = _open_workload(scenario)
    warmup = downloads // 2
    changed = load.model_copy(
        update={
            "arrivals": load.arrivals.model_copy(update={"rate": rate}),
            "downloads": downloads,
            "warmup": warmup,
            "max_under_way": min(load.most_under_way, ceil(downloads * _CLEARLY)),
        }
    )
    patience = _PATIENCE * (downloads + warmup) / rate
    made = _with(scenario, changed)
    made = made.model_copy(update={"deadline": min(scenario.deadline, patience)})
    return [Job(made, strategy, run, timed) for run in range(RUNS)]


def _open_workload(scenario: Scenario) -> Workload:
    """Return the workload whose rate is sought; by default Poisson arrivals."""
    load = scenario.workload
    if load is None:
        return Workload(arrivals=Poisson(kind="poisson", rate=1.0), downloads=DOWNLOADS)
    if isinstance(load.arrivals, Poisson | FixedRate):
        return load
    raise CapacityError(
        f"workload.arrivals are {load.arrivals}, and have no rate to search: take"
        ' kind = "poisson" or "fixed"'
    )


def _with(scenario: Scenario, load: Workload) -> Scenario:
    return scenario.model_copy(update={"workload": load, "expect": {}})
