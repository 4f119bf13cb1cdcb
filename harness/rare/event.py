"""Rare events, as an option names them: "hangs", "fails", "ttfb > 2 s", or a quantile, "p99.99"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import inf

from firstk.downloader.text import shown
from firstk.harness.run.result import Result


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a download: its time exceeds `level`, or a time that is sought.

    `outcomes` are those that count as never, if it is not about times. `tail` is the probability
    with which the time that is sought is exceeded, or None.
    """

    name: str
    level: float = 0.0
    outcomes: tuple[str, ...] = ()
    tail: float | None = None

    @property
    def is_late(self) -> bool:
        """Whether it is about times."""
        return not self.outcomes

    def time_of(self, result: Result, stop: str) -> float:
        """Return the time of a run that is compared with the level; infinity is never.

        It is the time to first byte, or to K distinct shares if runs `stop` there.
        """
        if self.outcomes:
            return inf if result.outcome in self.outcomes else 0.0
        time = result.located if stop == "located" else result.ttfb
        return inf if time is None else time


_ENDLESS = ("stalled", "deadline")

_NAMED = {
    "hangs": Event("hangs", outcomes=_ENDLESS),
    "fails": Event("fails", outcomes=(*_ENDLESS, "failed")),
}

_LATE = re.compile(r"\s*ttfb\s*>=?\s*(?P<number>\d{1,9}(?:\.\d{1,9})?)\s*(?P<unit>ms|s)\s*")
_QUANTILE = re.compile(r"\s*p(?P<percent>\d{2}(?:\.\d{1,9})?)\s*")


def parse_event(text: str) -> Event:
    """Return the event that a text stands for; raise `ValueError` if there is none.

    >>> parse_event("ttfb > 500 ms")
    Event(name='ttfb > 0.5 s', level=0.5, outcomes=(), tail=None)
    >>> parse_event("p99.99").tail
    0.0001
    """
    if (named := _NAMED.get(text.strip())) is not None:
        return named
    if (late := _LATE.fullmatch(text)) is not None:
        level = float(late["number"]) * (0.001 if late["unit"] == "ms" else 1.0)
        return Event(f"ttfb > {level:.10g} s", level)
    if (found := _QUANTILE.fullmatch(text)) is not None and float(found["percent"]):
        tail = float(f"{1 - float(found['percent']) / 100:.9g}")
        return Event(f"p{found['percent']}", tail=tail)
    events = '"hangs", "fails", "ttfb > 2 s" or "p99.99"'
    raise ValueError(f"should be {events}, not {shown(text, 60)}")
