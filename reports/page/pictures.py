"""The pictures of a page."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from firstk.harness.run.bound import BOUND
from firstk.harness.run.comparison import Compared
from firstk.harness.run.summary import verdict
from firstk.reports.model import plan_words
from firstk.reports.model.cases import Case
from firstk.reports.page import answers, findings
from firstk.reports.page.report import Report, headlines
from firstk.reports.plots import capacity as capacity_plot
from firstk.reports.plots import cost, distribution, latency, ratio, style, timeline
from firstk.reports.plots import live as live_plot
from firstk.reports.plots import plan as plan_plot
from firstk.reports.plots import sweep as sweep_plots
from firstk.reports.plots.scale import evenly
from firstk.scenarios.experiment import label

_COST = "What each strategy costs, and what it gains: down and to the left is better."

#: The maximum numbers of distributions, and of maps or lines, drawn for an experiment.
_DISTRIBUTIONS = 4
_SLICES = 6


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


class Pictures:
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


def _of_interest(report: Report) -> list[Case]:
    """Return the cases to show in detail: for a plan, the cheapest that meets the target."""
    if report.plan is None:
        return report.there
    best = plan_words.cheapest(report.plan.candidates)
    return [] if best is None else [report.cases[best.candidate.point]]


def _timeline_alt(compared: Compared) -> str:
    said = (f"{run.result.strategy}: {verdict([run.result])}" for run in compared.first_runs)
    return (
        f"Timeline of {compared.scenario.name}, one download of each strategy. {'; '.join(said)}."
    )
