"""`run`, `compare`, `sweep`, `export` and `report` show the same numbers for the same runs."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from io import StringIO
from itertools import count
from math import inf
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstk.harness.fuzz.swarm import Swarm
from tests.harness.command_line import firstk

#: A bound of 0 and a later first byte: the ratio is infinite, although each run has one.
ZERO_BOUND = {
    "name": "zero-bound",
    "strategies": ["first-k", "windowed"],
    "file": {"size": 1000, "k": 3, "n": 10},
    "grid": {"servers": 10, "rtt": {"law": "constant", "value": 0.0}},
    "servers": [{"select": "0-1", "fault": {"kind": "hung", "on": ["read"], "end": 2.0}}],
}


@dataclass
class Outputs:
    """The outputs of all commands for one scenario, parsed."""

    run: list[dict[str, Any]]
    run_csv: list[dict[str, str]]
    baseline: list[dict[str, Any]]
    compare: str
    sweep: list[dict[str, Any]]
    sweep_csv: list[dict[str, str]]
    export: list[dict[str, str]]
    report: list[dict[str, str]]
    report_of_store: list[dict[str, str]]


def outputs(made: dict[str, Any]) -> Outputs:
    """Run all commands on a scenario in a folder of their own."""
    with TemporaryDirectory() as folder, chdir(folder):
        Path("s.toml").write_text(tomli_w.dumps(made))
        runs = made.get("runs", 1)
        experiment = {"name": "e", "scenario": "s.toml", "runs": runs, "seed": made.get("seed", 0)}
        axes = {"axes": {"deadline": [made.get("deadline", 3600.0)]}}
        Path("e.toml").write_text(tomli_w.dumps(experiment | axes))
        run = json.loads(output("run", "s.toml", "--format", "json"))
        run_csv = csv_rows(output("run", "s.toml", "--format", "csv"))
        output("compare", "s.toml", "--save", "baseline.json")
        compare = output("compare", "s.toml", "--out", "pictures")
        sweep = json.loads(output("sweep", "e.toml", "--workers", "1", "--format", "json"))
        sweep_csv = output("sweep", "e.toml", "--workers", "1", "--format", "csv")
        export = output("export", "e.sqlite")
        output("report", "s.toml", "--out", "page")
        output("report", "e.sqlite", "--out", "page-of-store")
        return Outputs(
            run,
            run_csv,
            json.loads(Path("baseline.json").read_text())["rows"],
            compare,
            sweep,
            csv_rows(sweep_csv),
            csv_rows(export),
            table("page"),
            table("page-of-store"),
        )


def output(*args: str) -> str:
    """Return what a command prints; an unmet expectation is allowed."""
    done = firstk(*args)
    assert done.exit_code in (0, 1), done.output
    return done.stdout


def csv_rows(text: str) -> list[dict[str, str]]:
    """Return the rows of CSV; a message in a cell may have several lines."""
    return list(csv.DictReader(StringIO(text)))


class _Table(HTMLParser):
    """Parses the first table of a page: each cell's text, or its sort key."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._open: str | None = None
        self._in_interval = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._open = tag
        self._in_interval = tag == "small"

    def handle_endtag(self, tag: str) -> None:
        self._in_interval = self._in_interval and tag != "small"
        if tag == self._open:
            self._open = None

    def handle_data(self, data: str) -> None:
        if self._open and not self._in_interval:
            self.rows[-1][-1] += data


def table(folder: str) -> list[dict[str, str]]:
    """Return the table of a page, as a dictionary for each row."""
    parser = _Table()
    page = Path(folder, "report.html").read_text()
    parser.feed(page[page.index("<table") : page.index("</table>")])
    head, *rows = parser.rows
    return [dict(zip(head, row, strict=True)) for row in rows]


@contextmanager
def no_pictures() -> Iterator[None]:
    """Draw nothing: this is about numbers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("firstk.reports.plots.latency.draw", lambda compared, path, version: [path])
        patch.setattr("firstk.reports.plots.timeline.draw", lambda one, path, version: [path])
        patch.setattr("firstk.reports.page.pictures.Pictures.overview", lambda self: [])
        patch.setattr("firstk.reports.page.pictures.Pictures.of_case", lambda self, case: [])
        yield


# The figures, computed here from the runs alone


def nearest_rank(values: list[float], q: float) -> float:
    """Return the `q`-quantile of the values by the nearest-rank method."""
    ordered = sorted(values)
    return next(v for i, v in enumerate(ordered, 1) if i >= q * len(ordered) * (1 - 1e-12))


def ratios(rows: list[dict[str, Any]]) -> list[float]:
    """Return the ratios to the bound, of the runs that have a bound."""
    found = []
    for row in rows:
        took = inf if row["ttfb"] is None else row["ttfb"]
        if row["bound"] is not None:
            equal = took == row["bound"]
            found.append(1.0 if equal else took / row["bound"] if row["bound"] else inf)
    return found


def three_digits(number: float) -> str:
    """Format a number as tables do."""
    if number == inf:
        return "∞"
    number = float(f"{number:.9g}")
    return f"{number:.0f}" if number >= 999.5 else f"{number:.3g}"


def near(text: str | float | None, number: float) -> bool:
    """Return whether a printed number is this one, to nine digits."""
    assert text is not None
    return math.isclose(float(text), number, rel_tol=1e-8) or float(text) == number


def check(made: dict[str, Any]) -> None:
    """Check all commands against the runs that `run` prints."""
    with no_pictures():
        found = outputs(made)
    check_rows(found)
    for strategy in made["strategies"]:
        check_strategy(found, strategy)


def check_rows(found: Outputs) -> None:
    """Check the outputs that have a row for each run."""
    for row, in_csv in zip(found.run, found.run_csv, strict=True):
        for key, value in row.items():
            shown = " ".join(map(str, value)) if isinstance(value, list) else value
            assert in_csv[key] == ("" if shown is None else str(shown))
    for row in found.run:
        assert (row["cancelled"] > 0) >= (row["bytes_saved"] > 0)
    exported = {(row["strategy"], int(row["run"])): row for row in found.export}
    saved = {(row["strategy"], row["seed"]): row for row in found.baseline}
    assert len(exported) == len(saved) == len(found.run)
    for row in found.run:
        in_store = exported[row["strategy"], row["run"]]
        in_file = saved[row["strategy"], row["seed"]]
        for key in ("seed", "outcome", "error", "located", "ttfb", "finished", "ended", "digest"):
            assert in_store[key] == ("" if row[key] is None else str(row[key])), key
        for key in ("queries", "reads", "bytes_received", "content_ok"):
            assert in_store[key] == ("" if row[key] is None else str(row[key])), key
        assert in_file["outcome"] == row["outcome"]
        assert in_file["requests"] == row["queries"] + row["reads"]
        assert in_file["bytes"] == row["bytes_received"]
        for key in ("ttfb", "finished"):
            assert (in_file[key] is None) == (row[key] is None)
            assert row[key] is None or near(in_file[key], row[key])


def check_strategy(found: Outputs, strategy: str) -> None:
    """Check the outputs that have a row for each strategy."""
    rows = [row for row in found.run if row["strategy"] == strategy]
    (swept,) = (row for row in found.sweep if row["strategy"] == strategy)
    (swept_csv,) = (row for row in found.sweep_csv if row["strategy"] == strategy)
    (of_scenario,) = (row for row in found.report if row["strategy"] == strategy)
    (of_store,) = (row for row in found.report_of_store if row["strategy"] == strategy)
    times = [inf if row["ttfb"] is None else row["ttfb"] for row in rows]
    sent = [row["queries"] + row["reads"] for row in rows]
    for name, q in {"p50": 0.5, "p90": 0.9, "p99": 0.99}.items():
        assert near(swept[name], nearest_rank(times, q)), name
    assert near(swept["ok"], sum(row["outcome"] == "ok" for row in rows) / len(rows))
    assert near(swept["requests"], sum(sent) / len(rows))
    assert near(swept["bytes"], sum(row["bytes_received"] for row in rows) / len(rows))
    saved = sum(row["bytes_saved"] for row in rows) / len(rows)
    if any(row["cancelled"] for row in rows):
        assert near(swept["bytes_saved"], saved)
    else:
        assert swept["bytes_saved"] is None
    for key, value in swept.items():
        if key not in ("point", "values"):
            assert swept_csv[key] == ("" if value is None else str(value)), key

    over = ratios(rows)
    middle = (
        three_digits(nearest_rank(over, 0.5)) + " ×" * (nearest_rank(over, 0.5) < inf)
        if (over)
        else "-"
    )
    assert f" {middle}" in next(
        line for line in found.compare.splitlines() if f" {strategy} " in line
    )
    for page in (of_scenario, of_store):
        shown = page.get("over the bound", "-").removeprefix("~ ")
        assert shown == middle
        assert three_digits(sum(sent) / len(rows)) in page["requests"].replace(",", "")
    if len(rows) > 1:
        half = nearest_rank(times, 0.5)
        for page in (of_scenario, of_store):
            shown = page["p50"].removeprefix("~ ")
            assert shown == of_scenario["p50"].removeprefix("~ ")
            assert (shown == "never") == (half == inf)


#: Keys that few scenarios have, and the text that shows their presence.
RARE = {"reads": "'reads'", "client": "'client'", "machines": "'machine'"}


def drawn(number: int, key: str = "") -> dict[str, Any]:
    """Return the first scenario of a random sequence that has a rare key."""
    for draw in count():
        made = Swarm(Random(f"{number} {draw}").randrange, external=True).tables()
        if RARE.get(key, "") in str(made):
            return made
    raise AssertionError("the sequence has no end")


def check_drawn(made: dict[str, Any], runs: int) -> None:
    """Check all commands with the last two strategies of a scenario."""
    check({**made, "strategies": made["strategies"][-2:], "runs": runs})


@pytest.mark.parametrize(
    ("made", "runs"), [(ZERO_BOUND, 4), (drawn(1), 2)], ids=["bound of 0", "drawn"]
)
def test_commands_agree(made: dict[str, Any], runs: int) -> None:
    """Each number is the same in all outputs, and equals the one computed from the runs."""
    check_drawn(made, runs)


@pytest.mark.slow
@pytest.mark.parametrize("key", RARE)
def test_rare_keys(key: str) -> None:
    """The same with several reads of a file, with client troubles, and with machines."""
    for number in range(4):
        check_drawn(drawn(number, key), runs=2)


@pytest.mark.slow
@settings(deadline=None, max_examples=12, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32), st.sampled_from([1, 2, 5, 8]))
def test_commands_agree_often(number: int, runs: int) -> None:
    """The same for many scenarios."""
    check_drawn(drawn(number), runs)
