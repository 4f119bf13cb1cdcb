"""The table of `firstk live`: a scenario in several worlds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from firstk.harness.live.worlds import SIMULATED, InWorlds, WorldsCompared
from firstk.harness.run.result import Result
from firstk.harness.stats.estimates import in_words, quantile
from firstk.harness.stats.formats import seconds

LEGEND = """\
In each world: the median time to first byte with its 95 % interval (~ stands for too few runs \
for one), and how many runs ended otherwise than well
difference: of the medians, from the simulation
near: the runs whose first byte came within 10 % or 10 ms of the simulated one, or in neither
The round-trip times of the simulation are those measured on the real servers.
"""


def table(found: WorldsCompared) -> Table:
    """Return the table, with a row for each strategy."""
    made = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    made.add_column("scenario", overflow="fold", min_width=10)
    made.add_column("strategy", no_wrap=True)
    for world in found.worlds:
        made.add_column(world, min_width=15)
        if world != SIMULATED:
            made.add_column("difference", justify="right", no_wrap=True)
    made.add_column("near", justify="right", no_wrap=True)
    for i, one in enumerate(found.strategies):
        cells = [found.scenario.name if i == 0 else "", one.strategy]
        for world in found.worlds:
            cells.append(_in_world(one.results(world)))
            if world != SIMULATED:
                cells.append(_difference(one, world))
        cells.append(f"{one.near} of {len(one.pairs)}")
        made.add_row(*map(Text, cells))
    return made


def _in_world(results: Sequence[Result]) -> str:
    counts = Counter(result.outcome for result in results)
    others = [f"{count} {outcome}" for outcome, count in sorted(counts.items()) if outcome != "ok"]
    times = [result.ttfb for result in results]
    if all(time is None for time in times):
        return ", ".join(others) or "no first byte"
    return ", ".join([in_words(quantile(times, 0.5)), *others])


def _difference(one: InWorlds, world: str) -> str:
    expected, got = one.median(SIMULATED), one.median(world)
    if expected is None or got is None:
        return "-" if expected is got else "∞"
    sign = "+" if got >= expected else "-"
    part = f" ({got / expected - 1:+.0%})" if expected else ""
    return f"{sign}{seconds(abs(got - expected))}{part}"


def as_json(found: WorldsCompared) -> str:
    """Return all results: a list with one object for each strategy, run and world."""
    rows = [
        {"world": world, **asdict(pair.result(world))}
        for one in found.strategies
        for pair in one.pairs
        for world in found.worlds
    ]
    return json.dumps(rows, indent=2) + "\n"
