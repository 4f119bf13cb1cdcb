"""A later run compared with a baseline: what has become worse or better, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from firstk.reports.tables.baseline import Baseline, BaselineRow

#: The outcomes of a download, the best first: a clear error is better than a hang.
_OUTCOMES = ("ok", "failed", "deadline", "stalled")

#: The relative difference of two times that are equal apart from rounding to nine digits.
_ROUNDING = 1e-8

#: A tolerance for rounding errors: 0.29 times 100 is slightly less than 29.
_HAIR = 1e-12

#: The maximum number of changes that are listed; the rest are counted.
_MOST = 20

_COLUMNS = ("", "scenario", "strategy", "seed", "what", "before", "now", "change")

Verdict = Literal["worse", "better"]


@dataclass(frozen=True, slots=True)
class Change:
    """One change in a run.

    `verdict` is None if the change is neither good nor bad: a download with another outcome may
    send more or fewer requests.
    """

    row: BaselineRow
    what: str
    before: str
    now: str
    by: str
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of the check.

    `new` and `gone` are rows that only one side has; `compared` is the number that both have.
    """

    changes: Sequence[Change]
    equal: int
    new: Sequence[BaselineRow]
    gone: Sequence[BaselineRow]
    compared: int

    @property
    def worse(self) -> Sequence[BaselineRow]:
        """The rows that have a regression."""
        return self._rows("worse")

    @property
    def better(self) -> Sequence[BaselineRow]:
        """The rows that have become better, and worse in nothing."""
        worse = {row.key for row in self.worse}
        return [row for row in self._rows("better") if row.key not in worse]

    def _rows(self, verdict: Verdict) -> Sequence[BaselineRow]:
        rows = {c.row.key: c.row for c in self.changes if c.verdict == verdict}
        return list(rows.values())


def check(before: Baseline, now: Baseline, tolerance: float) -> Checked:
    """Compare `now` with `before`; times and counts may differ by the fraction `tolerance`."""
    old = {row.key: row for row in before.rows}
    new = {row.key: row for row in now.rows}
    changes: list[Change] = []
    equal = 0
    for key, row in new.items():
        if key in old:
            found = list(_changes(old[key], row, tolerance))
            changes += found
            equal += not found
    return Checked(
        changes,
        equal,
        [row for key, row in new.items() if key not in old],
        [row for key, row in old.items() if key not in new],
        len(old.keys() & new.keys()),
    )


def _changes(old: BaselineRow, new: BaselineRow, tolerance: float) -> Iterator[Change]:
    """Yield what has changed in one run, the most important first."""
    comparable = old.outcome == new.outcome and old.error == new.error
    if not comparable:
        worse = _badness(new) >= _badness(old)  # a different error is not an improvement
        yield Change(new, "outcome", _outcome(old), _outcome(new), "", _verdict(worse))
    if (old.content_ok is False) != (new.content_ok is False):
        worse = new.content_ok is False
        before, now = ("right", "wrong") if worse else ("wrong", "right")
        yield Change(new, "bytes written", before, now, "", _verdict(worse))
    for what, a, b, unit in (
        ("first byte", old.ttfb, new.ttfb, " s"),
        ("finished", old.finished, new.finished, " s"),
        ("requests", old.requests, new.requests, ""),
        ("bytes", old.bytes, new.bytes, ""),
    ):
        x, y = (inf if value is None else value for value in (a, b))
        slack = tolerance + (_ROUNDING if unit else _HAIR)
        if x == y or abs(y - x) <= slack * x < inf:
            continue
        verdict = _verdict(y > x) if comparable else None
        yield Change(new, what, _value(x, unit), _value(y, unit), _by(x, y, unit), verdict)


def _badness(row: BaselineRow) -> int:
    return _OUTCOMES.index(row.outcome)


def _verdict(worse: bool) -> Verdict:
    return "worse" if worse else "better"


def _outcome(row: BaselineRow) -> str:
    return f"{row.outcome}: {row.error}" if row.error else row.outcome


def _value(value: float, unit: str) -> str:
    return "never" if value == inf else f"{value:.9g}{unit}"


def _by(before: float, now: float, unit: str) -> str:
    """Return by how much something has changed."""
    if inf in (before, now):
        return ""
    part = f" ({(now - before) / before * 100:+.3g}%)" if before else ""
    return f"{now - before:+.6g}{unit}{part}"


def headline(checked: Checked, name: str) -> str:
    """Return the result of the check in one line."""
    counts = [
        f"{len(checked.worse)} worse",
        f"{len(checked.better)} better",
        f"{checked.equal} equal",
        f"{len(checked.new)} new",
        f"{len(checked.gone)} gone",
    ]
    return f"Against {name}: {', '.join(counts)}."


def missing(checked: Checked, allow_gone: bool) -> str | None:
    """Return an error if too little was left to compare; `allow_gone` permits missing rows."""
    if not checked.compared:
        return "none of its runs was made now, so nothing was compared; --save makes a new baseline"
    if checked.gone and not allow_gone:
        count = len(checked.gone)
        what = "1 run is" if count == 1 else f"{count} runs are"
        return f"{what} gone; --allow-gone lets that pass, and --save makes a new baseline"
    return None


def notes(checked: Checked) -> Iterator[str]:
    """Yield a line each about rows that are new, gone, or not listed."""
    left_out = len(checked.changes) - _MOST
    if left_out > 0:
        yield f"{left_out} more changes are not shown."
    for what, rows in (("new", checked.new), ("gone", checked.gone)):
        of: dict[str, list[str]] = {}
        for row in rows:
            of.setdefault(row.scenario, []).append(row.strategy)
        for scenario, strategies in list(of.items())[:_MOST]:
            runs = "1 run" if len(strategies) == 1 else f"{len(strategies)} runs"
            yield f"{what}: {scenario}, {runs} of {', '.join(dict.fromkeys(strategies))}"
        if len(of) > _MOST:
            yield f"{what}: {len(of) - _MOST} more scenarios"


def _cells(checked: Checked) -> Iterator[tuple[str, ...]]:
    """Yield the cells of the changes, regressions first."""
    worse = {row.key for row in checked.worse}
    ordered = sorted(checked.changes, key=lambda change: change.row.key not in worse)
    for c in ordered[:_MOST]:
        row = c.row
        mark = c.verdict or ""
        yield mark, row.scenario, row.strategy, str(row.seed), c.what, c.before, c.now, c.by


def changes_table(checked: Checked) -> Table:
    """Return the changes as a table."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in _COLUMNS:
        right = column in ("seed", "before", "now", "change")
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    for cells in _cells(checked):
        style = "bold" if cells[0] == "worse" else ""
        table.add_row(*(Text(cell, style=style) for cell in cells))
    return table


def as_markdown(checked: Checked, name: str) -> str:
    """Return the whole check as Markdown, for a pull request."""
    lines = [f"**{headline(checked, f'`{name}`')}**", ""]
    if checked.changes:
        lines += [
            f"| {' | '.join(_COLUMNS)} |",
            "| --- | --- | --- | ---: | --- | ---: | ---: | ---: |",
        ]
        for mark, scenario, strategy, *rest in _cells(checked):
            marked = "**worse**" if mark == "worse" else mark
            lines.append(f"| {' | '.join([marked, scenario, f'`{strategy}`', *rest])} |")
        lines.append("")
    lines += [f"- {note}" for note in notes(checked)]
    return "\n".join(lines).rstrip("\n") + "\n"
