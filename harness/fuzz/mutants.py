"""Mutants: a scenario with weaker faults, or a downloader that does less.

The expectations of a scenario are only useful if they fail once the scenario or the downloader is
changed. A mutant goes unnoticed if it changes nothing that happens, or nothing that is expected.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from pydantic import TypeAdapter, ValidationError

from firstk.downloader.strategy import Strategy, find_strategy
from firstk.harness.run.comparison import expectation
from firstk.harness.run.result import Result, unmet
from firstk.harness.run.simulate import simulate
from firstk.harness.run.under_test import DownloaderSpec, called, is_external
from firstk.scenarios.faults import Fault
from firstk.scenarios.model import Scenario

#: The maximum number of runs of a scenario; further ones are not made.
_MOST_RUNS = 20

#: The factor by which a number of a downloader is increased and decreased.
_TIMES = 10

#: The duration in a mutant of a fault without an end, in virtual seconds.
_SHORT = 0.05

_FAULT: TypeAdapter[Any] = TypeAdapter(Fault)

#: Weaker values of a strategy's fields; only those that differ from the strategy are tried.
_WEAKER: dict[str, Any] = {
    "locating_ends": "all-answered",
    "late_answers": "ignored",
    "window": 1,
    "overdue": "never",
    "hedge": False,
    "spares": 0,
    "give_up": None,
}


@dataclass(frozen=True)
class Unnoticed:
    """A mutant that meets all expectations; `same` is True if its runs do not differ at all."""

    mutant: str
    same: bool

    def __str__(self) -> str:
        why = "nothing happens otherwise" if self.same else "what is expected is met all the same"
        return f"{self.mutant}: {why}"


@dataclass
class Score:
    """How many mutants of one scenario were tried, and which of them went unnoticed.

    `wrong` is the expectation that is not met without any mutation; then no mutant is tried.
    """

    scenario: Scenario
    tried: int = 0
    unnoticed: list[Unnoticed] = field(default_factory=list)
    wrong: str | None = None

    @property
    def noticed(self) -> int:
        """The number of mutants that the expectations noticed."""
        return self.tried - len(self.unnoticed)


def score(scenario: Scenario) -> Score:
    """Try the mutants of a scenario with its subjects, strategies or other downloaders.

    A weaker fault counts as noticed if the expectations of any subject notice it.
    Raises `DownloaderError` if there is no such downloader.
    """
    found = Score(scenario)
    before = {
        subject: _results(scenario, subject)
        for subject in scenario.strategies
        if expectation(scenario, subject) is not None
    }
    for subject, results in before.items():
        if problem := _problem(scenario, subject, results):
            found.wrong = f"{subject}: {problem}"
            return found
    for change, weaker in _weaker_faults(scenario) if before else ():
        _try(found, change, before, {name: (weaker, name) for name in before})
    for subject in before:
        for change, downloader in _weaker_downloaders(subject):
            _try(found, f"{subject}: {change}", before, {subject: (scenario, downloader)})
    return found


def _try(
    found: Score,
    change: str,
    before: Mapping[str, Sequence[Result]],
    mutants: Mapping[str, tuple[Scenario, DownloaderSpec]],
) -> None:
    """Run the mutants instead of each subject, and record whether an expectation noticed."""
    found.tried += 1
    same = True
    for subject, (scenario, mutant) in mutants.items():
        after = _results(scenario, mutant)
        if _problem(scenario, subject, after):
            return
        same &= [r.digest for r in before[subject]] == [r.digest for r in after]
    found.unnoticed.append(Unnoticed(change, same))


def _results(scenario: Scenario, subject: DownloaderSpec) -> list[Result]:
    return [simulate(scenario, subject, i).result for i in range(min(scenario.runs, _MOST_RUNS))]


def _problem(scenario: Scenario, subject: str, results: Sequence[Result]) -> str | None:
    """Return the first unmet expectation of some results; None if all are met."""
    expected = expectation(scenario, subject)
    assert expected is not None
    return next((problem for result in results for problem in unmet(expected, result)), None)


# The environment


def _weaker_faults(scenario: Scenario) -> Iterator[tuple[str, Scenario]]:
    """Yield scenarios with one fault removed or weaker, each with a description."""
    for i, entry in enumerate(scenario.servers):
        for j, fault in enumerate(entry.faults or ()):
            what = f"[[servers]] {i + 1}, {fault.kind}"
            yield f"{what}: left out", _with_fault(scenario, i, j, None)
            for change, keys in _weaker(fault):
                try:
                    weaker = _FAULT.validate_python(fault.model_dump(exclude_none=True) | keys)
                except ValidationError:
                    continue
                yield f"{what}: {change}", _with_fault(scenario, i, j, weaker)


def _weaker(fault: Fault) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ways to weaken a fault: a description, and the keys."""
    if fault.end is None:
        end = fault.start + _SHORT
        yield f"over after {_SHORT} s", {"end": end}
    if fault.kind == "hung" and set(fault.on or ()) == {"get_buckets", "read"}:
        yield "answers queries", {"on": ["read"]}
        yield "answers reads", {"on": ["get_buckets"]}
    if fault.kind == "flaky":
        yield "half as often", {"probability": fault.probability / 2}
    if fault.kind == "slow":
        yield "half as slow", {"factor": max(1.0, fault.factor / 2), "extra": fault.extra / 2}
    if fault.kind == "truncated":
        yield "twice as long", {"length": 2 * fault.length + 1}


def _with_fault(scenario: Scenario, entry: int, place: int, fault: Fault | None) -> Scenario:
    """Return a scenario in which a fault is replaced, or removed."""
    servers = list(scenario.servers)
    faults = list(servers[entry].faults or ())
    faults[place : place + 1] = [] if fault is None else [fault]
    servers[entry] = servers[entry].model_copy(update={"fault": faults})
    return scenario.model_copy(update={"servers": servers})


# The downloader


def _weaker_downloaders(subject: str) -> Iterator[tuple[str, DownloaderSpec]]:
    """Yield downloaders that do less, as far as they are configurable, with descriptions."""
    if not is_external(subject):
        yield from _weaker_strategies(find_strategy(subject))
        return
    function = called(subject)
    for name, default in _policies(function).items():
        if isinstance(default, Strategy):
            for change, strategy in _weaker_strategies(default):
                yield f"{name}: {change}", partial(function, **{name: strategy})
        for value in _other_values(default):
            yield f"{name} = {value} in place of {default}", partial(function, **{name: value})


def _weaker_strategies(strategy: Strategy) -> Iterator[tuple[str, Strategy]]:
    for name, value in _WEAKER.items():
        before = getattr(strategy, name)
        never_late = name == "late_answers" and strategy.locating_ends == "never"
        if before == value or never_late:
            continue
        try:
            weaker = replace(strategy, **{name: value})
        except ValueError:  # other fields require it
            continue
        yield f"{name} = {value!r} in place of {before!r}", weaker


def _policies(function: Any) -> dict[str, Any]:
    """Return the parameters of a downloader that have defaults, apart from those of its call."""
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:
        return {}
    own = list(parameters.values())[4:]
    return {p.name: p.default for p in own if p.default is not p.empty and p.name not in _RANGE}


_RANGE = ("offset", "size")


def _other_values(default: Any) -> list[Any]:
    match default:
        case bool():
            return [not default]
        case int() if default:
            return [default * _TIMES, *([1] if default > 1 else [])]
        case float() if default:
            return [default * _TIMES, default / _TIMES]
    return []
