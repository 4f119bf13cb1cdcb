"""Where two runs diverge: the first event that they do not share, and a few around it.

The format is that of `diff -u`: lines of only the first run begin with -, lines of only the second
with +, and common lines with a space.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from firstk.harness.run.events import Event, Events, Request

#: The number of equal events shown before and after the difference.
_CONTEXT = 3

#: The maximum number of consecutive events shown that only one of the runs has.
_MOST = 8

#: How far behind the divergence to search for common events.
_WINDOW = 200

#: The maximum number of requests with different answers that are listed.
_MOST_REQUESTS = 10


def parting(one: Events, other: Events) -> int | None:
    """Return the number of equal events before two runs diverge; None if they never do."""
    both = zip(one.events, other.events, strict=False)
    equal = next((i for i, (a, b) in enumerate(both) if a != b), None)
    if equal is None and len(one.events) != len(other.events):
        equal = min(len(one.events), len(other.events))
    return equal


def diff_text(one: Events, other: Events) -> str:
    """Return a description of where two runs diverge."""
    equal = parting(one, other)
    if equal is None:
        return f"The runs are equal in all {len(one.events)} events.\n"
    lines = [
        f"--- {one.label}: {_summary(one.events)}",
        f"+++ {other.label}: {_summary(other.events)}",
        f"@@ {equal} events are equal, and then the runs part @@",
        *_hunk(one.events, other.events, equal),
        *_unequal_answers(one.events, other.events),
    ]
    return "\n".join(lines) + "\n"


def _summary(events: Sequence[Event]) -> str:
    """Return a description of a run's result."""
    wrote = next((e.time for e in events if e.kind == "wrote"), None)
    over = next((e for e in events if e.kind in ("fired", "raised")), None)
    first = "no block" if wrote is None else f"first byte at {_time(wrote)}"
    if over is None:
        end = "never over"
    else:
        end = f"{'ends well' if over.kind == 'fired' else 'fails'} at {_time(over.time)}"
    return f"{first}, {end}, {sum(e.kind == 'sent' for e in events)} requests"


def _hunk(one: Sequence[Event], other: Sequence[Event], equal: int) -> Iterator[str]:
    """Yield the events around the divergence."""
    start = max(0, equal - _CONTEXT)
    a, b = one[start : equal + _WINDOW], other[start : equal + _WINDOW]
    width = max(len(_time(e.time)) for e in (*a, *b))
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    for kind, a1, a2, b1, b2 in next(iter(matcher.get_grouped_opcodes(_CONTEXT))):
        if kind == "equal":
            yield from _marked(" ", a[a1:a2], width)
            continue
        yield from _marked("-", a[a1:a2], width)
        yield from _marked("+", b[b1:b2], width)
    for mark, events in (("-", one), ("+", other)):
        if len(events) == equal:
            yield f"{mark} {'':{width}}  nothing more happens"


def _marked(mark: str, events: Sequence[Event], width: int) -> Iterator[str]:
    shown = events if mark == " " else events[:_MOST]
    for event in shown:
        yield f"{mark} {_time(event.time):>{width}}  {event.words}"
    if len(shown) < len(events):
        yield f"{mark} {'':{width}}  and more"


def _unequal_answers(one: Sequence[Event], other: Sequence[Event]) -> Iterator[str]:
    """Yield the requests of both runs that were answered differently, at whatever time.

    If round trips are random, two runs diverge at the first answer, which says little. Different
    answers of the servers say more.
    """
    a, b = _ends(one), _ends(other)
    unequal = [key for key in a if key in b and _said(a[key]) != _said(b[key])]
    if unequal:
        yield "@@ requests of both that were answered differently, at whatever time @@"
    for request, number in unequal[:_MOST_REQUESTS]:
        again = f", time {number + 1}" if number else ""
        yield f"  {request}{again}"
        for mark, end in (("-", a[request, number]), ("+", b[request, number])):
            yield f"{mark}   " + (f"{_time(end.time)}  {end.words}" if end else "no answer comes")
    if len(unequal) > _MOST_REQUESTS:
        yield f"  and {len(unequal) - _MOST_REQUESTS} more"


def _ends(events: Sequence[Event]) -> dict[tuple[Request, int], Event | None]:
    """Return the end of each request and its repetitions; None if it was never answered."""
    sent: Counter[Request] = Counter()
    ended: Counter[Request] = Counter()
    ends: dict[tuple[Request, int], Event | None] = {}
    for event in events:
        if event.request is None:
            continue
        count = sent if event.kind == "sent" else ended
        ends[event.request, count[event.request]] = None if event.kind == "sent" else event
        count[event.request] += 1
    return ends


def _said(end: Event | None) -> tuple[str, str] | None:
    return None if end is None else (end.kind, end.detail)


def _time(time: float) -> str:
    return f"{time:.9g} s"
