"""Queues with a known capacity, in place of a simulated grid."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from firstk.harness.capacity.runs import Job
from firstk.harness.capacity.steady import Load
from firstk.scenarios.workload import Closed, FixedRate, Poisson
from tests.reports.loads import load


def queue(places: int, mean: float) -> Callable[[Sequence[Job]], list[Load]]:
    """Return a function that runs an M/M/c queue with c `places` and this mean service time."""

    def run(job: Job) -> Load:
        workload = job.scenario.workload
        assert workload is not None
        random = Random(job.run)
        free = [0.0] * places
        arrival, ends, times = 0.0, list[float](), list[float | None]()
        begins = list[float]()
        used = 0.0
        for number in range(workload.last):
            arrivals = workload.arrivals
            if isinstance(arrivals, Closed):
                arrival = ends[-1] if ends else 0.0
            else:
                assert isinstance(arrivals, Poisson | FixedRate)
                arrival += random.expovariate(arrivals.rate)
            service = random.expovariate(1 / mean)
            begin = max(arrival, heapq.heappop(free))
            heapq.heappush(free, begin + service)
            begins.append(arrival)
            ends.append(begin + service)
            if number >= workload.warmed_up:
                times.append(begin + service - arrival)
                used += service
        first = begins[workload.warmed_up]
        span = max(ends) - first

        def in_progress(at: float) -> int:
            return sum(begin < at for begin in begins) - sum(end <= at for end in ends)

        return replace(
            load(times, min(1.0, used / places / span)),
            span=span,
            piled_up=in_progress(begins[-1]) + 1 - in_progress(first),
        )

    return lambda jobs: [run(job) for job in jobs]
