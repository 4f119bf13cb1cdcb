"""The capacities of a grid as a table and as JSON, with every rate that was tried."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import inf
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from firstk.harness.capacity.capacity import Capacity, Measured
from firstk.harness.capacity.runs import Alone
from firstk.harness.capacity.steady import TOLERANCE
from firstk.harness.stats.estimates import CONFIDENCE, Interval
from firstk.harness.stats.figures import rounded
from firstk.reports.model.capacity_words import basis, capacity, sentence, share, verdict
from firstk.reports.tables.rows import markdown
from firstk.scenarios.condition import Condition

#: The meaning of the table's columns.
LEGEND = """\
capacity: in downloads per second, between the greatest rate that is carried and the smallest \
that is not
rate: of the arrivals that were tried, in downloads per second
busy: the utilisation of the busiest resource: places to work, an uplink, the client's downlink
piled up: the share of the arriving downloads by which the number in progress grows; less than \
0 if it shrinks
In parentheses: intervals of the means over independent runs (Student's t). Busy has 95 %; the \
others share their 5 % between all looks at a rate.
"""


def table_rows(found: Sequence[Capacity], conditions: Sequence[Condition]) -> list[list[str]]:
    """Return the cells of the table, row by row, with the heading first: a row for each rate."""
    names = [str(condition) for condition in conditions]
    rows = [["strategy", "capacity", "rate", "busy", "piled up", *names, "runs", "verdict"]]
    for one in found:
        for measured in one.measured:
            rows.append(
                [
                    one.strategy,
                    capacity(one),
                    f"{measured.rate:g}",
                    share(measured.busy),
                    *(share(finding.estimate) for finding in measured.findings),
                    f"{measured.runs} × {measured.downloads}",
                    verdict(measured),
                ]
            )
    return rows


def table(found: Sequence[Capacity], conditions: Sequence[Condition]) -> Table:
    """Return the table."""
    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    heading, *rows = table_rows(found, conditions)
    for name in heading:
        made.add_column(name)
    for row in rows:
        made.add_row(*map(Text, row))
    return made


def as_markdown(found: Sequence[Capacity], conditions: Sequence[Condition]) -> str:
    """Return the table as Markdown."""
    return markdown(table_rows(found, conditions))


def as_json(name: str, found: Sequence[Capacity], conditions: Sequence[Condition]) -> str:
    """Return a JSON object: rates are in downloads per second, "inf" is a rate that is not known.

    The numbers of a condition on a quantile are shares of the downloads that are in time.
    """
    document = {
        "scenario": name,
        "target": [str(condition) for condition in conditions],
        "confidence": CONFIDENCE,
        "tolerance": TOLERANCE,
        "basis": basis(found),
        "answers": [_answer(one, conditions) for one in found],
    }
    return json.dumps(document, indent=1) + "\n"


def _answer(found: Capacity, conditions: Sequence[Condition]) -> dict[str, Any]:
    return {
        "strategy": found.strategy,
        "low": rounded(found.low),
        "high": "inf" if found.high == inf else rounded(found.high),
        "sentence": sentence(found, conditions),
        "alone": None if found.alone is None else _alone(found.alone),
        "rates": [_rate(one, conditions) for one in found.measured],
    }


def _alone(alone: Alone) -> dict[str, float]:
    return {"seconds": rounded(alone.seconds), "work": rounded(alone.work)}


def _rate(one: Measured, conditions: Sequence[Condition]) -> dict[str, Any]:
    names = ["piled_up", *(condition.name for condition in conditions)]
    numbers = _ends("busy", one.busy)
    for name, finding in zip(names, one.findings, strict=True):
        numbers |= _ends(f"target_{name}" if name == "busy" else name, finding.estimate)
    return {
        "rate": rounded(one.rate),
        "verdict": verdict(one),
        "met": one.met,
        "runs": one.runs,
        "downloads": one.downloads,
        **numbers,
    }


def _ends(name: str, found: Interval) -> dict[str, float]:
    return {
        name: rounded(found.estimate),
        f"{name}_low": rounded(found.low),
        f"{name}_high": rounded(found.high),
    }
