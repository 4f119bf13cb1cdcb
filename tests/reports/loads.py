"""Runs of workloads whose downloads have given times."""

from __future__ import annotations

from collections.abc import Sequence

from firstk.harness.run.sample import CRASHED, Sample
from firstk.harness.run.workload_result import WorkloadResult
from firstk.harness.stats.histogram import Histogram


def load(times: Sequence[float | None], utilisation: float | None = None) -> WorkloadResult:
    """Return a run whose downloads have these times to first byte; None is a stall."""
    counted = Histogram()
    for time in times:
        counted.add(time)
    return WorkloadResult(
        scenario="s",
        strategy="hedged",
        run=0,
        seed=0,
        downloads=len(times),
        outcomes={"ok": len(times) - counted.never, "stalled": counted.never},
        errors={},
        message=None,
        strays=0,
        located=counted,
        ttfb=counted,
        finished=counted,
        requests=12.0,
        bytes_received=1.0,
        content_ok=True,
        span=1.0,
        in_system=1.0,
        piled_up=0,
        utilisation=utilisation,
        digest="",
    )


def sample(of: WorkloadResult | None) -> Sample:
    """Return a run as a store has it; None is one that crashed."""
    outcome = CRASHED if of is None else of.outcome
    return Sample(0, outcome, None, None, None, None, None, None if of is None else True, of)


def parted(good: int, downloads: int = 100, time: float = 0.1) -> WorkloadResult:
    """Return a run with `good` downloads that have this time; the others never start."""
    return load([time] * good + [None] * (downloads - good))
