"""A run that can be played: its course with and without its faults, as static tables and as data.

The tables are in the page for readers without JavaScript. `play.js` makes the rest from the data.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import tomli_w

from firstk.harness.explain.alternatives import Alternatives, Gone
from firstk.harness.run.finish import Run
from firstk.harness.run.strategy_runs import StrategyRuns
from firstk.harness.run.summary import verdict
from firstk.harness.stats.formats import seconds
from firstk.reports.model.cases import Case
from firstk.reports.model.play import (
    Course,
    Sent,
    Spell,
    asked_of,
    course_of,
    segments_of,
    spells_of,
)
from firstk.reports.page.findings import circumstances, outcomes
from firstk.scenarios.model import Servers

#: The maximum number of requests in the data of one scenario: the runs of further combinations
#: have a headline, but no course.
_MOST_REQUESTS = 6000

#: The maximum number of requests of a strategy in a static table.
_MOST_ROWS = 200


@dataclass(frozen=True)
class Play:
    """What a page needs to play the first run of each strategy of a case."""

    case: Case
    played: Alternatives

    @property
    def faults(self) -> Sequence[str]:
        """The names of the faults that can be removed."""
        return [self.played.words(Gone([i])) for i in range(len(self.played.faults))]

    @property
    def note(self) -> str:
        """Which combinations of faults were run."""
        count, most = len(self.played.runs), self.played.most
        if count == most:
            return "Every combination of the faults was run."
        alone = sum(len(gone) == 1 for gone in self.played.runs)
        each = "each fault" if alone == len(self.faults) else f"{alone} of the faults, each"
        return (
            f"Of {most:,} combinations of the faults {count} were run: with all of them, without"
            f" any, and without {each} alone."
        )

    def headline(self, gone: Gone) -> str:
        """Return the results of all strategies without some faults, in a sentence."""
        runs = self.played.runs[gone]
        strategies = [StrategyRuns(run.result.strategy, [run.result]) for run in runs]
        where = circumstances(self.case)
        if gone:
            everything = len(gone) == len(self.faults) > 1
            named = f"the fault{'s' * (len(gone) > 1)} {self.played.words(gone)}"
            where = f"Without {'any fault' if everything else named}"
        first = ", in the first run" if self.case.runs > 1 else ""
        return f"{where}{first}, {'; '.join(outcomes(strategies))}."

    @property
    def combinations(self) -> Iterator[tuple[str, Sequence[str]]]:
        """The faults that are removed in each combination, and the result of each strategy."""
        for gone, runs in self.played.runs.items():
            everything = len(gone) == len(self.faults) > 1
            words = "all faults" if everything else self.played.words(gone)
            yield words or "nothing", [verdict([run.result]) for run in runs]

    @property
    def requests(self) -> Iterator[tuple[str, str, Sequence[Mapping[str, str]], int]]:
        """For each strategy its result, its requests in words, and how many are left out."""
        for run in self.played.runs[Gone()]:
            course = self._course(run)
            rows = [_in_words(one) for one in course.requests[:_MOST_ROWS]]
            left_out = course.left_out + len(course.requests) - len(rows)
            yield run.result.strategy, verdict([run.result]), rows, left_out

    @property
    def data(self) -> Mapping[str, Any]:
        """The data of `play.js`, which describes its form."""
        return self._encoded.data

    @cached_property
    def _encoded(self) -> _Encoded:
        return _Encoded(self)

    @cached_property
    def _courses(self) -> dict[Hashable, Course]:
        return {}

    def _course(self, run: Run) -> Course:
        """Return the course of a run. Equal runs are worked out once."""
        key = run.result.strategy, run.result.digest
        if key not in self._courses:
            self._courses[key] = course_of(run)
        return self._courses[key]


def _in_words(one: Sent) -> Mapping[str, str]:
    """Return the cells of a request's row."""
    late = "" if one.overdue is None else f"; overdue from {seconds(one.overdue)} on"
    ended = "" if one.ended is None else f" at {seconds(one.ended)}"
    return {
        "server": one.server,
        "request": one.what,
        "sent": seconds(one.sent),
        "answer": f"{one.answer}{ended}{late}",
        "line": one.line,
        "code": one.code,
    }


class _Encoded:
    """The data of a play. Texts and equal runs are in it once, and are referred to by number."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self._texts: dict[str, int] = {}
        self._sources: dict[tuple[str, str], int] = {}
        self._runs: list[dict[str, Any]] = []
        self._places: dict[Hashable, int] = {}
        self._requests = 0
        played, scenario = play.played, play.played.scenario
        combinations = {
            ",".join(map(str, sorted(gone))): {
                "headline": play.headline(gone),
                "entries": _toml(played.entries[gone]),
                "runs": [self._run(run) for run in runs],
            }
            for gone, runs in played.runs.items()
        }
        end = max(run["end"] for run in self._runs)
        faults = [
            {
                "words": words,
                "spells": [_spell(one) for one in spells_of(scenario, traits, end)],
            }
            for words, traits in zip(play.faults, played.faults, strict=True)
        ]
        asked = asked_of(scenario)
        self.data = {
            "strategies": [run.result.strategy for run in played.runs[Gone()]],
            "needed": scenario.file.k,
            "asked": asked,
            "segments": None if asked is None else segments_of(scenario, asked),
            "faults": faults,
            "combinations": combinations,
            "runs": self._runs,
            "texts": list(self._texts),
            "sources": list(self._sources),
        }

    def _run(self, run: Run) -> int:
        """Return the number of a run, which is added if there is no equal one yet."""
        key = run.result.strategy, run.result.digest, verdict([run.result])
        if key in self._places:
            return self._places[key]
        course = self._play._course(run)
        shown = self._requests + len(course.requests) <= _MOST_REQUESTS
        if shown:
            self._requests += len(course.requests)
        result = run.result
        self._places[key] = len(self._runs)
        self._runs.append(
            {
                "verdict": verdict([result]),
                "outcome": result.outcome,
                "ttfb": result.ttfb,
                "end": _time(course.end),
                "requests": [self._request(one) for one in course.requests] if shown else None,
                "leftOut": course.left_out,
                "known": [[_time(time), count] for time, count in course.known],
                "written": [[_time(time), *much] for time, *much in course.written],
                "phases": [[_time(time), self._text(name)] for time, name in course.phases],
            }
        )
        return self._places[key]

    def _request(self, one: Sent) -> list[Any]:
        times = [one.sent, one.ended, one.overdue]
        source = self._sources.setdefault((one.line, one.code), len(self._sources))
        texts = [one.server, one.kind, one.what, one.ending, one.answer]
        return [*map(_time, times), source, *map(self._text, texts)]

    def _text(self, text: str) -> int:
        return self._texts.setdefault(text, len(self._texts))


def _time(time: float | None) -> float | None:
    """Return a time with as many digits as the trace has."""
    return None if time is None else float(f"{time:.9g}")


def _spell(spell: Spell) -> list[Any]:
    return [spell.server, _time(spell.begin), _time(spell.end), spell.words]


def _toml(entries: Sequence[Servers]) -> str:
    """Return entries as they are written at the end of a scenario file."""
    tables = [entry.model_dump(mode="json", exclude_unset=True) for entry in entries]
    return "\n".join(f"[[servers]]\n{tomli_w.dumps(table)}" for table in tables)
