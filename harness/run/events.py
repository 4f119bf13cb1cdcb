"""The events of one run, saved in a file or compared with those of another.

The file is plain text with one event per line, in the format of the run's trace: it can be read,
put under version control, and compared with the events of another version of a downloader.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from firstk.downloader.text import shown
from firstk.harness.grid.trace import TraceEvent
from firstk.harness.run.finish import Run
from firstk.scenarios.reading import RECORD, begins_with, read_text

#: The first line of a file of events; the number is the version of the format.
_HEADER = "# firstk events 1"

_LINE = re.compile(
    r"(\d\S*) (sent|answered|failed|cancelled|wrote|paused|resumed|fired|raised) (.*)"
)
_REQUEST = re.compile(
    r"\d+ (?P<server>\S+) (?:get_buckets|(?P<connect>connect)"
    r"|read (?P<share>\d+) (?P<offset>\d+) (?P<length>\d+))"
    r"(?: (?P<detail>.*))?"
)


class EventsError(ValueError):
    """A file is not a file of events; the message says where."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request to a server: a query, a read of the share with this number, or a connection."""

    server: str
    share: int | None = None
    offset: int = 0
    length: int = 0
    connects: bool = False

    def __str__(self) -> str:
        if self.connects:
            return f"the client reconnects to {self.server}"
        if self.share is None:
            return f"{self.server} is asked for its shares"
        return f"{self.server} is asked for {self._bytes}"

    @property
    def _bytes(self) -> str:
        return f"{self.length} bytes at {self.offset} of share {self.share}"

    def outcome(self, answered: bool, detail: str) -> str:
        """Return a description of the answer."""
        if self.connects:
            return f"the connection to {self.server} " + (
                "is up" if answered else f"fails: {detail}"
            )
        if not answered:
            what = "to tell its shares" if self.share is None else f"to read {self._bytes}"
            return f"{self.server} fails {what}: {detail}"
        if self.share is not None:
            size, corrupt, _ = detail.partition(",")
            where = f"{size} at {self.offset} of share {self.share}"
            return f"{self.server} answers with {where}{', corrupt' if corrupt else ''}"
        if not detail:
            return f"{self.server} answers that it has no share"
        several = "s" if "," in detail else ""
        return f"{self.server} answers that it has share{several} {detail.replace(',', ', ')}"


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a run, with its time in virtual seconds."""

    time: float
    kind: str
    detail: str
    request: Request | None = None

    @property
    def words(self) -> str:
        """A description of the event."""
        match self.kind:
            case "wrote":
                return f"{self.detail} of the file are written"
            case "paused" | "resumed":
                return f"the consumer {self.kind} its producer: {self.detail}"
            case "fired":
                return "the download ends well"
            case "raised":
                return "the download fails"
            case "sent":
                return str(self.request)
            case "cancelled":
                return f"the downloader cancels: {self.request}"
        return self.request.outcome(self.kind == "answered", self.detail) if self.request else ""


@dataclass(frozen=True, slots=True)
class Events:
    """The events of one run, in order, and the identity of the run."""

    label: str
    events: Sequence[Event]

    @classmethod
    def of(cls, run: Run) -> Events:
        """Return the events of a run."""
        return cls(_label(run), list(map(_of_trace, run.trace.events)))

    @classmethod
    def read(cls, path: Path) -> Events:
        """Return the events in a file.

        Raises `EventsError` if one of its lines is not an event, and `OSError`.
        """
        try:
            numbered = enumerate(read_text(path, RECORD).split("\n"), 1)
        except UnicodeDecodeError as e:
            raise EventsError(f"{path}: is not UTF-8 text: {e.reason}") from None
        comments, events = [], []
        for number, line in numbered:
            if line.startswith("#"):
                comments.append(line.removeprefix("# "))
            elif line:
                try:
                    events.append(_event(line))
                except ValueError:
                    problem = f"is not an event: {shown(line, 100)}"
                    raise EventsError(f"{path}:{number}: {problem}") from None
        return cls(", ".join([str(path), *comments[1:]]), events)


def as_text(run: Run) -> str:
    """Return a run's events in the format of a file of events."""
    lines = [_HEADER, f"# {_label(run)}", *(line.rstrip() for line in run.trace.lines)]
    return "\n".join(lines) + "\n"


def is_events(path: Path) -> bool:
    """Return whether this is a file of events."""
    return begins_with(path, _HEADER.encode())


def _label(run: Run) -> str:
    return f"{run.result.scenario}, {run.result.strategy}, seed {run.result.seed}"


def _of_trace(event: TraceEvent) -> Event:
    """Return an event of a run as it would be read from a file."""
    request = None
    if (asked := event.exchange) is not None:
        connects = asked.operation == "connect"
        request = Request(asked.server, asked.share, asked.offset, asked.length, connects)
    return Event(float(f"{event.time:.9g}"), event.kind, event.detail, request)


def _event(line: str) -> Event:
    """Parse a line of a trace. Raises `ValueError` if it is not an event."""
    parts = _LINE.fullmatch(line.rstrip())
    if parts is None:
        raise ValueError(line)
    time, kind, rest = float(parts[1]), parts[2], parts[3]
    if kind not in ("sent", "answered", "failed", "cancelled"):
        return Event(time, kind, rest)
    found = _REQUEST.fullmatch(rest)
    if found is None:
        raise ValueError(line)
    if found["share"] is None:
        request = Request(found["server"], connects=found["connect"] is not None)
    else:
        share, offset, length = (int(found[name]) for name in ("share", "offset", "length"))
        request = Request(found["server"], share, offset, length)
    return Event(time, kind, found["detail"] or "", request)
