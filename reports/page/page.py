"""The page of a report: one self-contained HTML file, with all its pictures in it.

It is made from cases alone, so equal results make equal bytes. Without JavaScript everything is
still there; JavaScript sorts tables and hides scenarios.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import tomli_w
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from firstk.harness.run.bound import BOUND
from firstk.harness.run.under_test import is_external
from firstk.reports.model.cases import Case
from firstk.reports.page import answers, findings, published, results
from firstk.reports.page.answers import Answer
from firstk.reports.page.pictures import Picture, Pictures
from firstk.reports.page.play import Play
from firstk.reports.page.report import Report, headlines
from firstk.scenarios.seeds import seed_range

#: The file name of the page.
NAME = "report.html"

#: The maximum number of rows shown in a table; the store has the rest.
_ROWS = 3000


def write(report: Report, folder: Path) -> list[Path]:
    """Write the page and its pictures into a folder; return the files, the page first."""
    drawn = Pictures(report, folder)
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
    if report.plan is not None:
        columns, rows = results.of_plan(report.plan, report.cases)
    else:
        axes = report.axes if report.of_store else None
        columns, rows = results.of_cases(report.there, axes, many=report.of_many)
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
