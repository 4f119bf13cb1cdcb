"""The work of a sweep's worker: it runs a batch of runs, one after the other.

A batch and its result are plain data, so a batch can be run in any process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from threading import Lock
from time import perf_counter

from firstk.harness.kernel.raised import AbortedError
from firstk.harness.run.sample import CRASHED
from firstk.harness.run.simulate import simulate
from firstk.harness.run.workload import OverloadError, simulate_workload
from firstk.harness.sweep.rows import Row, RunKey, overloaded, row_of, row_of_load
from firstk.scenarios.model import Scenario


class OtherVersionError(RuntimeError):
    """A worker has a different version of firstk from the process that sends the batches."""


@dataclass(frozen=True, slots=True)
class BatchPart:
    """Runs of one scenario; its seed is the seed of run 0."""

    scenario: Scenario
    places: Sequence[RunKey]


@dataclass(frozen=True, slots=True)
class Batch:
    """Runs of one or more scenarios, for workers with this version of firstk."""

    parts: Sequence[BatchPart]
    version: str


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The rows of a part, and the real time that it took, in seconds."""

    rows: Sequence[Row]
    seconds: float


#: Allows one simulation at a time, since the workers of a cluster may have several threads: a run
#: inspects all the garbage of its process, and everything that reaches Twisted's log.
_alone = Lock()


def run_batch(batch: Batch) -> list[BatchResult]:
    """Run a batch, part by part; raise `DownloaderError` if a downloader cannot be loaded here."""
    here = version("firstk")
    if here != batch.version:
        raise OtherVersionError(f"a worker has firstk {here}, and this is firstk {batch.version}")
    done = []
    with _alone:
        for part in batch.parts:
            begun = perf_counter()
            rows = [_run(part.scenario, place, here) for place in part.places]
            done.append(BatchResult(rows, perf_counter() - begun))
    return done


def _run(scenario: Scenario, place: RunKey, here: str) -> Row:
    try:
        if scenario.workload is not None:
            return row_of_load(place, simulate_workload(scenario, place.strategy, place.run), here)
        run = simulate(scenario, place.strategy, place.run)
        if isinstance(run.failure, AbortedError):
            return crashed(place, here, f"{run.result.error}: {run.result.message}")
        return row_of(place, run.result, here)
    except OverloadError as e:
        return overloaded(place, str(e), here)


def crashed(place: RunKey, version: str, error: str | None = None) -> Row:
    """Return the row of a run without a result: it ended its process, or was aborted."""
    return Row(*place, version=version, outcome=CRASHED, error=error)
