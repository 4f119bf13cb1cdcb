"""A run as its invariants see it: through the records of the simulated servers and the consumer.

Nothing here relies on what a downloader reports, so all of it fits any downloader.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from math import inf

from firstk.downloader.strategy import Strategy, find_strategy
from firstk.harness.fuzz.rereads import Reread, rereads
from firstk.harness.grid.build import ServerSpec, server_specs
from firstk.harness.grid.files import file_of
from firstk.harness.grid.trace import Exchange
from firstk.harness.kernel.escapes import EscapeError
from firstk.harness.kernel.raised import AbortedError
from firstk.harness.run.bound import Bound, bound
from firstk.harness.run.finish import Run
from firstk.harness.run.result import Result
from firstk.harness.run.simulate import simulate
from firstk.harness.run.under_test import MisconductError, is_external
from firstk.scenarios.faults import Fault, Operation
from firstk.scenarios.model import MadeUpFile, Scenario


class ScenarioRuns:
    """One run of a scenario with each of its subjects, and what is known about it beforehand.

    A subject is the name of a strategy or of another downloader, as in `Scenario.with_runs`.
    Each run takes at most `timeout` seconds of real time, if given; see `simulate`.
    """

    def __init__(self, scenario: Scenario, number: int = 0, timeout: float | None = None) -> None:
        self.scenario = scenario
        self.timeout = timeout
        self.number = number
        self.seed = scenario.seed_of(number)
        self.file = file_of(scenario)
        self.plans = {p.name: p for p in server_specs(scenario, self.seed, self.file.shares)}
        self._runs: dict[str, Run] = {}

    def run(self, subject: str) -> Run:
        """Return the run with this subject."""
        if subject not in self._runs:
            self._runs[subject] = self.run_again(subject)
        return self._runs[subject]

    def run_again(self, subject: str) -> Run:
        """Return a new run with this subject."""
        return simulate(self.scenario, subject, self.number, self.timeout)

    @property
    def runs(self) -> list[Run]:
        """The runs that have been made so far, those of the scenario's subjects first."""
        return list(self._runs.values())

    @cached_property
    def bound(self) -> Bound:
        """The clairvoyant bound on all strategies and all downloads of its class."""
        return bound(self.scenario, self.number)

    @cached_property
    def honest(self) -> bool:
        """Whether the file and its shares are known to be valid."""
        return isinstance(self.scenario.file, MadeUpFile)

    @cached_property
    def steady(self) -> set[str]:
        """The servers that eventually answer every request correctly."""
        return {name for name, plan in self.plans.items() if self.honest and _is_steady(plan)}

    @cached_property
    def well(self) -> set[str]:
        """The servers without any fault."""
        return {name for name, plan in self.plans.items() if self.honest and not plan.faults}

    @cached_property
    def queues(self) -> bool:
        """Whether requests may have to wait for one another."""
        plans = self.plans.values()
        return bool(
            self.scenario.grid.client_bandwidth
            or any(p.bandwidth or p.service for p in plans)
            or any(fault.throttles for plan in plans for fault in plan.faults)
        )

    def numbers(self, servers: set[str]) -> set[int]:
        """Return the distinct numbers of the shares on some servers."""
        return {number for name in servers for number in self.plans[name].shares}


def _is_steady(plan: ServerSpec) -> bool:
    return all(
        f.kind == "slow" or (f.kind == "hung" and f.end is not None and f.fails_after is None)
        for f in plan.faults
    )


def hangs(plan: ServerSpec, operation: Operation, share: int | None = None) -> bool:
    """Return whether the server may leave such a request unanswered forever.

    Without a `share`, this is about a read of any share.
    """

    def silent(fault: Fault) -> bool:
        if fault.holds("connect"):
            return True
        stalls = fault.kind == "stall" and operation == "read"
        concerned = share is None or fault.concerns(operation, share)
        return (fault.holds(operation) or stalls) and concerned

    return any(f.end is None and silent(f) for f in plan.faults)


class CheckedRun:
    """One run with one subject, and what the servers have recorded about it.

    `run` is made unless it is given. `other` is True if the subject is another downloader.
    """

    def __init__(self, case: ScenarioRuns, subject: str, run: Run | None = None) -> None:
        self.case = case
        self.subject = subject
        self.other = is_external(subject)
        self.run = run or case.run(subject)

    @cached_property
    def strategy(self) -> Strategy:
        """The strategy; raises `ValueError` for another downloader."""
        return find_strategy(self.subject)

    @property
    def several(self) -> bool:
        """Whether the scenario has several reads of the file."""
        return self.case.scenario.reads is not None

    @property
    def result(self) -> Result:
        """The result of the run."""
        return self.run.result

    @cached_property
    def phased(self) -> bool:
        """Whether locating ends before reading begins."""
        return self.strategy.locating_ends != "never"

    @cached_property
    def end(self) -> str | None:
        """How its Deferred ended: "fired" or "raised"; None if it never did.

        Of several reads, one that never ended counts first, then one that raised.
        """
        if self.several:
            outcomes = set(self._read_outcomes())
            if outcomes & {"stalled", "deadline"}:
                return None
            return "raised" if "failed" in outcomes else "fired"
        kinds = (event.kind for event in self.run.trace.events)
        return next((kind for kind in kinds if kind in ("fired", "raised")), None)

    def _read_outcomes(self) -> Iterator[str]:
        """Yield the outcomes of the reads that must end: not of those that were cancelled."""
        blocked = False  # whether a read waits for the end of one that was cancelled
        reads = self.case.scenario.reads or ()
        for read, outcome in zip(reads, self.result.outcomes or (), strict=True):
            if read.start is None and blocked:
                continue
            blocked = read.cancel is not None and outcome in ("stalled", "deadline")
            if not blocked:
                yield outcome

    @property
    def aborted(self) -> bool:
        """Whether the run was aborted because of what the downloader did."""
        return isinstance(self.run.failure, AbortedError | EscapeError)

    @property
    def stalled(self) -> bool:
        """Whether no events were left and the download had not ended."""
        # A run in which an error was logged counts as failed, whatever the download did.
        return self.end is None and not self.aborted and self.run.idle

    @cached_property
    def logged(self) -> Exception | None:
        """The error that was raised in a callback or a timer, or logged, apart from the result."""
        error = self.run.failure
        beside = error is not None and self.end != "raised" and not self.aborted
        return error if beside and not isinstance(error, MisconductError) else None

    @cached_property
    def stopped(self) -> bool:
        """Whether the consumer has stopped the download, at the first byte."""
        return self.case.scenario.stop != "complete" and self.wrote > 0

    @cached_property
    def asked(self) -> int:
        """The number of bytes that were requested."""
        file = self.case.scenario.file
        rest = max(0, self.case.file.cap.size - file.offset)
        return rest if file.length is None else min(rest, file.length)

    @cached_property
    def rereads(self) -> list[Reread]:
        """The repeated reads of bytes, without a failure in between; see `rereads`."""
        return rereads(self.run.trace)

    @cached_property
    def all_rereads(self) -> list[Reread]:
        """The repeated reads in the strict sense of `rereads`."""
        return rereads(self.run.trace, strict=True)

    @cached_property
    def queries(self) -> list[Exchange]:
        """The requests for buckets."""
        return [e for e in self.run.trace.exchanges if e.operation == "get_buckets"]

    @cached_property
    def reads(self) -> dict[tuple[str, int | None], list[Exchange]]:
        """The reads of each share, by its server and number."""
        reads: dict[tuple[str, int | None], list[Exchange]] = {}
        for exchange in self.run.trace.exchanges:
            if exchange.operation == "read":
                reads.setdefault((exchange.server, exchange.share), []).append(exchange)
        return reads

    @cached_property
    def silent(self) -> list[Exchange]:
        """The requests that were still outstanding when the run ended."""
        return [e for e in self.run.trace.exchanges if e.ended is None]

    @cached_property
    def shown(self) -> list[tuple[float, str, set[int]]]:
        """The successful answers to queries: the time, the server, and its shares."""
        return sorted(
            (e.ended, e.server, set(e.shares))
            for e in self.queries
            if e.ended is not None and e.ok and e.shares
        )

    @cached_property
    def known(self) -> float | None:
        """When K distinct share numbers were known; None if they never were."""
        numbers: set[int] = set()
        for time, _, shares in self.shown:
            numbers |= shares
            if len(numbers) >= self.case.file.cap.k:
                return time
        return None

    @cached_property
    def all_heard(self) -> float | None:
        """When the last server had answered its query, or failed it."""
        ended = {
            e.server: e.ended for e in self.queries if e.ended is not None and not e.cancelled
        }  # the last query, for servers that are asked again
        return max(ended.values()) if len(ended) == len(self.case.plans) else None

    @cached_property
    def wrote(self) -> int:
        """The number of bytes that reached the consumer."""
        return sum(event.size for event in self.run.trace.events if event.kind == "wrote")

    @cached_property
    def pauses(self) -> list[tuple[float, float]]:
        """When the consumer's pauses began and ended; the end is infinity if it is still paused."""
        pauses: list[tuple[float, float]] = []
        for event in self.run.trace.events:
            if event.kind == "paused":
                pauses.append((event.time, inf))
            elif event.kind == "resumed":
                pauses[-1] = pauses[-1][0], event.time
        return pauses

    @property
    def paused(self) -> bool:
        """Whether the download was paused when the run ended."""
        return bool(self.pauses) and self.pauses[-1][1] == inf

    def distinct(self, servers: set[str] | None = None) -> set[int]:
        """Return the distinct share numbers that were shown, by some servers or by any."""
        return {n for _, name, ns in self.shown if servers is None or name in servers for n in ns}
