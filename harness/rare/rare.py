"""The probability of a rare event, and far quantiles, from few runs: importance sampling.

A fifth of the runs are pilots, whose choices are made far more often as rare events need them; how
often the event occurs in them decides how the choices of the other runs are made. Only these give
the estimate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
import numpy.typing as npt

from firstk.harness.kernel.rng import given_streams, stream
from firstk.harness.rare import estimate
from firstk.harness.rare.choices import (
    Choices,
    chosen_scenario,
    first_round_trips,
    has_random_times,
    units_of,
)
from firstk.harness.rare.estimate import RareEstimate
from firstk.harness.rare.event import Event
from firstk.harness.rare.proposal import Numbers, Proposal, first_proposal
from firstk.harness.run.simulate import simulate
from firstk.harness.run.under_test import DownloaderSpec
from firstk.scenarios.model import Scenario

#: One of so many runs is a pilot. The pilots are made in rounds, each wiser than the last.
_PILOTS = 5
_ROUNDS = 4

#: How far beyond its level an event is studied in the pilots, if it is a quantile: so many times
#: likelier.
_NEARER = 3.0

#: Returns the time of a run, given its number and its choices; infinity is never.
TimeOf = Callable[[int, Choices], float]


class RareError(ValueError):
    """A scenario has no choices that importance sampling could make; the message says why."""


@dataclass(frozen=True, slots=True)
class _Sampled:
    """Runs: their choices, their times and their weights."""

    choices: Sequence[Choices]
    times: Sequence[float]
    weights: Numbers

    def and_then(self, others: _Sampled) -> _Sampled:
        """Return these runs and others."""
        return _Sampled(
            [*self.choices, *others.choices],
            [*self.times, *others.times],
            np.concatenate([self.weights, others.weights]),
        )

    def over(self, level: float) -> npt.NDArray[np.bool_]:
        """Return which of the times are over a level."""
        return np.array(self.times) > level


def estimate_rare(
    scenario: Scenario,
    strategy: DownloaderSpec,
    event: Event,
    runs: int,
    each: Callable[[], None] = lambda: None,
) -> RareEstimate:
    """Return the probability of an event in a download, or a quantile of its time.

    `runs` is the number of all runs, pilots included; run i has the seed of the scenario's run i.
    `each` is called after each run. Raises `RareError` if the scenario leaves nothing to chance
    that can be chosen, or has a workload, and `DownloaderError` as `simulate` does.
    """
    units = units_of(scenario)
    servers = scenario.grid.servers if event.is_late and has_random_times(scenario) else 0
    if scenario.workload is not None:
        raise RareError("has a [workload]: rare events are those of single downloads")
    if not units and not servers:
        raise RareError(
            "leaves nothing to chance that makes this event rare: it has no"
            " select = { probability = ... }, and its round-trip times are not random or do not"
            " matter"
        )

    def time_of(run: int, choices: Choices) -> float:
        seed = scenario.seed_of(run)
        with given_streams(first_round_trips(seed, choices.ranks)):
            made = simulate(chosen_scenario(scenario, units, choices), strategy, run)
        each()
        return event.time_of(made.result, scenario.stop)

    return sample(event, first_proposal(units, servers), runs, time_of, scenario.seed_of)


def sample(
    event: Event, first: Proposal, runs: int, time_of: TimeOf, seed_of: Callable[[int], int]
) -> RareEstimate:
    """Return the estimate of an event from so many runs, with `first` as the pilots' proposal."""
    pilots = max(_ROUNDS, runs // _PILOTS)
    proposal = first
    pilot = _Sampled([], [], np.array([]))
    level = event.level
    for number in range(_ROUNDS):
        begin, end = (pilots * i // _ROUNDS for i in (number, number + 1))
        pilot = pilot.and_then(_made(proposal, range(begin, end), time_of, seed_of))
        if event.tail is not None:
            level = _exceeded(pilot.times, pilot.weights, _NEARER * event.tail)
        late = pilot.over(level)
        if late.any():
            choices = [one for one, hit in zip(pilot.choices, late, strict=True) if hit]
            proposal = first.improved(choices, pilot.weights[late])
    main = _made(proposal, range(pilots, max(runs, pilots + 2)), time_of, seed_of)
    known = [one for one, hit in zip(pilot.choices, pilot.over(level), strict=True) if hit]
    known += [one for one, hit in zip(main.choices, main.over(level), strict=True) if hit]
    bound = float(proposal.weights(known or main.choices).max())
    if event.tail is not None:
        return estimate.quantile(main.times, event.tail, main.weights, main.choices, bound, pilots)
    occurs = main.over(level).tolist()
    return estimate.probability(occurs, main.weights, main.choices, bound, pilots)


def _made(
    proposal: Proposal, numbers: range, time_of: TimeOf, seed_of: Callable[[int], int]
) -> _Sampled:
    """Make the runs with these numbers."""
    choices = [proposal.draw(stream(seed_of(run), "rare")) for run in numbers]
    times = [time_of(run, one) for run, one in zip(numbers, choices, strict=True)]
    return _Sampled(choices, times, proposal.weights(choices))


def _exceeded(times: Sequence[float], weights: Numbers, tail: float) -> float:
    """Return the time that is exceeded with about this probability, short of never."""
    order = np.argsort(times)[::-1]
    beyond = np.cumsum(weights[order]) / len(times)
    place = int(np.searchsorted(beyond, tail))
    found = times[int(order[min(place, len(order) - 1)])]
    finite = [time for time in times if time < inf]
    return found if found < inf else max(finite, default=0.0)
