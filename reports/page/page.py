"""The page of a report: one self-contained HTML file, with all its pictures in it.

It is made from cases alone, so equal results make equal bytes. Without JavaScript everything is
still there; JavaScript sorts tables and hides scenarios.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from math import inf
from pathlib import Path

import tomli_w
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from firstk.harness.capacity.capacity import Capacity
from firstk.harness.explain.alternatives import Alternatives
from firstk.harness.live.worlds import WorldsCompared
from firstk.harness.run.bound import BOUND
from firstk.harness.run.cells import Estimate
from firstk.harness.run.comparison import Compared
from firstk.harness.run.strategy_runs import StrategyRuns
from firstk.harness.run.summary import verdict
from firstk.harness.run.under_test import is_external
from firstk.harness.stats.estimates import in_words
from firstk.harness.stats.formats import multiple, percent, seconds
from firstk.reports.model import plan_words
from firstk.reports.model.axis_names import axis_name
from firstk.reports.model.capacity import capacities
from firstk.reports.model.cases import Case
from firstk.reports.model.plan import PlanResult
from firstk.reports.page import answers, findings, published
from firstk.reports.page.answers import Answer
from firstk.reports.page.play import Play
from firstk.reports.page.published import PublishedRow
from firstk.reports.plots import capacity as capacity_plot
from firstk.reports.plots import cost, distribution, latency, ratio, style, timeline
from firstk.reports.plots import live as live_plot
from firstk.reports.plots import plan as plan_plot
from firstk.reports.plots import sweep as sweep_plots
from firstk.reports.plots.scale import evenly
from firstk.reports.tables import plan as plan_table
from firstk.reports.tables.workload import QUANTILES
from firstk.scenarios.experiment import label
from firstk.scenarios.seeds import seed_range

#: The file name of the page.
NAME = "report.html"

#: The maximum numbers of distributions, and of maps or lines, drawn for an experiment.
_DISTRIBUTIONS = 4
_SLICES = 6

#: The maximum number of rows shown in a table; the store has the rest.
_ROWS = 3000


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that was drawn: its files, a caption, and a full description."""

    files: Sequence[Path]
    caption: str
    alt: str

    @property
    def text(self) -> str:
        """The alternative text, on one line."""
        return style.plain(self.alt, 2000)

    @property
    def data(self) -> str:
        """The picture as a data URL."""
        svg = next(file for file in self.files if file.suffix == ".svg")
        return f"data:image/svg+xml;base64,{b64encode(svg.read_bytes()).decode('ascii')}"


@dataclass(frozen=True, slots=True)
class Value:
    """A cell of a table: its text, the text of its interval, and its sort key."""

    words: str
    interval: str = ""
    key: str = ""
    command: bool = False


@dataclass(frozen=True)
class Report:
    """The contents of a page. `axes` are those of the experiment, if it is about a store.

    `overloaded` is True if a grid could not carry its workload with some strategy, which then has
    no results. `version` is the version of firstk that made the results. `warnings` are what the
    reader must know before believing any number. `closely` is one run of an experiment, for its
    timeline. `plan` is what a plan's store shows about it. `live` is a scenario on real servers,
    with its simulation. `played` has the runs of the cases that can be played, by name.
    `published` are published numbers beside ours. `files` maps the names of files in commands to
    their paths.
    """

    title: str
    description: str
    cases: Sequence[Case]
    version: str
    axes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    of_store: bool = False
    overloaded: bool = False
    closely: Compared | None = None
    live: WorldsCompared | None = None
    published: Sequence[PublishedRow] = ()
    played: Mapping[str, Alternatives] = field(default_factory=dict)
    plan: PlanResult | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    tell: Callable[[str], None] = field(default=lambda what: None)

    @cached_property
    def there(self) -> list[Case]:
        """The cases that have runs."""
        return [case for case in self.cases if case.strategies]

    @cached_property
    def capacities(self) -> list[Capacity]:
        """The capacities of the strategies, if it is about a sweep over the rate of arrivals."""
        return capacities(self.there, self.axes)

    @property
    def of_many(self) -> bool:
        """Whether there are estimates, because some case has more than one run."""
        return any(case.runs > 1 or case.has_workload for case in self.there)


def write(report: Report, folder: Path) -> list[Path]:
    """Write the page and its pictures into a folder; return the files, the page first."""
    drawn = _Pictures(report, folder)
    overview, of_case = drawn.overview(), {c.name: drawn.of_case(c) for c in report.there}
    environment = Environment(
        loader=PackageLoader("firstk.reports.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "separators": (",", ":")}
    environment.filters["toml"] = lambda tables: Markup.escape(tomli_w.dumps(tables))
    columns, rows = _table(report)
    text = environment.get_template("page.html.j2").render(
        report=report,
        headlines=list(headlines(report)),
        overview=overview,
        answers=answers_of(report),
        answer_pictures={"plan": drawn.of_plan(), "capacity": drawn.of_capacity()},
        live=drawn.of_live(),
        published=report.published,
        published_headline=published.headline(report.published),
        published_reasons=published.reasons(report.published),
        live_findings=list(findings.of_live(report.live)) if report.live else [],
        pictures=of_case,
        plays={
            c.name: Play(c, report.played[c.name]) for c in report.there if c.name in report.played
        },
        scripts=_scripts(environment, ["page.js", *(["play.js"] if report.played else [])]),
        facts=list(_facts(report)),
        columns=columns,
        rows=rows[:_ROWS],
        files={word: _beside(path, folder) for word, path in report.files.items()},
        left_out=max(0, len(rows) - _ROWS),
        sentence=findings.headline,
        circumstances=findings.circumstances,
        outcomes=findings.outcomes,
        gain=findings.gain,
        sections=_sections(report, of_case),
        bound=BOUND,
        bounded=max((len(one.bounds) for c in report.there for one in c.strategies), default=0),
    )
    page = folder / NAME
    page.write_text(text, encoding="utf-8", newline="\n")
    return [page, *drawn.files]


def answers_of(report: Report) -> list[Answer]:
    """Return the sections that answer questions."""
    found = []
    if report.plan is not None:
        found.append(answers.of_plan(report.plan))
    if report.capacities:
        found.append(answers.of_capacity(report.capacities))
    return found


def _scripts(environment: Environment, names: Sequence[str]) -> Mapping[str, Markup]:
    """Return scripts by the hash that the page's policy allows: no other script can run."""
    assert environment.loader is not None
    texts = [environment.loader.get_source(environment, name)[0] for name in names]
    return {
        f"sha256-{b64encode(sha256(text.encode()).digest()).decode('ascii')}": Markup(text)  # noqa: S704
        for text in texts
    }


def _of_interest(report: Report) -> list[Case]:
    """Return the cases to show in detail: for a plan, the cheapest that meets the target."""
    if report.plan is None:
        return report.there
    best = plan_words.cheapest(report.plan.candidates)
    return [] if best is None else [report.cases[best.candidate.point]]


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    """Yield what the results are about, as names and values."""
    of_all = [(case, one) for case in report.there for one in case.strategies]
    if not of_all:
        return
    names = list(dict.fromkeys(one.strategy for _, one in of_all))
    own = [name for name in names if is_external(name)]
    if own:
        yield f"downloader{'s' * (len(own) > 1)}", ", ".join(own)
    if ours := [name for name in names if name not in own]:
        yield "strategies" if len(ours) > 1 else "strategy", ", ".join(ours)
    counts = sorted({one.runs for _, one in of_all})
    runs = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    what = "point and strategy" if report.of_store else "scenario and strategy"
    yield "runs", f"{runs} of each {what}"
    if len({case.seed for case in report.there}) == 1:
        most = max(case.runs for case in report.there)
        yield f"seed{'s' * (most != 1)}", str(seed_range(report.there[0].seed, most))
    yield "firstk", report.version


def _beside(file: Path, folder: Path) -> str:
    """Return the path of a file relative to a folder, with forward slashes."""
    return Path(os.path.relpath(file.resolve(), folder.resolve())).as_posix()


def _sections(report: Report, of_case: dict[str, list[Picture]]) -> list[Case]:
    """Return the cases that have their own section."""
    if not report.of_store:
        return list(report.there)
    return [case for case in report.there if of_case[case.name]]


def headlines(report: Report) -> Iterator[str]:
    """Yield the headlines of the page, computed from its results."""
    if report.plan is not None and report.there:
        plan, found = report.plan.plan, report.plan.candidates
        for line in plan_words.headline(plan, found), *plan_words.notes(plan, found):
            yield f"{line[0].upper()}{line[1:]}."
    elif not report.there:
        yield (
            "The grid cannot carry this load: there are no results."
            if report.overloaded
            else "There are no results yet."
        )
    elif len(report.axes) == 1:
        yield from findings.along(report.there, report.axes[0])
    elif len(report.axes) > 1:
        yield from findings.over(report.there)
    else:
        for case in report.there:
            yield findings.headline(case)


class _Pictures:
    """Draws the pictures of a report, and remembers the files."""

    def __init__(self, report: Report, folder: Path) -> None:
        self._report = report
        self._folder = folder
        self.files: list[Path] = []
        self._numbers = {case.name: number for number, case in enumerate(report.cases)}
        spread = [case for case in _of_interest(report) if distribution.is_worth_drawing(case)]
        most = _DISTRIBUTIONS if report.of_store else len(spread)
        self._spread = [case.name for case in evenly(spread, max(2, most))]

    def _add(self, files: Sequence[Path], caption: str, alt: str) -> Picture:
        self._report.tell(files[0].stem)
        self.files += files
        return Picture(files, caption, alt)

    def overview(self) -> list[Picture]:
        """Return the pictures about all cases."""
        report, found = self._report, []
        version = report.version
        compared = [case.compared for case in report.there if case.compared is not None]
        if compared:
            caption = "Time to first byte, scenario by scenario."
            if any(one.scenario.runs > 1 for one in compared):
                caption += " Marks are medians, lines ranges over the runs."
            alt = " ".join(findings.headline(c) for c in report.there if c.compared is not None)
            found.append(
                self._add(latency.draw(compared, self._folder / "latency", version), caption, alt)
            )
        if report.plan is not None:
            return found
        found += self._along_axes()
        if ratio.shown(report.there):
            files = ratio.draw(report.there, self._folder / "ratio", version)
            caption = f"Time to first byte over the clairvoyant bound: {BOUND}."
            found.append(self._add(files, caption, findings.nearness(ratio.shown(report.there))))
        if report.of_store and (some := cost.shown(report.there)):
            files = cost.draw(report.there, self._folder / "cost", version)
            found.append(self._add(files, _COST, findings.price(some)))
        if report.closely is not None:
            files = timeline.draw(report.closely, self._folder / "timeline", version)
            at = report.closely.scenario.description
            caption = f"The first run closely, at {at}: one lane per server."
            found.append(self._add(files, caption, _timeline_alt(report.closely)))
        return found

    def of_live(self) -> list[Picture]:
        """Return the pictures of a scenario on real servers."""
        found = self._report.live
        if found is None:
            return []
        alt = " ".join(findings.of_live(found))
        version, name = self._report.version, f"live-{found.scenario.name}"
        times = live_plot.draw_times(found, self._folder / f"{name}-times", version)
        first = live_plot.draw(found, self._folder / name, version)
        return [
            self._add(times, "Time to first byte of each run, simulated and on real servers.", alt),
            self._add(first, "The first run in each world, on one axis: one lane per server.", alt),
        ]

    def of_plan(self) -> list[Picture]:
        """Return the picture of a plan."""
        plan = self._report.plan
        if plan is None or not plan_plot.shown(plan):
            return []
        files = plan_plot.draw(plan, self._folder / "plan", self._report.version)
        caption = (
            f"The candidates and the target, {plan.plan.target}. A candidate meets it once all of"
            " its intervals lie in the shaded part."
        )
        return [self._add(files, caption, " ".join(headlines(self._report)))]

    def of_capacity(self) -> list[Picture]:
        """Return the picture of the capacities that a sweep over rates shows."""
        found = self._report.capacities
        if not found:
            return []
        report = self._report
        files = capacity_plot.draw(
            report.title, found, [], self._folder / "capacity", report.version
        )
        caption = (
            "How busy the grid is at each rate of arrivals, and what piles up. A rate is carried"
            " once its interval lies in the shaded part; the bars below are the answers."
        )
        return [self._add(files, caption, " ".join(answers.of_capacity(found).lines))]

    def _along_axes(self) -> Iterator[Picture]:
        """Yield the pictures along an experiment's axes, one for each value of further axes."""
        axes, cases = self._report.axes, [c for c in self._report.there if c.asks]
        if not axes or not cases:
            return
        drawn, rest = axes[:2], axes[2:]
        slices: dict[str, list[Case]] = {}
        for case in cases:
            key = ", ".join(f"{axis} = {label(case.values[axis])}" for axis in rest)
            slices.setdefault(key, []).append(case)
        shown = evenly(list(slices), _SLICES)
        for number, key in enumerate(shown):
            of_slice = slices[key]
            at = f" at {key}" if key else ""
            end = f"-{number}" if key else ""
            left = f" {len(slices) - len(shown)} more of these are not drawn." * (
                number == len(shown) - 1 and len(shown) < len(slices)
            )
            if len(drawn) == 2:
                path = self._folder / f"map{end}"
                files = sweep_plots.draw_map(
                    of_slice, (drawn[0], drawn[1]), path, self._report.version, at
                )
                caption = f"Median time to first byte over {drawn[0]} and {drawn[1]}{at}.{left}"
                alt = " ".join(findings.over(of_slice))
            else:
                files = sweep_plots.draw_along(
                    of_slice, drawn[0], self._folder / "along", self._report.version
                )
                caption = (
                    f"What {drawn[0]} does: the median, the tail, and below on the same axis"
                    " how many downloads start at all."
                )
                alt = " ".join(findings.along(of_slice, drawn[0]))
            yield self._add(files, caption, alt)

    def of_case(self, case: Case) -> list[Picture]:
        """Return the pictures of one case."""
        found = []
        version = self._report.version
        number = self._numbers[case.name]
        name = f"point-{number}" if self._report.of_store else case.name
        if case.compared is not None:
            files = timeline.draw(case.compared, self._folder / f"timeline-{name}", version)
            runs = case.runs
            caption = "The download, request by request: one lane per server." + (
                f" This is the first of {runs} runs." if runs > 1 else ""
            )
            found.append(self._add(files, caption, _timeline_alt(case.compared)))
        if case.name in self._spread:
            files = distribution.draw(case, self._folder / f"distribution-{name}", version)
            caption = (
                "By when how many downloads have started (above), and how many still wait, down to"
                " one in a thousand (below, on a logarithmic scale)."
            )
            found.append(self._add(files, caption, findings.spread(case)))
        if not self._report.of_store and cost.shown([case]):
            files = cost.draw([case], self._folder / f"cost-{name}", version)
            found.append(self._add(files, _COST, findings.price([case])))
        return found


_COST = "What each strategy costs, and what it gains: down and to the left is better."


def _timeline_alt(compared: Compared) -> str:
    said = (f"{run.result.strategy}: {verdict([run.result])}" for run in compared.first_runs)
    return (
        f"Timeline of {compared.scenario.name}, one download of each strategy. {'; '.join(said)}."
    )


def _table(report: Report) -> tuple[list[str], list[list[Value]]]:
    """Return the heading and the rows of the table, without columns that say nothing."""
    if report.plan is not None:
        return _plan_table(report, report.plan)
    make = _estimates if report.of_many else _single
    rows = []
    for case in report.there:
        first = [
            Value(label(case.values[axis]), key=_key(case.values[axis])) for axis in report.axes
        ]
        if not report.of_store:
            first = [Value(case.name)]
        for one in case.strategies:
            rows.append((first, make(case, one)))
    of = report.there[0].scenario if report.there else None
    heading = [axis_name(axis, of) for axis in report.axes] if report.of_store else ["scenario"]
    names = list(dict.fromkeys(name for _, row in rows for name in row))
    none = Value("-")  # for columns of other scenarios

    def says(name: str) -> bool:
        return any(row.get(name, none).words not in ("-", "") for _, row in rows)

    said = [name for name in names if says(name)]
    cells = [[*first, *(row.get(name, none) for name in said)] for first, row in rows]
    return [*heading, *said], cells


def _plan_table(report: Report, plan: PlanResult) -> tuple[list[str], list[list[Value]]]:
    """Return the heading and the rows of the table of a plan."""
    heading, *rows = plan_table.table_rows(plan.plan, plan.candidates)
    cells = []
    for one, row in zip(plan.candidates, rows, strict=True):
        again = Value("-")
        if one.decision is not None:
            case = report.cases[one.candidate.point]
            again = Value(case.replay(one.candidate.strategy, 0), command=True)
        cells.append([*map(_value, row), again])
    return [*heading, "first run again"], cells


def _value(words: str) -> Value:
    number, _, interval = words.partition(" (")
    return Value(number, interval.removesuffix(")"))


def _key(value: object) -> str:
    return f"{value!r}" if isinstance(value, int | float) else ""


def _single(case: Case, one: StrategyRuns) -> dict[str, Value]:
    """Return the cells of a single run."""
    sample = one.samples[0]
    came = findings.one_came_to(one) if one.single is None else verdict([one.single])
    time = inf if sample.ttfb is None else sample.ttfb
    over = one.ratios[0] if one.ratios else None
    return {
        "strategy": Value(one.strategy),
        "time to first byte": Value(came, key=repr(time)),
        "over the bound": Value("-" if over is None else multiple(over), key=repr(over)),
        "requests": _mean(one.requests),
        "bytes": _mean(one.bytes),
        "bytes saved by cancelling": _mean(one.saved),
        "run it again": Value(case.replay(one.strategy, sample.run), command=True),
    }


def _estimates(case: Case, one: StrategyRuns) -> dict[str, Value]:
    """Return the cells of many runs: estimates, with their intervals."""
    outcomes = ", ".join(f"{name} {count}" for name, count in sorted(one.outcomes.items()))
    sure = one.runs > 1 or bool(one.loads)  # a single run is an example, not an estimate
    row = {
        "strategy": Value(one.strategy),
        "runs": Value(str(one.runs), key=str(one.runs)),
        "outcomes": Value(outcomes),
        "start": _estimate(one.started if sure else None, percent),
        "end well": _estimate(one.cell.ok if sure else None, percent),
    }
    for q in QUANTILES:
        enough = q == QUANTILES[0] or (1 - q) * one.distribution.count >= 1 - 1e-9
        row[f"p{100 * q:g}"] = _estimate(one.quantile(q)) if enough else Value("-")
    against = case.strategies[0].strategy
    none = "-" if one.against is None else "never in either"
    row[f"vs {against}"] = _estimate(one.against, none=none)
    row["over the bound"] = _estimate(one.over_bound(0.5), multiple)
    row["requests"] = _mean(one.requests)
    row["bytes"] = _mean(one.bytes)
    row["bytes saved by cancelling"] = _mean(one.saved)
    if one.loads:
        row["under way"] = _mean(one.under_way)
        row["busy"] = _estimate(one.busy, percent)
    row["first run again"] = Value(case.replay(one.strategy, one.samples[0].run), command=True)
    row["slowest run again"] = Value(case.replay(one.strategy, one.slowest), command=True)
    return row


def _estimate(
    estimate: Estimate | None, say: Callable[[float], str] = seconds, none: str = "-"
) -> Value:
    if estimate is None or estimate.estimate is None:
        return Value(none)
    return replace(_value(in_words(estimate, say)), key=repr(estimate.estimate))


def _mean(number: float | None) -> Value:
    return Value(findings.count(number), key="" if number is None else repr(number))
