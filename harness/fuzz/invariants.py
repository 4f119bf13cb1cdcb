"""The invariants: what must hold in every run, on any grid, each with a name and a sentence.

They are checked against the scenario and the records of the simulated servers, not against what the
downloader reports. They claim only what must hold, so every violation is a defect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from firstk.harness.fuzz import any_downloader as any_
from firstk.harness.fuzz import by_strategy, failures
from firstk.harness.fuzz.observed import CheckedRun, ScenarioRuns

#: Returns a description of the violation, or None if the invariant holds.
Check = Callable[[CheckedRun], str | None]


@dataclass(frozen=True)
class Invariant:
    """Something that must hold in every run.

    `of` says which subjects it applies to: any, our strategies, or other downloaders. `alone` is
    False if the check makes other runs. `place` returns where in the code it was violated, as far
    as that is known: two violations at the same place count as the same defect. An invariant that
    is not `demanded` is only checked if its name is given. It also applies to `several` reads of
    one file if that is set.
    """

    name: str
    sentence: str
    check: Check
    of: Literal["any", "strategy", "other"] = "any"
    alone: bool = True
    place: Callable[[CheckedRun], str] = any_.last_heard
    demanded: bool = True
    several: bool = False

    def fits(self, trial: CheckedRun) -> bool:
        """Return whether it applies to a run."""
        if trial.several and not self.several:
            return False
        return self.of == "any" or (self.of == "other") == trial.other


@dataclass(frozen=True)
class Violation:
    """A violation of an invariant by a run: its subject, what happened instead, and where."""

    invariant: Invariant
    strategy: str
    got: str
    place: str = ""

    @property
    def same(self) -> tuple[str, str, str]:
        """The key that violations by the same defect share."""
        return self.invariant.name, self.strategy, self.place

    def __str__(self) -> str:
        return f"{self.strategy}: {self.invariant.sentence}; {self.got}"


INVARIANTS = (
    Invariant(
        "in-simulation",
        "all that a download does happens in the simulation",
        any_.in_simulation,
        of="other",
        several=True,
    ),
    Invariant(
        "moves-on",
        "time passes while a download is under way",
        any_.moves_on,
        of="other",
        several=True,
    ),
    Invariant("right-bytes", "no wrong byte is ever written", any_.right_bytes, several=True),
    Invariant("all-bytes", "what ends well has written all that was asked for", any_.all_bytes),
    Invariant(
        "documented-errors",
        "only documented errors are raised or logged",
        by_strategy.documented,
        of="strategy",
    ),
    Invariant("over", "a download ends once, and then nothing of it is left", any_.over),
    Invariant("conduct", "a consumer is treated as its interface says", any_.conduct, several=True),
    Invariant("heeds-pauses", "nothing is written while the consumer pauses", any_.heeds_pauses),
    Invariant(
        "honest-shortage",
        "a reported shortage is true",
        by_strategy.honest_shortage,
        of="strategy",
    ),
    Invariant(
        "late-shortage",
        "a shortage is reported once nothing more can come",
        by_strategy.late_shortage,
        of="strategy",
    ),
    Invariant(
        "honest-silence",
        "a waiting download is waiting for a silent server",
        any_.honest_silence,
        several=True,
    ),
    Invariant(
        "located",
        "shares are located when K distinct ones are known",
        by_strategy.located,
        of="strategy",
    ),
    Invariant(
        "counted", "the status counts what the servers count", by_strategy.counted, of="strategy"
    ),
    Invariant(
        "gives-up",
        "a strategy that gives up never waits for longer",
        by_strategy.patient,
        of="strategy",
    ),
    Invariant(
        "succeeds",
        "a strategy succeeds where its definition says so",
        by_strategy.succeeds,
        of="strategy",
    ),
    Invariant(
        "honest-failure",
        "no download fails that knows K good shares on prompt servers",
        failures.honest_failure,
        of="other",
    ),
    Invariant(
        "no-crash",
        "no mistake of the program ends a download for which K good shares exist",
        failures.no_crash,
        of="other",
        several=True,
    ),
    Invariant(
        "quiet", "no error is logged while the file is right", any_.quiet, of="other", several=True
    ),
    Invariant(
        "no-rereads",
        "no read is repeated, and no byte read a third time, unless something failed",
        any_.no_rereads,
        place=any_.reading_again,
    ),
    Invariant("few-reads", "the reads of a share are bounded", any_.few_reads, several=True),
    Invariant(
        "repeatable", "equal seeds give equal runs", any_.same_again, alone=False, several=True
    ),
    Invariant(
        "not-early",
        "no strategy is earlier than the clairvoyant bound, or cheaper",
        any_.not_early,
    ),
    Invariant(
        "first-k-first",
        "first-k locates no later than wait-for-all, without queues",
        by_strategy.first_is_first,
        of="strategy",
        alone=False,
    ),
    Invariant(
        "survives",
        "a download succeeds where K good shares are on servers without a fault",
        any_.survives,
        demanded=False,
        several=True,
    ),
    Invariant(
        "reads-once",
        "no bytes are read again unless something failed",
        any_.reads_once,
        place=any_.reading_again,
        demanded=False,
    ),
)


def broken(case: ScenarioRuns, chosen: Sequence[Invariant] | None = None) -> Iterator[Violation]:
    """Yield the violations in the runs of the scenario's subjects, of the chosen invariants."""
    for subject in case.scenario.strategies:
        yield from broken_by(CheckedRun(case, subject), chosen)


def broken_by(trial: CheckedRun, chosen: Sequence[Invariant] | None = None) -> Iterator[Violation]:
    """Yield the violations in one run, by default of all demanded invariants."""
    if chosen is None:
        chosen = [invariant for invariant in INVARIANTS if invariant.demanded]
    for invariant in chosen:
        if invariant.fits(trial) and (got := invariant.check(trial)) is not None:
            yield Violation(invariant, trial.subject, got, invariant.place(trial))
