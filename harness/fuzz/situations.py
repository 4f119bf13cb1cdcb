"""The situations that a download has been in: the coverage measure of fuzzing.

Coverage of lines is no use for a downloader, whose few lines run in every download. What matters is
the phase it was in when something happened, the fault of the server where it happened, how many
spare good shares were left, and which request was overdue.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

from firstk.harness.fuzz.observed import ScenarioRuns
from firstk.harness.grid.trace import Exchange, Trace
from firstk.scenarios.faults import Operation

#: A request is overdue after this many times the median time of an answer.
_LATE = 4.0

#: The largest number of spare shares that is distinguished.
_MOST_SPARE = 2


class Situation(NamedTuple):
    """What a download met: an event, its phase, the server's faults, spare shares, what is late.

    `spare` is the number of good shares beyond K on servers without a failure so far: from -1 for
    fewer than K up to 2 for two or more.
    """

    event: str
    phase: str
    faults: str
    spare: int
    overdue: str


def situations(case: ScenarioRuns) -> set[Situation]:
    """Return the situations in the runs that a scenario has had so far."""
    return {one for run in case.runs for one in _of_run(case, run.trace)}


def _of_run(case: ScenarioRuns, trace: Trace) -> Iterator[Situation]:
    patience = _LATE * median(
        [e.ended - e.sent for e in trace.exchanges if e.ended is not None] or [0.0]
    )
    k = case.file.cap.k
    good, spare = set(case.plans), _spare(case, set(case.plans), k)
    outstanding: dict[Operation, dict[Exchange, None]] = {"get_buckets": {}, "read": {}}
    phase = "locating"
    for event in trace.events:
        exchange = event.exchange
        if exchange is None:
            phase = "writing" if event.kind == "wrote" else phase
            continue
        if event.kind == "sent":
            outstanding[exchange.operation][exchange] = None
            if phase == "locating" and exchange.operation == "read":
                phase = "reading"
            continue
        del outstanding[exchange.operation][exchange]
        if (event.kind == "failed" or exchange.corrupt) and exchange.server in good:
            good.discard(exchange.server)
            spare = _spare(case, good, k)
        faults = case.plans[exchange.server].faults
        yield Situation(
            f"{exchange.operation} {event.kind}",
            phase,
            " ".join(sorted({fault.kind for fault in faults if fault.active(event.time)})),
            spare,
            " ".join(
                operation
                for operation, waiting in outstanding.items()
                if event.time - next((e.sent for e in waiting), event.time) > patience
            ),
        )


def _spare(case: ScenarioRuns, servers: set[str], k: int) -> int:
    return max(-1, min(_MOST_SPARE, len(case.numbers(servers)) - k))
