"""A run as it is played on a page: its requests with their lines of code, and its progress."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

from firstk.downloader.ueb import rounded_segment_size
from firstk.harness.explain.alternatives import Alternatives, Gone
from firstk.harness.explain.traits import Trait
from firstk.harness.grid.build import server_specs
from firstk.harness.grid.files import file_of
from firstk.harness.grid.trace import Exchange
from firstk.harness.run.comparison import Compared
from firstk.harness.run.finish import Run
from firstk.reports.model.requests import Bar, bars_of
from firstk.reports.model.source_lines import code_of, line_of
from firstk.scenarios.model import MadeUpFile, Scenario
from firstk.scenarios.text import cut, listed

#: The maximum number of requests of a run that are shown.
MOST_REQUESTS = 1000

#: The maximum number of times that a repeating fault is shown.
_MOST_SPELLS = 20

#: The maximum length of an answer.
_MOST_LETTERS = 120

#: The names of a download's phases.
_PHASES = {
    "starting": "starting",
    "locating": "locating shares",
    "uri-extension": "reading the file's hashes (UEB)",
    "crypttext-hashes": "reading the hashes of segments",
    "blocks": "reading blocks",
    "done": "done",
    "failed": "failed",
    "stopped": "stopped",
}


@dataclass(frozen=True, slots=True)
class Sent:
    """A request: what it asked for, its answer, and the line that sent it.

    Times are in virtual seconds; `ended` and `overdue` are None if that never happened. `ending` is
    `answered`, `corrupt`, `failed`, `cancelled`, or `open`. `line` is the place, such as
    `fetch.py:12 in read`, and `code` its text; both are empty if they are not known.
    """

    server: str
    kind: str
    what: str
    sent: float
    ended: float | None
    ending: str
    answer: str
    overdue: float | None
    line: str
    code: str


@dataclass(frozen=True)
class Course:
    """The course of a run.

    `known` are the numbers of distinct shares that servers have named, `written` the bytes and the
    segments that were decoded and written, `phases` the downloader's own: each with its time.
    Of segments there is None where they are not counted. `left_out` requests are not shown.
    """

    requests: Sequence[Sent]
    left_out: int
    known: Sequence[tuple[float, int]]
    written: Sequence[tuple[float, int, int | None]]
    phases: Sequence[tuple[float, str]]

    @property
    def end(self) -> float:
        """The time of the last event that is shown."""
        times = [time for r in self.requests for time in (r.sent, r.ended or 0.0)]
        return max([0.0, *times, *(time for time, *_ in self.written)])


@dataclass(frozen=True)
class Spell:
    """A time in which a server has a fault, named in words; `end` is None if that is forever."""

    server: str
    begin: float
    end: float | None
    words: str


def same_runs(played: Alternatives, compared: Compared) -> bool:
    """Return whether the runs made for playing are those of the comparison.

    They are not if a downloader keeps state between runs, so that runs without faults are not the
    runs that `firstk run` makes.
    """
    again = played.runs[Gone()]
    return [one.result.digest for one in again] == [
        one.result.digest for one in compared.first_runs
    ]


def course_of(run: Run) -> Course:
    """Return the course of a run."""
    bars = bars_of(run)
    shown = bars[:MOST_REQUESTS]
    shares: set[int] = set()
    known: dict[float, int] = {}
    for event in run.trace.events:
        if event.kind == "answered" and event.exchange and event.exchange.shares:
            shares.update(event.exchange.shares)
            known[event.time] = len(shares)
    phases = run.status.phases if run.status else []
    return Course(
        [_sent(bar) for bar in shown],
        len(bars) - len(shown),
        list(known.items()),
        list(_written(run)),
        [(time, _PHASES[phase]) for phase, time in phases],
    )


def asked_of(scenario: Scenario) -> int | None:
    """Return the number of bytes that a scenario asks for; None if it has several reads."""
    if scenario.reads is not None:
        return None
    rest = max(0, file_of(scenario).cap.size - scenario.file.offset)
    length = scenario.file.length
    return rest if length is None else min(rest, length)


def segments_of(scenario: Scenario, written: int) -> int | None:
    """Return how many segments are complete in the first bytes written; None if that is not known.

    >>> from firstk.scenarios.library import load_all
    >>> (scenario,) = load_all(["8-segments-one-hung"])
    >>> segments_of(scenario, 0), segments_of(scenario, asked_of(scenario))
    (0, 8)
    """
    file, asked = scenario.file, asked_of(scenario)
    if asked is None or not isinstance(file, MadeUpFile) or not file.size:
        return None
    size = rounded_segment_size(file.segment_size, file.size, file.k)
    end = file.offset + written
    last = written >= asked and end % size > 0
    return end // size - file.offset // size + last if written else 0


def spells_of(scenario: Scenario, faults: Sequence[Trait], until: float) -> Iterator[Spell]:
    """Yield the times in which servers have these faults, up to a time."""
    plans = server_specs(scenario, scenario.seed_of(0), file_of(scenario).shares)
    for trait in faults:
        fault = plans[trait.server].faults[trait.place]
        begin, end = fault.spell(0.0)
        for _ in range(_MOST_SPELLS):
            if begin > until:
                break
            ends = None if end == inf else end
            yield Spell(plans[trait.server].name, begin, ends, trait.words)
            begin, end = fault.spell(end)


def _written(run: Run) -> Iterator[tuple[float, int, int | None]]:
    """Yield the bytes and segments that were written by each time."""
    total = 0
    for event in run.trace.events:
        if event.kind == "wrote":
            total += event.size
            yield event.time, total, segments_of(run.scenario, total)


def _sent(bar: Bar) -> Sent:
    exchange = bar.exchange
    hedge = "" if bar.hedge_of is None else f", hedging a read from {bar.hedge_of.server}"
    place = exchange.source
    return Sent(
        server=exchange.server,
        kind="hedge" if bar.hedge else _KINDS[exchange.operation],
        what=_what(exchange) + hedge,
        sent=exchange.sent,
        ended=exchange.ended,
        ending=_ending(exchange),
        answer=cut(_answer(exchange), _MOST_LETTERS),
        overdue=bar.overdue,
        line="" if place is None else line_of(place),
        code="" if place is None else code_of(place),
    )


_KINDS = {"connect": "connect", "get_buckets": "query", "read": "read"}


def _what(exchange: Exchange) -> str:
    match exchange.operation:
        case "get_buckets":
            return "query"
        case "connect":
            return "connection"
    return f"read of share {exchange.share}: {exchange.length:,} bytes at {exchange.offset:,}"


def _ending(exchange: Exchange) -> str:
    if exchange.ended is None:
        return "open"
    if exchange.cancelled:
        return "cancelled"
    if not exchange.ok:
        return "failed"
    return "corrupt" if exchange.corrupt else "answered"


def _answer(exchange: Exchange) -> str:
    """Return the answer in words: what it held, or why there is none."""
    if exchange.ended is None:
        return "no answer"
    if exchange.cancelled:
        return "cancelled"
    if not exchange.ok:
        return f"failed: {exchange.error}"
    match exchange.operation:
        case "connect":
            return "connected"
        case "get_buckets":
            shares = sorted(exchange.shares)
            return f"share{'s' * (len(shares) > 1)} {listed(shares)}" if shares else "no shares"
    return f"{exchange.received:,} {'corrupt ' if exchange.corrupt else ''}bytes"
