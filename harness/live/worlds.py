"""The runs of a scenario in several worlds, simulated and real, and how they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from firstk.harness.run.comparison import expectation
from firstk.harness.run.finish import Run
from firstk.harness.run.result import Result, unmet
from firstk.harness.stats import figures
from firstk.harness.stats.formats import seconds
from firstk.scenarios.model import Scenario

#: The worlds: simulated objects; Tahoe-LAFS's HTTP over simulated TCP and TLS; real sockets.
SIMULATED, NETWORK, LIVE = "simulated", "simulated network", "real servers"

#: Times differ if they do so by more than this part, and by more than this many seconds.
RELATIVE, ABSOLUTE = 0.10, 0.010


@dataclass(frozen=True, slots=True)
class Pair:
    """The runs with one seed, one for each world."""

    runs: Mapping[str, Run]

    def result(self, world: str) -> Result:
        """Return the result of the run in one world."""
        return self.runs[world].result

    @property
    def near(self) -> bool:
        """Whether the times to first byte are nearly equal in all worlds, or all never."""
        times = [run.result.ttfb for run in self.runs.values()]
        return all(is_near(one, other) for one, other in combinations(times, 2))


@dataclass(slots=True)
class InWorlds:
    """The runs of one strategy, in order."""

    strategy: str
    pairs: list[Pair] = field(default_factory=list)

    def results(self, world: str) -> list[Result]:
        """Return the results in one world."""
        return [pair.result(world) for pair in self.pairs]

    def median(self, world: str) -> float | None:
        """Return the median time to first byte; None means never."""
        times = sorted(r.ttfb for r in self.results(world) if r.ttfb is not None)
        return figures.quantile(times, 0.5) if 2 * len(times) > len(self.pairs) else None

    @property
    def near(self) -> int:
        """The number of pairs with nearly equal times to first byte in all worlds."""
        return sum(pair.near for pair in self.pairs)


@dataclass(slots=True)
class WorldsCompared:
    """A comparison of a scenario's runs in several worlds."""

    scenario: Scenario
    worlds: Sequence[str]
    strategies: list[InWorlds]

    @property
    def differences(self) -> Iterator[str]:
        """A sentence for each difference between the simulation and another world."""
        for one in self.strategies:
            for world in self.worlds[1:]:
                yield from _differences(one, world)

    @property
    def unmet(self) -> Iterator[str]:
        """A sentence for each expectation that a run on real servers did not meet."""
        for one in self.strategies:
            expected = expectation(self.scenario, one.strategy)
            if expected is None:
                continue
            # Expected times are for the simulation; `differences` compares the times of the worlds.
            kept = expected.model_copy(update={"ttfb": None, "ttfb_min": None, "ttfb_max": None})
            for result in one.results(LIVE):
                for problem in unmet(kept, result):
                    yield f"{one.strategy}, seed {result.seed}: {problem}"


def _differences(one: InWorlds, world: str) -> Iterator[str]:
    for pair in one.pairs:
        simulated, other = pair.result(SIMULATED), pair.result(world)
        if simulated.outcome != other.outcome:
            why = f" ({other.error}: {other.message})" if other.error else ""
            yield (
                f"{one.strategy}, seed {other.seed}: {simulated.outcome} in the simulation,"
                f" {other.outcome} on {world}{why}"
            )
    expected, got = one.median(SIMULATED), one.median(world)
    if not is_near(expected, got) and expected is not None and got is not None:
        later = "later" if got > expected else "sooner"
        part = f" ({abs(got / expected - 1):.0%})" if expected else ""
        yield (
            f"{one.strategy}: the first byte comes {seconds(abs(got - expected))}{part} {later}"
            + (f" on {world} than in the simulation (medians)")
        )


def is_near(one: float | None, other: float | None) -> bool:
    """Return whether two times are within 10 % or 10 ms of each other, or both are never."""
    if one is None or other is None:
        return one is other
    return abs(one - other) <= max(RELATIVE * one, ABSOLUTE)
