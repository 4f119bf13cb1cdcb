"""The results in sentences: the headlines of a report, and the descriptions of its pictures.

Every sentence is computed. Times of many runs are medians in which a run that never starts counts
as later than all others; the number of those that never start is given next to them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import inf

from firstk.harness.live.worlds import ABSOLUTE, RELATIVE, InWorlds, WorldsCompared
from firstk.harness.run.cells import Estimate
from firstk.harness.run.sample import OVERLOADED
from firstk.harness.run.strategy_runs import StrategyRuns
from firstk.harness.run.summary import reason
from firstk.harness.stats.estimates import Interval, NotEnough, in_words
from firstk.harness.stats.formats import multiple, percent, seconds
from firstk.reports.model.axis_names import axis_name
from firstk.reports.model.cases import Case, in_order
from firstk.reports.tables.workload import QUANTILES
from firstk.scenarios.experiment import label
from firstk.scenarios.faults import Fault
from firstk.scenarios.model import Scenario
from firstk.scenarios.selection import Count, Probability, selected
from firstk.scenarios.text import listed

#: Adjectives for servers with a fault.
_FAULTY = {
    "hung": "hung",
    "slow": "slow",
    "broken": "broken",
    "empty": "empty",
    "read-error": "failing every read",
    "disconnect": "disconnecting",
    "flaky": "flaky",
    "corrupt": "sending corrupt bytes",
    "truncated": "holding truncated shares",
    "trickle": "trickling",
    "stall": "stalling midway",
    "throttled": "throttled",
}


def circumstances(case: Case) -> str:
    """Return the circumstances of a case, such as "With 1 of 10 servers hung", or its name."""
    named = f"In {case.name}" if not case.values else f"At {case.name}"
    if case.scenario is None or case.values:
        return named
    return _trouble(case.scenario) or named


def _trouble(scenario: Scenario) -> str | None:
    """Return what is wrong with the servers, if a few words suffice."""
    servers = scenario.grid.servers
    found: list[str] = []
    seen: set[int] = set()
    for entry in scenario.servers:
        faults = entry.faults
        if not faults or len(entry.model_fields_set - {"select", "fault"}) > 0:
            return None
        what = " and ".join(dict.fromkeys(map(_words, faults)))
        if not isinstance(entry.select, str) and entry.select.group is not None:
            return None
        if isinstance(entry.select, Probability):
            part = percent(entry.select.probability)
            found.append(f"each of {servers} servers {what} with probability {part}")
        elif isinstance(entry.select, Count):
            found.append(_so_many(entry.select.count, servers, what))
        else:
            chosen = set(selected(entry.select, servers))
            if chosen & seen:
                return None
            seen |= chosen
            found.append(_so_many(len(chosen), servers, what))
    if len(found) > 2 or (len(found) > 1 and len(seen) == 0):
        return None
    if not found:
        return f"With all {servers} servers good"
    return f"With {' and '.join(found)}"


def _so_many(count: int, servers: int, what: str) -> str:
    who = f"all {servers}" if count == servers else f"{count} of {servers}"
    return f"{who} servers {what}"


def _words(fault: Fault) -> str:
    words = _FAULTY[fault.kind]
    if fault.shares is not None:
        words += f" for share{'s' if len(fault.shares) > 1 else ''} {listed(fault.shares)}"
    elif len(fault.operations) > 1 and len(fault.on or fault.operations) == 1:
        words += " on reads" if fault.affects("read") else " on queries"
    if fault.end is not None:
        return f"{words} for a time"
    return f"{words} from {seconds(fault.start)} on" if fault.start else words


def headline(case: Case) -> str:
    """Return the main result of a case in one sentence."""
    where = f"{circumstances(case)},"
    if not case.strategies:
        return f"{where} nothing has been run yet."
    if not case.asks:
        return f"{where} every download ends well; no block was asked for."
    return f"{where} {'; '.join(outcomes(case.strategies))}."


def outcomes(strategies: Sequence[StrategyRuns]) -> list[str]:
    """Return the result of each strategy in words; equal results are named once."""
    said: dict[str, list[str]] = {}
    for one in strategies:
        said.setdefault(_came_to(one), []).append(one.strategy)
    return [_about(names, words, len(strategies)) for words, names in said.items()]


def _about(names: Sequence[str], words: str, everything: int) -> str:
    """Return a sentence about strategies; marks in `words` become "s" if it is about one."""
    if len(names) == everything > 2:
        return f"every strategy {words.replace(_S, 's')}"
    if len(names) == 1:
        return f"{names[0]} {words.replace(_S, 's')}"
    return f"{', '.join(names[:-1])} and {names[-1]} {words.replace(_S, '')}"


#: Marks the place of the "s" of a verb in the singular.
_S = "\N{SECTION SIGN}"


def one_came_to(one: StrategyRuns) -> str:
    """Return the result of one strategy, as a sentence without its subject."""
    return _came_to(one).replace(_S, "s")


def _came_to(one: StrategyRuns) -> str:
    """Return the result of a strategy as a sentence without its subject, with marked verbs."""
    if overloaded := one.outcomes[OVERLOADED]:
        runs = "the run" if one.runs == 1 else f"{overloaded} of {one.runs} runs"
        return f"let{_S} downloads pile up faster than the grid can carry them, in {runs}"
    if one.runs == 1 and not one.loads:
        return _single(one)
    spread = one.distribution
    never = spread.count - spread.came
    downloads = "downloads" if one.loads else "runs"
    if not spread.came:
        return f"never start{_S}, in none of {spread.count} {downloads}{_at_most(one)}"
    half = one.quantile(0.5)
    words = f"start{_S} after {in_words(half)} in the median"
    if half.estimate is None or half.estimate == inf:
        words = f"start{_S} in {in_words(one.started, percent)} of the {downloads} only"
    elif never:
        words += f", and never in {in_words(_complement(one.started), percent)} of the {downloads}"
    later = sum(one.outcomes.values()) - one.outcomes["ok"] - never
    if later > 0:
        words += f" ({later} of {spread.count} start and do not end well)"
    return words


def _at_most(one: StrategyRuns) -> str:
    started = one.started
    if not isinstance(started, Interval) or started.high >= 1:
        return ""
    return f" (so in {percent(started.high)} at most)"


def _single(one: StrategyRuns) -> str:
    (sample,) = one.samples
    first = "" if sample.ttfb is None else f"start{_S} after {seconds(sample.ttfb)}"
    match sample.outcome:
        case "stalled":
            return f"{first}, then stall{_S} forever" if first else f"never start{_S}"
        case "failed":
            said = f"fail{_S}"
            result = one.single
            if result is not None and result.finished is not None:
                said += f" after {seconds(result.finished)}"
            if result is not None:
                said += f": {reason(result)}"
            return f"{first}, then {said}" if first else said
        case "deadline":
            busy = "had not ended by the deadline"
            return f"{first}, and {busy}" if first else "had not started by the deadline"
        case "ok":
            return first or f"end{_S} well without a block"
    return f"end{_S} the process it runs in"


def _complement(part: Estimate) -> Estimate:
    if isinstance(part, Interval):
        return Interval(1 - part.estimate, 1 - part.high, 1 - part.low)
    return NotEnough(None if part.estimate is None else 1 - part.estimate, part.runs, part.needed)


def along(cases: Sequence[Case], axis: str) -> Iterator[str]:
    """Yield, for each strategy, how the median changes along an axis."""
    if axis == _LOAD:
        yield from _carried(in_order(cases, axis))
    named = axis_name(axis, cases[0].scenario).partition(" (")[0]
    said = axis if named == axis else f"the {named}"
    for name, points in _by_strategy(in_order(cases, axis)):
        values = [_value(case, axis) for case, _ in points]
        medians = [one.quantile(0.5) for _, one in points]
        starting = [i for i, m in enumerate(medians) if m.estimate is not None and m.estimate < inf]
        if not starting:
            yield f"{name} never starts in most runs, whatever {said} is."
            continue
        first, last = starting[0], starting[-1]
        begins, ends = medians[first], medians[last]
        words = f"Where {said} is {values[first]}, the median of {name} is {in_words(begins)}"
        if first != last:
            words = (
                f"As {said} goes from {values[first]} to {values[last]}, the median of {name}"
                f" goes from {in_words(begins)} to {in_words(ends)}"
            )
        silent = [values[i] for i in range(len(values)) if i not in starting]
        if silent and len(silent) == len(values) - last - 1:
            at = values[last + 1]
            words += f"; {'from ' if len(silent) > 1 else 'at '}{at}"
            words += f"{' on' if len(silent) > 1 else ''} most downloads never start"
        elif silent:
            words += f"; at {', '.join(silent)} most downloads never start"
        yield f"{words}{_fewest([points[i] for i in starting])}."


#: The axis of a load in downloads per second, and the utilisation that counts as saturated.
_LOAD = "workload.arrivals.rate"
_SATURATED = 0.95


def _carried(cases: Sequence[Case]) -> Iterator[str]:
    """Yield, for each strategy, the loads of the sweep that the grid carries."""
    for name, points in _by_strategy(cases):
        used = [_utilisation(one) for _, one in points]
        known = [(_value(case, _LOAD), u) for (case, _), u in zip(points, used, strict=True) if u]
        if not known:
            continue
        lost = next((found for found in known if found[1] >= _SATURATED), None)
        busiest = "the busiest resource is in use"
        if lost is None:
            at, part = known[-1]
            yield (
                f"With {name} the grid carries every load swept, up to {at} downloads per second:"
                f" {busiest} {percent(part)} of the time there."
            )
        elif known[0] is lost:
            yield f"With {name} the grid saturates at {lost[0]} downloads per second already."
        else:
            at, part = known[known.index(lost) - 1]
            yield (
                f"With {name} the grid saturates between {at} and {lost[0]} downloads per second:"
                f" {busiest} {percent(part)} of the time at {at} and"
                f" {_in_use(lost[1])} at {lost[0]}."
            )


def _utilisation(one: StrategyRuns) -> float | None:
    """Return the utilisation of the busiest resource; infinity if it cannot carry the load."""
    if one.outcomes[OVERLOADED]:
        return inf
    return None if one.busy is None else one.busy.estimate


def _in_use(part: float) -> str:
    return "cannot keep up" if part == inf else percent(part)


def over(cases: Sequence[Case]) -> Iterator[str]:
    """Yield, for each strategy, the best and the worst point of several axes."""
    for name, points in _by_strategy(cases):
        found = [(m.estimate, m, case.name) for case, one in points if (m := one.quantile(0.5))]
        finite = [(t, m, at) for t, m, at in found if t is not None and t < inf]
        lost = len(found) - len(finite)
        if not finite:
            yield f"{name} never starts in most runs, at any of {len(found)} points."
            continue
        best, worst = min(finite, key=lambda f: f[0]), max(finite, key=lambda f: f[0])
        words = f"{name}: the median is {in_words(best[1])} at best ({best[2]})"
        if worst is not best:
            words += f" and {in_words(worst[1])} at worst ({worst[2]})"
        if lost:
            words += f"; at {lost} of {len(found)} points most downloads never start"
        times = [at for _, _, at in finite]
        yield f"{words}{_fewest([point for point in points if point[0].name in times])}."


def _fewest(points: Sequence[tuple[Case, StrategyRuns]]) -> str:
    """Return at which point the fewest downloads start, unless all start everywhere."""
    known = [(p, case.name, one.started) for case, one in points if (p := one.started.estimate)]
    part, at, started = min(known, key=lambda found: found[0], default=(1.0, "", None))
    return (
        "" if part >= 1 else f"; at {at} only {in_words(started, percent)} of the downloads start"
    )


def _by_strategy(cases: Sequence[Case]) -> Iterator[tuple[str, list[tuple[Case, StrategyRuns]]]]:
    names = dict.fromkeys(one.strategy for case in cases for one in case.strategies)
    for name in names:
        yield (
            name,
            [(case, one) for case in cases for one in case.strategies if one.strategy == name],
        )


def _value(case: Case, axis: str) -> str:
    return label(case.values[axis])


def gain(case: Case) -> str | None:
    """Return which strategy gains most over the first one, run by run, if it is certain."""
    sure = [
        (one.against, one.strategy)
        for one in case.strategies
        if isinstance(one.against, Interval) and one.against.high < 0
    ]
    if not sure:
        return None
    against, name = min(sure, key=lambda pair: pair[0].estimate)
    first = case.strategies[0].strategy
    if against.estimate == -inf:
        return f"In most runs {name} starts where {first} never does."
    sooner = Interval(-against.estimate, -against.high, -against.low)
    return f"{name} starts {sooner.words(seconds)} sooner than {first}, in the median of the runs."


def spread(case: Case) -> str:
    """Return a description of the picture of a distribution."""
    parts = []
    for one in case.strategies:
        found = one.distribution
        quantiles = [
            f"p{100 * q:g} {seconds(time)}"
            for q in QUANTILES
            if (time := found.quantile(q)) is not None and (1 - q) * found.count >= 1 - 1e-9
        ]
        parts.append(f"{one.strategy} {', '.join(quantiles)}")
    return f"Time to first byte, {case.name}: {'; '.join(parts)}."


def nearness(cases: Sequence[Case]) -> str:
    """Return a description of the picture of the ratios to the bound."""
    parts = []
    for name, points in _by_strategy(cases):
        halves = [half for _, one in points if (half := one.over_bound(0.5)) is not None]
        numbers = [half.estimate for half in halves if half.estimate is not None]
        if not numbers:
            continue
        low, high = multiple(min(numbers)), multiple(max(numbers))
        parts.append(f"{name} {low if low == high else f'{low} to {high}'}")
    return f"Median time to first byte over the bound: {'; '.join(parts)}."


def price(cases: Sequence[Case]) -> str:
    """Return a description of the picture of costs, from its last case."""
    case = cases[-1]
    parts = [
        f"{one.strategy} {count(one.requests)} requests and {count(one.bytes)} bytes"
        f" for a first byte after {in_words(one.quantile(0.5))}"
        for one in case.strategies
    ]
    return f"{circumstances(case)}, a download takes, on average: {'; '.join(parts)}."


def count(number: float | None) -> str:
    """Return a mean of counts as text; "-" if there is none."""
    if number is None:
        return "-"
    return f"{number:,.0f}" if number >= 1000 else f"{number:.3g}"


def of_live(found: WorldsCompared) -> Iterator[str]:
    """Yield a sentence for each strategy of a scenario on real servers, and each difference."""
    for one in found.strategies:
        said = [f"{world} {_in_world(one, world)}" for world in found.worlds]
        yield (
            f"{one.strategy}: {', '.join(said)}; {one.near} of {len(one.pairs)} runs are within"
            f" {RELATIVE:.0%} or {ABSOLUTE * 1000:.0f} ms of each other."
        )
    yield from (f"It differs: {difference}." for difference in found.differences)


def _in_world(one: InWorlds, world: str) -> str:
    """Return the result of the runs in a world: their median, or how they ended."""
    outcomes = Counter(result.outcome for result in one.results(world))
    median = one.median(world)
    others = [
        f"{count} {outcome}" for outcome, count in sorted(outcomes.items()) if outcome != "ok"
    ]
    return ", ".join([*([] if median is None else [seconds(median)]), *others]) or "no first byte"
