"""Runs of a scenario without some of its faults: what would have been, made beforehand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from firstk.harness.explain.traits import Trait, removing, traits_of, words_of_all
from firstk.harness.run.finish import Run
from firstk.harness.run.simulate import observe
from firstk.scenarios.model import Scenario, Servers

#: With at most this many faults, every combination of them is run.
_ALL_SUBSETS = 4

#: With more faults than this, those of one kind are removed together; with more kinds than this,
#: all of them.
_MOST = 12

#: The approximate number of requests simulated for the combinations of one scenario.
_REQUESTS = 50_000

#: The indices of the faults that are removed.
Gone = frozenset[int]


@dataclass(frozen=True)
class Alternatives:
    """The first run of each strategy of a scenario, with and without its faults.

    `faults` are what can be removed: a fault of one server each, or all of one kind if there are
    many. `runs` has the runs of all strategies, in the order of the scenario, for each combination
    of removed faults that was run; `entries` are what removes them, as entries of `[[servers]]` at
    the end of the file. `most` is the number of combinations that there are.
    """

    scenario: Scenario
    faults: Sequence[Sequence[Trait]]
    entries: Mapping[Gone, Sequence[Servers]]
    runs: Mapping[Gone, Sequence[Run]]

    @property
    def most(self) -> int:
        """The number of combinations of faults."""
        return int(2 ** len(self.faults))

    def words(self, gone: Gone) -> str:
        """Return the names of removed faults, such as "s3-s9 hung"."""
        return words_of_all([trait for i in sorted(gone) for trait in self.faults[i]])


def alternatives(
    scenario: Scenario, tell: Callable[[str], None] = lambda what: None
) -> Alternatives:
    """Run the first run of each strategy of a scenario, with combinations of its faults removed.

    Of up to four faults all combinations are run, of more each fault alone and all together: as
    many as fit into a number of requests. The traces have the lines that sent the requests. `tell`
    is called with what is being done. Raises the same errors as `simulate`.
    """
    seed = scenario.seed_of(0)
    faults = _together([trait for trait in traits_of(scenario, seed) if trait.kind == "fault"])
    entries: dict[Gone, Sequence[Servers]] = {}
    runs: dict[Gone, Sequence[Run]] = {}
    left = _REQUESTS
    for gone in _combinations(len(faults)):
        if left <= 0:
            break
        tell(f"simulating {scenario.name} without {len(gone)} of {len(faults)} faults")
        entries[gone] = removing(scenario, seed, [trait for i in gone for trait in faults[i]])
        changed = scenario.model_copy(update={"servers": [*scenario.servers, *entries[gone]]})
        runs[gone] = [observe(changed, name, sources=True) for name in scenario.strategies]
        left -= sum(run.result.requests for run in runs[gone])
    return Alternatives(scenario, faults, entries, runs)


def _together(faults: Sequence[Trait]) -> list[Sequence[Trait]]:
    """Return the faults in the groups in which they are removed."""
    if len(faults) <= _MOST:
        return [[fault] for fault in faults]
    kinds: defaultdict[str, list[Trait]] = defaultdict(list)
    for fault in faults:
        kinds[fault.words].append(fault)
    return list(kinds.values()) if len(kinds) <= _MOST else [faults]


def _combinations(count: int) -> Iterator[Gone]:
    """Yield the combinations to run, the most important ones first: none, all, each alone."""
    yield frozenset()
    if count:
        yield frozenset(range(count))
    sizes = range(1, count) if count <= _ALL_SUBSETS else [1]
    for size in sizes:
        yield from map(frozenset, combinations(range(count), size))
