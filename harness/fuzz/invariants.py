"""What must hold in every run, whatever the grid is: each with a name and a plain sentence.

They are worked out from the scenario and from what the simulated servers have noted, not from
what the downloader says of itself. They claim no more than what must be, so that what breaks
one is a defect. A server counts as `steady` if its only faults are that it is slow, or hangs
for a time: it answers everything in the end, and rightly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import inf

from firstk.downloader import errors
from firstk.downloader.errors import NoSharesError, NotEnoughSharesError
from firstk.downloader.strategy import find_strategy
from firstk.harness.grid.build import ServerSpec, server_specs
from firstk.harness.grid.files import file_of
from firstk.harness.grid.trace import Exchange
from firstk.harness.run.bound import Bound, bound
from firstk.harness.run.result import Result
from firstk.harness.run.simulate import Run, simulate
from firstk.harness.run.under_test import MisconductError
from firstk.scenarios.faults import Operation
from firstk.scenarios.model import MadeUpFile, Scenario

#: Sums of times may differ in the last bits.
_NEARLY = 1 + 1e-9

#: By then, in virtual seconds, every strategy that gives up has done so, after any progress.
_GENEROUS = 1e6


class ScenarioRuns:
    """One run of a scenario with each of its strategies, and what is known of it beforehand."""

    def __init__(self, scenario: Scenario, number: int = 0) -> None:
        self.scenario = scenario
        self.number = number
        self.seed = scenario.seed_of(number)
        self.file = file_of(scenario, self.seed)
        self.plans = {p.name: p for p in server_specs(scenario, self.seed, self.file.shares)}
        self._runs: dict[str, Run] = {}

    def run(self, strategy: str) -> Run:
        """Return the run with this strategy."""
        if strategy not in self._runs:
            self._runs[strategy] = simulate(self.scenario, strategy, self.number)
        return self._runs[strategy]

    @property
    def runs(self) -> list[Run]:
        """The runs that there were so far, those of the scenario's strategies first."""
        return list(self._runs.values())

    @cached_property
    def bound(self) -> Bound:
        """What no download of its class can undercut, and no strategy."""
        return bound(self.scenario, self.number)

    @cached_property
    def honest(self) -> bool:
        """Whether the file is known to be well made, and its shares too."""
        return isinstance(self.scenario.file, MadeUpFile)

    @cached_property
    def steady(self) -> set[str]:
        """The servers that answer everything in the end, and rightly."""
        return {name for name, plan in self.plans.items() if self.honest and _is_steady(plan)}

    @cached_property
    def queues(self) -> bool:
        """Whether requests may have to wait for one another."""
        plans = self.plans.values()
        return bool(
            self.scenario.grid.client_bandwidth or any(p.bandwidth or p.service for p in plans)
        )

    def numbers(self, servers: set[str]) -> set[int]:
        """Return the distinct numbers of the shares on some servers."""
        return {number for name in servers for number in self.plans[name].shares}


def _is_steady(plan: ServerSpec) -> bool:
    return all(f.kind == "slow" or (f.kind == "hung" and f.end is not None) for f in plan.faults)


def _hangs(plan: ServerSpec, operation: Operation) -> bool:
    """Return whether the server may leave such a request without an answer forever."""
    return any(f.holds(operation) and f.end is None for f in plan.faults)


class CheckedRun:
    """One run of one strategy, and what the servers have noted of it."""

    def __init__(self, case: ScenarioRuns, strategy: str) -> None:
        self.case = case
        self.strategy = find_strategy(strategy)
        self.run = case.run(strategy)

    @property
    def result(self) -> Result:
        """The result of the run."""
        return self.run.result

    @cached_property
    def phased(self) -> bool:
        """Whether locating ends, and reading begins then."""
        return self.strategy.locating_ends != "never"

    @cached_property
    def queries(self) -> list[Exchange]:
        """The requests for buckets."""
        return [e for e in self.run.trace.exchanges if e.operation == "get_buckets"]

    @cached_property
    def silent(self) -> list[Exchange]:
        """The requests that nothing had come of when the run ended."""
        return [e for e in self.run.trace.exchanges if e.ended is None]

    @cached_property
    def shown(self) -> list[tuple[float, str, set[int]]]:
        """When which server answered that it has which shares."""
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
        """When the last of all servers had answered its query, or failed it."""
        ended = [e.ended for e in self.queries if e.ended is not None]
        return max(ended) if len(ended) == len(self.case.plans) else None

    @cached_property
    def wrote(self) -> int:
        """How many bytes reached the consumer."""
        return sum(event.size for event in self.run.trace.events if event.kind == "wrote")

    @cached_property
    def pauses(self) -> list[tuple[float, float]]:
        """From when to when the consumer had the download paused; infinity if it still has."""
        pauses: list[tuple[float, float]] = []
        for event in self.run.trace.events:
            if event.kind == "paused":
                pauses.append((event.time, inf))
            elif event.kind == "resumed":
                pauses[-1] = pauses[-1][0], event.time
        return pauses

    @property
    def paused(self) -> bool:
        """Whether the consumer had the download paused when the run ended."""
        return bool(self.pauses) and self.pauses[-1][1] == inf

    def distinct(self, servers: set[str] | None = None) -> set[int]:
        """Return the distinct share numbers that were shown, by some servers or by any."""
        return {n for _, name, ns in self.shown if servers is None or name in servers for n in ns}


#: Returns a description of what happened instead, or None if the invariant holds.
Check = Callable[[CheckedRun], str | None]


@dataclass(frozen=True)
class Invariant:
    """Something that must hold in every run."""

    name: str
    sentence: str
    check: Check


@dataclass(frozen=True)
class Violation:
    """An invariant that a run has broken: which, by which strategy, and what was got."""

    invariant: Invariant
    strategy: str
    got: str

    def __str__(self) -> str:
        return f"{self.strategy}: {self.invariant.sentence}; {self.got}"


def broken(case: ScenarioRuns) -> Iterator[Violation]:
    """Yield what the runs of the scenario's strategies break."""
    for strategy in case.scenario.strategies:
        trial = CheckedRun(case, strategy)
        for invariant in INVARIANTS:
            got = invariant.check(trial)
            if got is not None:
                yield Violation(invariant, strategy, got)


def _described(result: Result) -> str:
    """Return a description of how a run ended."""
    match result.outcome:
        case "failed":
            return f"it failed with {result.error}: {result.message}"
        case "stalled":
            return f"it stalled: nothing was left to happen after {result.ended:.9g} s"
        case "deadline":
            return f"it was still busy at the deadline, after {result.ended:.9g} s"
    return f"it succeeded after {result.ended:.9g} s"


def _right_bytes(trial: CheckedRun) -> str | None:
    if trial.case.honest and trial.result.content_ok is False:
        return "a wrong byte was written"
    return None


def _all_bytes(trial: CheckedRun) -> str | None:
    if isinstance(trial.run.failure, MisconductError) and not trial.run.timers_left:
        return str(trial.run.failure)
    used, k = len(trial.result.shares_used or []), trial.case.file.cap.k
    if trial.result.outcome == "ok" and trial.wrote and used < k:
        return f"it used {used} shares of a file that needs {k}"
    return None


def _documented(trial: CheckedRun) -> str | None:
    failure = trial.run.failure
    allowed = NotEnoughSharesError if trial.case.honest else errors.DownloadError
    if failure is None or isinstance(failure, (allowed, MisconductError)):
        return None  # misconduct violates another invariant
    return _described(trial.result)


def _over(trial: CheckedRun) -> str | None:
    if trial.run.timers_left:
        return f"left over: {', '.join(trial.run.timers_left)}"
    kinds = [event.kind for event in trial.run.trace.events]
    ends = [i for i, kind in enumerate(kinds) if kind in ("fired", "raised")]
    if len(ends) > 1:
        return f"it ended {len(ends)} times"
    after = [kind for kind in kinds[ends[0] + 1 :] if kind in ("sent", "wrote")] if ends else []
    return f"it {after[0]} something afterwards" if after else None


def _heeds_pauses(trial: CheckedRun) -> str | None:
    paused = False
    for event in trial.run.trace.events:
        match event.kind:
            case "paused" | "resumed":
                paused = event.kind == "paused"
            case "wrote" if paused:
                return f"it wrote while it was paused: {event.text}"
    return None


def _honest_shortage(trial: CheckedRun) -> str | None:
    error = trial.run.failure
    if not isinstance(error, NotEnoughSharesError):
        return None
    shown, servers = len(trial.distinct()), len(trial.case.plans)
    if error.need != trial.case.file.cap.k or error.have >= error.need or error.have > shown:
        return f"{_described(trial.result)}; servers have shown {shown} distinct shares"
    if isinstance(error, NoSharesError) != (error.have == 0):
        return f"{type(error).__name__} reported {error.have} good shares"
    if len(error.servers) != servers:
        return f"it reported {len(error.servers)} of {servers} servers"
    return None


def _late_shortage(trial: CheckedRun) -> str | None:
    error, strategy = trial.run.failure, trial.strategy
    if not isinstance(error, NotEnoughSharesError) or error.silence is not None:
        return None
    enough = trial.known is not None and strategy.locating_ends == "k-distinct"
    if enough and strategy.late_answers == "ignored":
        return None
    finished = trial.result.finished or 0.0
    if trial.all_heard is None or trial.all_heard > finished:
        return f"{_described(trial.result)}, after {finished:.9g} s, and not every server was heard"
    return None


def _honest_silence(trial: CheckedRun) -> str | None:
    if trial.result.outcome not in ("stalled", "deadline"):
        return None
    silent = trial.silent
    if trial.result.outcome == "deadline" and trial.paused:
        return None
    if trial.result.outcome == "stalled":
        plans = trial.case.plans
        silent = [e for e in silent if _hangs(plans[e.server], e.operation)]
    return None if silent else f"{_described(trial.result)}, and every server has answered"


def _located(trial: CheckedRun) -> str | None:
    expected = trial.known
    if trial.strategy.locating_ends == "all-answered" and expected is not None:
        expected = trial.all_heard
    if trial.run.status is not None and trial.result.located != expected:
        return f"located was {trial.result.located}, and should be {expected}"
    reads = [e.sent for e in trial.run.trace.exchanges if e.operation == "read"]
    if trial.phased and reads and (expected is None or min(reads) < expected):
        return f"it read already at {min(reads):.9g} s"
    return None


def _counted(trial: CheckedRun) -> str | None:
    status, trace = trial.run.status, trial.run.trace
    if status is None:
        return None
    ended = [e for e in trial.queries if e.ended is not None]
    right = sum(e.ok for e in ended)
    said = status.queries_sent, status.queries_answered, status.queries_failed, status.reads
    true = trace.queries, right, len(ended) - right, trace.reads
    if said != true:
        return f"it reported {said} queries sent, answered, failed, and reads; there were {true}"
    if status.bytes_received > trace.bytes_received or status.bytes_written != trial.wrote:
        return f"it reported {status.bytes_received} bytes received, {status.bytes_written} written"
    return None


def _patient(trial: CheckedRun) -> str | None:
    give_up = trial.strategy.give_up
    if give_up is None:
        return None
    outcome, deadline = trial.result.outcome, trial.case.scenario.deadline
    if outcome == "stalled" or (outcome == "deadline" and deadline >= _GENEROUS):
        return _described(trial.result)
    finished = trial.result.finished
    end = deadline if finished is None else finished
    times = [0.0, end]
    for exchange in trial.run.trace.exchanges:
        times += [t for t in (exchange.sent, exchange.ended) if t is not None and t < end]
    times.sort()
    longest = max(b - a - _within(trial.pauses, a, b) for a, b in pairwise(times))
    if longest > give_up * _NEARLY:
        return f"for {longest:.9g} s nothing happened"
    return None


def _within(pauses: Sequence[tuple[float, float]], begin: float, end: float) -> float:
    """Return how long there were pauses between two times, in seconds."""
    return sum(max(0.0, min(b, end) - max(a, begin)) for a, b in pauses)


def _succeeds(trial: CheckedRun) -> str | None:
    if trial.result.outcome == "ok" or not _must_succeed(trial):
        return None
    if trial.result.outcome == "deadline" and (trial.silent or trial.paused):
        return None  # it may be that all is slow
    return _described(trial.result)


def _must_succeed(trial: CheckedRun) -> bool:
    """Return whether the strategy succeeds by its definition; False where that is not certain."""
    case, k = trial.case, trial.case.file.cap.k
    if trial.strategy.hedge:
        return len(case.numbers(case.steady - _too_slow(trial))) >= k
    if any(_hangs(case.plans[server], "read") for _, server, _ in trial.shown):
        return False
    match trial.strategy.locating_ends, trial.strategy.late_answers:
        case "all-answered", _:
            return trial.all_heard is not None and len(case.numbers(case.steady)) >= k
        case "k-distinct", "ignored":
            # It has no others than those that it has located, so these must be good.
            known = trial.known
            return known is not None and all(
                s in case.steady for t, s, _ in trial.shown if t <= known
            )
    return len(case.numbers(case.steady)) >= k


def _too_slow(trial: CheckedRun) -> set[str]:
    """Return the servers that kept a download waiting until it gave up, and until that moment."""
    error = trial.run.failure
    if not isinstance(error, NotEnoughSharesError) or error.silence is None:
        return set()
    finished = trial.result.finished or 0.0
    ends = ((e.server, e.ended) for e in trial.run.trace.exchanges)
    return {server for server, ended in ends if ended is None or ended >= finished}


def _same_again(trial: CheckedRun) -> str | None:
    case, strategies = trial.case, trial.case.scenario.strategies
    if trial.result.strategy != strategies[case.seed % len(strategies)]:
        return None  # one of them each time
    again = simulate(case.scenario, trial.result.strategy, case.number).result
    return None if again == trial.result else f"the second time {_described(again)}"


def _not_early(trial: CheckedRun) -> str | None:
    result = trial.result
    if result.ttfb is None or not trial.case.honest:
        return None
    least = trial.case.bound
    if least.ttfb is None:
        return f"the first byte came after {result.ttfb:.9g} s, and there can be none"
    if least.ttfb > result.ttfb * _NEARLY:
        return f"the first byte came after {result.ttfb:.9g} s, not {least.ttfb:.9g} s or more"
    if result.outcome == "ok" and result.requests < (least.requests or 0):
        return f"it took {result.requests} requests, not {least.requests} or more"
    if result.outcome == "ok" and result.bytes_received < (least.bytes or 0):
        return f"it took {result.bytes_received} bytes, not {least.bytes} or more"
    return None


def _first_is_first(trial: CheckedRun) -> str | None:
    if trial.strategy.locating_ends != "k-distinct" or trial.case.queues:
        return None
    last = trial.case.run("wait-for-all").result.located
    if last is None or (trial.result.located is not None and trial.result.located <= last):
        return None
    return f"located was {trial.result.located}, and {last} with wait-for-all"


INVARIANTS = (
    Invariant("right-bytes", "no wrong byte is ever written", _right_bytes),
    Invariant("all-bytes", "what ends well has written all that was asked for", _all_bytes),
    Invariant("documented-errors", "only documented errors are raised or logged", _documented),
    Invariant("over", "a download ends once, and then nothing of it is left", _over),
    Invariant("heeds-pauses", "nothing is written while the consumer pauses", _heeds_pauses),
    Invariant("honest-shortage", "a reported shortage is true", _honest_shortage),
    Invariant("late-shortage", "a shortage is reported once nothing more can come", _late_shortage),
    Invariant(
        "honest-silence", "a waiting download is waiting for a silent server", _honest_silence
    ),
    Invariant("located", "shares are located when K distinct ones are known", _located),
    Invariant("counted", "the status counts what the servers count", _counted),
    Invariant("gives-up", "a strategy that gives up never waits for longer", _patient),
    Invariant("succeeds", "a strategy succeeds where its definition says so", _succeeds),
    Invariant("repeatable", "equal seeds give equal runs", _same_again),
    Invariant(
        "not-early", "no strategy is earlier than the clairvoyant bound, or cheaper", _not_early
    ),
    Invariant(
        "first-k-first",
        "first-k locates no later than wait-for-all, without queues",
        _first_is_first,
    ),
)
