"""Explains why a run did not go as it should: who, where, by which chain, and what caused it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from firstk.harness.explain.cause import Counterfactuals, cause_of, is_well
from firstk.harness.explain.scene import Scene, servers
from firstk.harness.grid.trace import Exchange
from firstk.harness.kernel.escapes import EscapeError
from firstk.harness.kernel.raised import AbortedError, raised_at
from firstk.harness.run.comparison import expectation
from firstk.harness.run.finish import Run
from firstk.harness.run.result import Result
from firstk.harness.run.simulate import observe
from firstk.harness.run.under_test import DownloaderSpec, name_of
from firstk.harness.stats.formats import seconds
from firstk.scenarios.model import Expectation, Scenario


@dataclass(frozen=True)
class Explanation:
    """Four lines about a run that did not go well.

    `unmet` is True if something else was expected; a stall, for example, may be expected.
    """

    who: str
    where: str
    chain: str
    cause: str
    unmet: bool = False

    @property
    def lines(self) -> list[str]:
        """The four lines."""
        return [
            f"who: {self.who}",
            f"where: {self.where}",
            f"chain: {self.chain}",
            f"cause: {self.cause}",
        ]

    def __str__(self) -> str:
        return "\n".join(self.lines)


def explain(
    scenario: Scenario,
    subject: DownloaderSpec,
    number: int = 0,
    expected: Expectation | None = None,
    timeout: float | None = None,
) -> Explanation | None:
    """Return why a run is not as expected, or does not succeed; None if it is and does.

    `expected` defaults to what the scenario expects of the subject. The run is repeated, and
    further runs without some of the faults show which of them are the cause. Raises the same
    errors as `simulate`.
    """
    if expected is None:
        expected = expectation(scenario, name_of(subject))
    scene = Scene()
    run = observe(scenario, subject, number, timeout, scene.look)
    unmet = not is_well(expected, run.result) and expected is not None
    if not unmet:
        expected = None  # an expected stall has a cause too
        if is_well(None, run.result):
            return None
    late = _late(expected, run.result)
    if late is not None:  # inspect what it was waiting for when its time was up
        scene = Scene()
        cut = scenario.model_copy(update={"deadline": late})
        observe(cut, subject, number, timeout, scene.look)
    tried = Counterfactuals(scenario, subject, number, expected, run, timeout)
    who, where, chain = described(scene, run, late)
    return Explanation(who, where, chain, cause_of(tried), unmet)


def explain_run(
    run: Run, subject: DownloaderSpec, expected: Expectation | None, timeout: float | None = None
) -> Explanation:
    """Return why a completed run is not as expected; the run is repeated, if it ended.

    `timeout` limits each further run, as in `simulate`.
    """
    if isinstance(run.failure, AbortedError | EscapeError):
        return explain_scene(run, Scene(), "the run was ended for what the downloader did")
    found = explain(run.scenario, subject, run.result.run, expected, timeout)
    if found is None:
        why = "the same run went well the second time: the downloader keeps state, or time counts"
        return explain_scene(run, Scene(), why)
    return found


def explain_scene(run: Run, scene: Scene, unknown: str) -> Explanation:
    """Return what is known without further runs; `unknown` says why no cause is searched."""
    return Explanation(*described(scene, run), f"not searched: {unknown}", unmet=True)


def described(scene: Scene, run: Run, late: float | None = None) -> tuple[str, str, str]:
    """Return who, where, and the chain; `late` is when the first byte was due if it was late."""
    name = run.result.strategy.rpartition(":")[2].rpartition(".")[2]
    exchanges = run.trace.exchanges
    waits = late is not None or run.result.outcome in ("stalled", "deadline")
    if waits:
        silent = scene.outstanding if late is not None else [e for e in exchanges if not e.ended]
        never = {"stalled": "never answered", "deadline": "no answer by the deadline"}.get(
            run.result.outcome, ""
        )
        if late is not None:
            never = f"no answer by {seconds(late)}"
        said = "no server: every request was answered"
        who = f"{never}: {servers(silent)}" if silent else said
        return who, scene.where or "no line of the code waits", scene.path(name)
    wrong = run.result.content_ok is False
    raised = scene.raised or (None if run.failure is None else raised_at(run.failure))
    place = scene.wrong if wrong else raised
    verb = "wrote the wrong bytes" if wrong else f"raised {run.result.error}"
    where = "no line is known" if place is None else f"{place.file_and_line}, {verb}"
    if place is None and scene.ours:
        where = f"firstk's own downloader, {verb}"
    if run.result.outcome == "ok" and not wrong:
        where = "no line: it ended"
    return at_fault(exchanges), where, f"{name}, {_ending(run.result)}"


def at_fault(exchanges: Sequence[Exchange]) -> str:
    """Return which servers did not answer, failed, or answered with wrong bytes."""
    parts = {
        "wrong bytes": [e for e in exchanges if e.corrupt],
        "failed": [e for e in exchanges if e.ended is not None and not e.ok],
        "without shares": [e for e in exchanges if e.ok and _is_empty(e)],
        "never answered": [e for e in exchanges if e.ended is None],
    }
    told = [f"{what}: {servers(found)}" for what, found in parts.items() if found]
    return "; ".join(told) or "no server: every request was answered, and rightly"


def _is_empty(exchange: Exchange) -> bool:
    return exchange.operation == "get_buckets" and not exchange.shares


def _late(expected: Expectation | None, result: Result) -> float | None:
    """Return when the first byte was due, if it was late or the run was still waiting for it."""
    if expected is None or result.outcome in ("stalled", "deadline", "failed"):
        return None
    limits = [one for one in (expected.ttfb_max, expected.ttfb) if one is not None]
    if not limits or result.ttfb is None or result.ttfb <= min(limits):
        return None
    return min(limits)


def _ending(result: Result) -> str:
    if result.outcome == "failed":
        return f"{result.error}: {(result.message or '').splitlines()[0] if result.message else ''}"
    return "ok" if result.outcome == "ok" else result.outcome
