"""The cause of a run that did not go well, found by repeating it without some of its faults.

The cause is the minimal sets of faults without which the run goes well. The latest time at which
healing them still helps is also reported.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import comb

from firstk.harness.explain.minimal import Minimal, minimal_sets
from firstk.harness.explain.traits import Trait, chance_of, traits_of, without, words_of_all
from firstk.harness.kernel.raised import AbortedError
from firstk.harness.run.bound import bound
from firstk.harness.run.finish import Run
from firstk.harness.run.result import Result, unmet
from firstk.harness.run.simulate import simulate
from firstk.harness.run.summary import verdict
from firstk.harness.run.under_test import DownloaderSpec
from firstk.harness.stats.formats import seconds
from firstk.scenarios.model import Expectation, Scenario

#: The maximum and the minimum number of runs that the search for a cause may take.
_MOST_RUNS, _FEWEST_RUNS = 400, 30

#: The maximum number of runs to find servers that were slow by chance: there may be many.
_CHANCE_RUNS = 60

#: The approximate total number of requests simulated in all these runs.
_REQUESTS = 100_000

#: At most this many moments are tried one by one; if there are more, bisection is used.
_MOMENTS = 40

#: The maximum number of sets that are listed.
_MOST_SETS = 3

#: The relative precision of the moment.
_PRECISION = 1e-3

#: Times that differ by less, in seconds, are not distinguished.
_INSTANT = 1e-6

#: The latest healing is tried this much later than the last event, in seconds.
_LATER = 1.0


def is_well(expected: Expectation | None, result: Result) -> bool:
    """Return whether a result is as expected; without an expectation, whether it succeeded."""
    if expected is not None and expected.model_fields_set:
        return not any(unmet(expected, result))
    return result.outcome == "ok" and result.content_ok is not False


@dataclass(frozen=True)
class Counterfactuals:
    """Repeats a download without some of the things that are special about its servers."""

    scenario: Scenario
    subject: DownloaderSpec
    number: int
    expected: Expectation | None
    run: Run
    timeout: float | None = None

    @cached_property
    def seed(self) -> int:
        """The seed of the run."""
        return self.scenario.seed_of(self.number)

    @cached_property
    def tries(self) -> int:
        """The number of runs that the search may take."""
        each = max(1, self.run.result.requests)
        return max(_FEWEST_RUNS, min(_MOST_RUNS, _REQUESTS // each))

    def result(self, gone: Iterable[Trait], at: float = 0.0) -> Result:
        """Return the result without some traits; faults among them are healed at time `at`."""
        changed = without(self.scenario, self.seed, gone, at)
        return simulate(changed, self.subject, self.number, self.timeout).result

    def well(self, gone: Iterable[Trait], at: float = 0.0) -> bool:
        """Return whether the run goes well without some traits."""
        return is_well(self.expected, self.result(gone, at))

    def minimal(self, traits: Sequence[Trait], most: int = _MOST_RUNS) -> Minimal | None:
        """Return the minimal sets of traits without which it goes well, in at most `most` runs."""

        def well(places: Iterable[int]) -> bool:
            return self.well([traits[i] for i in places])

        return minimal_sets(len(traits), well, min(most, self.tries))


def cause_of(tried: Counterfactuals) -> str:
    """Return the cause of a run that did not go well, in a sentence."""
    if isinstance(tried.run.failure, AbortedError):
        return "not searched: the run was ended for what the downloader did"
    traits = traits_of(tried.scenario, tried.seed)
    for some in [t for t in traits if t.kind == "fault"], traits:
        found = tried.minimal(some)
        if found is not None:
            return _sentence(tried, some, found)
    return _not_the_servers(tried, traits)


def _not_the_servers(tried: Counterfactuals, traits: Sequence[Trait]) -> str:
    """Return what is known about a run that goes wrong whatever is taken away."""
    result = tried.result(traits)
    limit = tried.expected.ttfb_max if tried.expected is not None else None
    if limit is not None:
        plain = without(tried.scenario, tried.seed, traits)
        least = bound(plain, tried.number).ttfb
        if least is not None and least > limit:
            return (
                f"no fault: a first byte by {seconds(limit)} is impossible, the earliest possible"
                f" is {seconds(least)}"
            )
    chance = chance_of(tried.scenario, tried.seed)
    if chance and (found := tried.minimal([*traits, *chance], _CHANCE_RUNS)) is not None:
        return _sentence(tried, [*traits, *chance], found)
    if not traits:
        return "not the servers: none has a fault"
    return f"not the servers: without any of their faults {ending(result)}"


def _sentence(tried: Counterfactuals, traits: Sequence[Trait], found: Minimal) -> str:
    sets = [[traits[i] for i in one] for one in found.sets]
    then = ending(tried.result(sets[0]))
    more = "" if len(sets[0]) <= found.searched else "; there may be smaller sets"
    return f"{_counted(sets)} {then}{more}; {_moment(tried, sets[0])}"


def ending(result: Result) -> str:
    """Return how a run ended, such as "ok at 0.25 s"."""
    if result.content_ok is False:
        return "it writes wrong bytes"
    if result.outcome == "ok" and result.ttfb is not None:
        return f"ok at {seconds(result.ttfb)}"
    return f"it {verdict([result])}" if result.outcome != "ok" else result.outcome


def _counted(sets: Sequence[Sequence[Trait]]) -> str:
    """Return the sets of traits as text: all of them must go, or any of several."""
    size = len(sets[0])
    everything = list(dict.fromkeys(trait for one in sets for trait in one))
    named = f"{_number(everything)}: {words_of_all(everything)}"
    if len(sets) == 1:
        return f"{named}; without {_ALL.get(size, f'all {size}')}"
    if all(len(one) == size for one in sets) and len(sets) == comb(len(everything), size):
        return f"{named}; without any {'one' if size == 1 else size} of them"
    listed = " or ".join(f"[{words_of_all(one)}]" for one in sets[:_MOST_SETS])
    rest = f" or one of {len(sets) - _MOST_SETS} more sets" if len(sets) > _MOST_SETS else ""
    return f"either {listed}{rest}; without the first"


#: Names for the number of traits that must go.
_ALL = {1: "it", 2: "both"}


def _number(traits: Sequence[Trait]) -> str:
    what = "fault" if all(trait.kind == "fault" for trait in traits) else "thing"
    return f"one {what}" if len(traits) == 1 else f"{len(traits)} {what}s"


def _moment(tried: Counterfactuals, gone: Sequence[Trait]) -> str:
    """Return the latest time at which healing these faults still helps, as text."""
    if any(trait.kind != "fault" for trait in gone):
        return "it is not a matter of time"
    events, ended = tried.run.trace.events, tried.run.result.ended
    times = sorted({0.0, *(event.time for event in events), ended + _LATER})

    def helps(time: float) -> bool:
        return tried.well(gone, time)

    if helps(times[-1]):
        return "healing helps at any time"
    last = _last(times, helps)
    if last is None:
        return "nothing helps once it has begun"
    return f"nothing helps after {seconds(last)}"


def _last(times: Sequence[float], helps: Callable[[float], bool]) -> float | None:
    """Return the last time at which healing helps, to a thousandth; None if it never helps.

    The search assumes that once healing is too late, it stays so: between two of the times, and
    everywhere if there are many.
    """
    if len(times) <= _MOMENTS:
        place = next((i for i in range(len(times) - 1, -1, -1) if helps(times[i])), -1)
    else:
        place = bisect_right(times, False, key=lambda time: not helps(time)) - 1
    if place < 0:
        return None
    low, high = times[place], times[place + 1]
    while high - low > max(_PRECISION * high, _INSTANT):
        middle = (low + high) / 2
        low, high = (middle, high) if helps(middle) else (low, middle)
    return low
