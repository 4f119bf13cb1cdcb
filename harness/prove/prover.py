"""A proof: the runs of one subject in every case, checked against the invariants.

A proof is exact: its runs stand for every placement in every order that it names. The module
`cases` explains why one run may stand for many cases.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from math import inf
from operator import contains
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w

from firstk.harness.fuzz.invariants import Invariant
from firstk.harness.grid.files import file_of
from firstk.harness.kernel.watchdog import StuckError
from firstk.harness.prove.cases import Case, Delay, Setting, Space
from firstk.harness.prove.checks import broken_in
from firstk.harness.run.finish import Run
from firstk.harness.run.result import Result
from firstk.harness.run.simulate import simulate
from firstk.harness.run.under_test import DownloaderSpec, is_external, name_of
from firstk.scenarios.model import OTHER

#: How long after the answer that it lets pass a delayed answer arrives, in seconds.
_AFTER = 1e-6

#: No answer is delayed by more than this, in seconds: a download may have given up its server.
_LATEST = 1.0

#: The number of runs that are repeated, and compared with another case of their box.
_AUDITED = 32


class Broken(NamedTuple):
    """A finding in a case: a violated invariant, or None if the download does not succeed."""

    case: Case
    invariant: Invariant | None
    got: str


@dataclass(slots=True)
class Proof:
    """What was covered, and what was found.

    `runs` were simulated. They stand for `cases`, which combine placements and orders, and for
    `delayed` cases, in which one answer is also late; these use the listed order only. `broken`
    counts the cases that violate each invariant. `not_ok` are the placements with K distinct good
    shares on servers that answer in which the download fails in some order. `stuck` is True if the
    proof was given up because a run did not end in real time.

    Among the cases without late answers, `outcomes` counts the outcomes. Among those of them with
    K good shares and outcome "ok", `fastest` and `slowest` are the earliest and the latest first
    byte, in seconds, and `requests` is the maximum.
    """

    space: Space
    subject: str
    runs: int = 0
    cases: int = 0
    delayed: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    not_ok: set[tuple[int, ...]] = field(default_factory=set)
    fastest: float = inf
    slowest: float = 0.0
    requests: int = 0
    smallest: Broken | None = None
    stuck: bool = False

    def add(self, other: Proof) -> None:
        """Add the findings of another part of the same proof."""
        self.runs += other.runs
        self.cases += other.cases
        self.delayed += other.delayed
        self.broken += other.broken
        self.outcomes += other.outcomes
        self.not_ok |= other.not_ok
        self.fastest = min(self.fastest, other.fastest)
        self.slowest = max(self.slowest, other.slowest)
        self.requests = max(self.requests, other.requests)
        self.stuck = self.stuck or other.stuck
        if other.smallest is not None:
            self.found(other.smallest)

    def found(self, broken: Broken) -> None:
        """Keep a finding if it is the smallest so far; violated invariants come first."""
        if self.smallest is None or self._rank(broken) < self._rank(self.smallest):
            self.smallest = broken

    def _rank(self, broken: Broken) -> tuple[bool, Any]:
        return broken.invariant is None, self.space.size(broken.case)

    @property
    def violations(self) -> int:
        """The number of violations: each case counts once per invariant."""
        return self.broken.total()

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return not self.violations and not self.not_ok and not self.stuck

    def tables(self) -> dict[str, Any] | None:
        """Return the tables of the smallest counterexample; None without one."""
        found = self.smallest
        if found is None:
            return None
        why = found.got if found.invariant is None else f"{found.invariant.sentence}; {found.got}"
        tables = self.space.tables(found.case)
        made: dict[str, Any] = {"name": "", "description": f"{self.subject}: {why}"}
        expecting = OTHER if is_external(self.subject) else self.subject
        if not is_external(self.subject):
            made["strategies"] = [self.subject]
        made |= tables
        if found.invariant is None or found.invariant.name in ("succeeds", "survives"):
            made["expect"] = {expecting: {"outcome": "ok"}}
        mark = sha256(tomli_w.dumps(made).encode()).hexdigest()[:8]
        what = "not-ok" if found.invariant is None else found.invariant.name
        return made | {"name": f"prove-{what}-{mark}"}

    def write(self, folder: Path) -> Path | None:
        """Write the smallest counterexample into a folder, and return its file."""
        tables = self.tables()
        if tables is None:
            return None
        file = folder / f"{tables['name']}.toml"
        file.write_text(tomli_w.dumps(tables), encoding="utf-8")
        return file


class _StuckRun(Exception):  # noqa: N818 - it is raised and caught here
    """A run did not end in real time."""


class Prover:
    """Runs one subject in every case of a space.

    `claimed` names the strategy whose definition must hold, by default the subject itself. `tell`
    is called with the proof as it grows. The proof is given up at a run that takes longer than
    `timeout` seconds of real time.
    """

    def __init__(
        self,
        space: Space,
        subject: DownloaderSpec,
        claimed: str | None = None,
        timeout: float | None = None,
        tell: Callable[[Proof], None] = lambda proof: None,
    ) -> None:
        self._space = space
        self._subject = subject
        self._claimed = claimed or name_of(subject)
        self._timeout = timeout
        self._tell = tell
        self.proof = Proof(space, name_of(subject))
        self._file = file_of(space.scenario(space[0]))

    def prove(self) -> Proof:
        """Run all cases, and return the proof."""
        with suppress(_StuckRun):
            self._prove()
        return self.proof

    def _prove(self) -> None:
        covered = bytearray(len(self._space))
        boxes, listed = [], []
        for number in range(len(self._space)):
            if covered[number]:
                continue
            box, run = self._run_box(self._space[number])
            members = list(self._space.box(box))
            assert not any(covered[member] for member in members)
            for member in members:
                covered[member] = True
            boxes.append((members, run.result))
            if number < self._space.listed:
                listed.append(([m for m in members if m < self._space.listed], run))
            self._note([self._space[member] for member in members], run)
            self.proof.cases += len(members)
        assert self.proof.cases == len(self._space)
        self._audit(boxes)
        if self._space.every_order:
            for members, run in listed:
                self._delay([self._space[member] for member in members], run)

    def _delay(self, cases: Sequence[Case], run: Run) -> None:
        """Delay each answer in a run until after one, two, ... of the answers that followed it."""
        answered = (e for e in run.trace.exchanges if e.ended is not None and not e.cancelled)
        sent = {(e.server, e.sent) for e in answered}
        for server, time in sorted(sent):
            self._delay_one(cases, run, Delay(int(server[1:]), time, 0.0))

    def _delay_one(self, cases: Sequence[Case], run: Run, delay: Delay, overtaken: int = 0) -> None:
        """Delay one server's answers to what it was sent at one time until after the next answer.

        In `run` they are already late by `delay`, after `overtaken` other answers. The recursion
        ends if they come last, if nothing waits for them, if they would be too late, or after as
        many answers as there are servers: a download that asks again and again would get answers
        forever.
        """
        late = _after(run, delay)
        if late is None or overtaken == self._space.n:
            return
        longer = delay._replace(seconds=delay.seconds + late + _AFTER)
        if longer.seconds > _LATEST:
            return
        todo = [replace(case, delays=(longer,)) for case in cases]
        while todo:
            box, next_run = self._run_box(todo[0])
            same = [case for case in todo if all(map(contains, box, case.settings))]
            self._note(same, next_run)
            self.proof.delayed += len(same)
            self._delay_one(same, next_run, longer, overtaken + 1)
            todo = [case for case in todo if case not in same]

    def _run_box(self, case: Case) -> tuple[list[set[Setting]], Run]:
        """Run a case; return the run, and the settings of each server that lead to the same run."""
        run = simulate(self._space.scenario(case), self._subject, timeout=self._timeout)
        self.proof.runs += 1
        if isinstance(run.failure, StuckError):
            self.proof.found(Broken(case, None, _described(run.result)))
            self.proof.stuck = True
            raise _StuckRun
        self._tell(self.proof)
        return self._space.same(case, run.trace, self._file), run

    def _note(self, cases: Sequence[Case], run: Run) -> None:
        """Record what a run shows about the cases that it stands for."""
        for one in broken_in(run, self._claimed):
            self.proof.broken[one.invariant.name] += len(cases)
            self.proof.found(Broken(min(cases, key=self._space.size), one.invariant, one.got))
        if not cases[0].delays:
            self.proof.outcomes[run.result.outcome] += len(cases)
        able = [case for case in cases if self._space.good_shares(case) >= self._space.k]
        if not able:
            return
        result = run.result
        if result.outcome != "ok":
            self.proof.not_ok.update(case.placement for case in able)
            self.proof.found(Broken(min(able, key=self._space.size), None, _described(result)))
        elif not able[0].delays:
            self.proof.fastest = min(self.proof.fastest, result.ttfb or 0.0)
            self.proof.slowest = max(self.proof.slowest, result.ttfb or 0.0)
            self.proof.requests = max(self.proof.requests, result.requests)

    def _audit(self, boxes: Sequence[tuple[list[int], Result]]) -> None:
        """Repeat some runs: equal seeds must give equal runs, as must the other cases of a box."""
        for members, result in _spread(boxes, _AUDITED):
            first, last = self._space[members[0]], self._space[members[-1]]
            again = self._repeated(first)
            if again != result.digest:
                self.proof.broken["repeatable"] += 1
                self.proof.found(Broken(first, _REPEATABLE, "the second time the run was another"))
            elif self._repeated(last) != result.digest:
                raise RuntimeError(f"{first} and {last} should be the same")

    def _repeated(self, case: Case) -> str:
        self.proof.runs += 1
        return simulate(self._space.scenario(case), self._subject).result.digest


_REPEATABLE = Invariant("repeatable", "equal seeds give equal runs", lambda checked: None)


def _after(run: Run, delay: Delay) -> float | None:
    """Return the time from the late answers to the next answer; None if there is none.

    The end of a request that was cancelled is not an answer.
    """
    name, finished = f"s{delay.server}", run.result.finished
    ends = [e.ended for e in run.trace.exchanges if (e.server, e.sent) == (name, delay.sent)]
    ended = max((end for end in ends if end is not None), default=None)
    if ended is None or (finished is not None and ended > finished):
        return None
    others = (e for e in run.trace.exchanges if (e.server, e.sent) != (name, delay.sent))
    answered = (e for e in others if e.ended is not None and not e.cancelled)
    # A request sent when the late answer arrives is answered after it in every order.
    ends = [e.ended for e in answered if e.sent < ended]
    return min((end - ended for end in ends if end is not None and end >= ended), default=None)


def _spread(items: Sequence[Any], most: int) -> Iterator[Any]:
    """Yield at most `most` of the items, evenly spread."""
    step = max(1, len(items) // most)
    yield from items[::step][:most]


def _described(result: Result) -> str:
    match result.outcome:
        case "failed":
            return f"it failed with {result.error}: {result.message}"
        case "stalled":
            return f"it stalled: nothing was left to happen after {result.ended:.9g} s"
    return f"it was still busy after {result.ended:.9g} s"
