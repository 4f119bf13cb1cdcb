"""The result of tuning: a row for each strategy, those with the fewest bytes first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from math import isinf
from typing import Any

from firstk.harness.run.cells import QUANTILES
from firstk.harness.stats.estimates import CONFIDENCE
from firstk.harness.sweep.tuning import SETTINGS, Tuned, Tuning
from firstk.reports.model.tune_words import headline
from firstk.reports.tables import sweep
from firstk.reports.tables.rows import TableRow
from firstk.scenarios.seeds import seed_range
from firstk.scenarios.text import shell_word

#: The meaning of the table's columns.
LEGEND = """\
ok: the probability that a download succeeds
p50, p90, p99: the time within which 50, 90, 99 % of the downloads have {time}; one that fails or \
stalls counts as later than all others
requests, bytes: of a whole download, means over all downloads
verdict: "front" is a strategy that no other beat in the search, in p99 and bytes; "better" names \
one that beats it here in both
In parentheses: 95 % confidence intervals, which hold for each strategy separately, and however \
many runs are added; ~ marks estimates from too few runs for one
"""


def legend(tuning: Tuning) -> str:
    """Return the meaning of the columns."""
    return LEGEND.format(time="the whole file" if tuning.whole else "their first byte")


def rows(tuning: Tuning) -> list[TableRow]:
    """Return the rows of the table; the words end with the verdict."""
    found = sweep.rows([point.cell for point in tuning.points])
    return [
        replace(row, words={**row.words, "verdict": _verdict(point)})
        for row, point in zip(found, tuning.points, strict=True)
    ]


def _verdict(point: Tuned) -> str:
    words = ["front"] if point.chosen else []
    if point.dominated_by is not None:
        words.append(f"better: {point.dominated_by}")
    return "; ".join(words)


def notes(tuning: Tuning) -> list[str]:
    """Return which runs the figures are from, and the command that replays each strategy."""
    searched = seed_range(tuning.scenario.seed, tuning.rounds[-1].runs)
    shown = seed_range(tuning.seed, tuning.runs)
    rounds = ", ".join(f"{one.candidates} with {one.runs} runs" for one in tuning.rounds)
    return [
        f"search: {rounds}, seeds {searched}; all figures are from other runs, seeds {shown}",
        *(replay(tuning, point) for point in tuning.points),
    ]


def replay(tuning: Tuning, point: Tuned) -> str:
    """Return the command that repeats the runs of a strategy, and prints each."""
    return (
        f"firstk run {shell_word(tuning.scenario.source)} --strategy {point.strategy.name}"
        f" --seed {tuning.seed} --runs {tuning.runs} --format csv"
    )


def as_json(tuning: Tuning) -> str:
    """Return a JSON object: "inf" is never, and null is unknown."""
    document = {
        "scenario": tuning.scenario.name,
        "time": "finished" if tuning.whole else "ttfb",
        "confidence": CONFIDENCE,
        "headline": headline(tuning),
        "search": {
            "seed": tuning.scenario.seed,
            "rounds": [{"candidates": one.candidates, "runs": one.runs} for one in tuning.rounds],
        },
        "seed": tuning.seed,
        "runs": tuning.runs,
        "strategies": [
            _object(tuning, point, row)
            for point, row in zip(tuning.points, rows(tuning), strict=True)
        ],
    }
    return json.dumps(document, indent=1) + "\n"


def _object(tuning: Tuning, point: Tuned, row: TableRow) -> dict[str, Any]:
    settings = {
        name: getattr(point.strategy, name) if point.strategy.hedge else None for name in SETTINGS
    }
    wanted = ["ok", *QUANTILES]
    columns = [name for one in wanted for name in (one, f"{one}_low", f"{one}_high")]
    return {
        "strategy": point.strategy.name,
        **settings,
        "front": point.chosen,
        "better": point.dominated_by,
        **{name: _number(row.numbers[name]) for name in (*columns, "requests", "bytes")},
        "wrong_bytes": row.numbers["wrong_bytes"],
        "crashed": row.numbers["crashed"],
        "replay": replay(tuning, point),
    }


def _number(number: Any) -> Any:
    return str(number) if isinstance(number, float) and isinf(number) else number


def widths(of: Sequence[TableRow]) -> list[Any]:
    """Return the table in several widths, the widest first."""
    return [sweep.table(of, (), place) for place in ("beside", "below", "nowhere")]
