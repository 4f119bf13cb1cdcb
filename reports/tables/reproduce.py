"""The table of `firstk reproduce`: published numbers, exact ones, and ours."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from firstk.harness.reproduce.comparison import Reproduced, Verdict

LEGEND = """\
published: as printed; of a theorem, computed from its formula
exact: from the parameters that the source states; - where no closed form is known
ours: the estimate from our runs, with its 95 % confidence interval. Those of quantiles and \
probabilities hold however often you look; those of means are Student's
agrees: within one unit of the last digit of the exact value, or, if the source simulated it, in \
our interval
explained: a known mistake, given below, leads to the printed digits
differs: neither, or the exact value is outside our interval. This is exit status 1
undecided: too few runs for an interval
"""


def table(found: Sequence[Reproduced]) -> Table:
    """Return the table, with a row for each number."""
    made = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    made.add_column("number", overflow="fold", min_width=16)
    made.add_column("case", min_width=20)
    for name in ("published", "exact", "ours"):
        made.add_column(name, justify="right")
    made.add_column("verdict", no_wrap=True)
    before = None
    for one in found:
        case = one.published.number.case
        made.add_row(*map(Text, [one.published.id, case if case != before else "", *_words(one)]))
        before = case
    return made


def _words(one: Reproduced) -> list[str]:
    """Return the cells of a row after the case, as text."""
    of = one.published
    unit = f" {of.number.unit}".rstrip()
    exact = "-" if one.exact is None else _digits(one.exact, of.digits) + unit
    return [of.digits + unit, exact, _interval(one) + unit, one.verdict]


def _interval(one: Reproduced) -> str:
    if one.ours is None:
        return "-"
    if one.low is None:
        return f"~ {one.ours:.4g}"
    high = "never" if one.high is None else f"{one.high:.4g}"
    return f"{one.ours:.4g} ({one.low:.4g} to {high})"


def _digits(value: float, like: str) -> str:
    """Return a value with one digit more than a printed number has."""
    _, _, fraction = like.partition(".")
    return f"{value:.{min(16, len(fraction) + 1)}f}"


def reasons(found: Sequence[Reproduced]) -> list[str]:
    """Return a sentence for each number that does not simply agree; equal reasons are merged."""
    by_reason: dict[str, list[str]] = {}
    for one in found:
        if one.verdict in ("explained", "differs"):
            why = one.reason or "no reason is known"
            by_reason.setdefault(f"{one.verdict}: {why}", []).append(one.published.id)
    return [f"{', '.join(ids)}: {why}" for why, ids in by_reason.items()]


def summary(found: Sequence[Reproduced]) -> str:
    """Return a sentence with the number of each verdict."""
    counts = Counter(one.verdict for one in found)
    parts = [f"{counts[verdict]} {words}" for verdict, words in _VERDICTS if counts[verdict]]
    papers = len({one.published.paper.id for one in found})
    sources = "1 source" if papers == 1 else f"{papers} sources"
    return f"{len(found)} numbers from {sources}: {', '.join(parts)}"


_VERDICTS: Sequence[tuple[Verdict, str]] = (
    ("agrees", "agree"),
    ("explained", "explained"),
    ("differs", "differ"),
    ("undecided", "undecided"),
)


def as_json(found: Sequence[Reproduced]) -> str:
    """Return a JSON list with an object for each number."""
    return json.dumps([one.to_json() for one in found], indent=1, ensure_ascii=False) + "\n"


def as_csv(found: Sequence[Reproduced]) -> str:
    """Return CSV with a line for each number."""
    text = io.StringIO()
    rows = [one.to_json() for one in found]
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
