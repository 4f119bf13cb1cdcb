"""Bytes that a download reads again, though a server has given them and nothing failed since."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from firstk.harness.grid.trace import Exchange, Trace

#: Bytes from one offset up to, and without, another.
_Span = tuple[int, int]


class Reread(NamedTuple):
    """A read, and how many of the bytes that it asks for had been answered before."""

    exchange: Exchange
    size: int


def rereads(trace: Trace, *, strict: bool = False) -> list[Reread]:
    """Return the reads that ask again for bytes of a share that the same server has given.

    What lies behind the end of a share is given too: the answer says that nothing is there. After
    a failure, or an answer that a fault changed, a download may begin anew, with any share: no
    read before it counts.

    A read that is sent before the layout of a share is known may bring too much, and what is
    dropped of it may be read again. So, unless it is to be `strict`, bytes count that are asked
    for the third time, and those of a read that is sent again as it was.

    >>> from firstk.harness.run.simulate import simulate
    >>> from firstk.scenarios.library import load_all
    >>> (scenario,) = load_all(["ten-good"])
    >>> rereads(simulate(scenario, "hedged").trace)
    []
    """
    given: dict[tuple[str, int | None], list[_Span]] = defaultdict(list)
    found = []
    for event in trace.events:
        read = event.exchange
        if event.kind == "failed" or (event.kind == "answered" and read and read.corrupt):
            given.clear()
        elif read is None or read.operation != "read":
            continue
        else:
            spans = given[read.server, read.share]
            span = (read.offset, read.offset + read.length)
            if event.kind == "answered":
                spans.append(span)
                continue
            again = span[1] - span[0] if span in spans else _overlap(spans, span, 1 + (not strict))
            if again:
                found.append(Reread(read, again))
    return found


def _overlap(spans: Iterable[_Span], span: _Span, times: int) -> int:
    """Return how many bytes of a span are in so many of the others, or in more."""
    edges: Counter[int] = Counter()
    for begin, end in spans:
        begin, end = max(begin, span[0]), min(end, span[1])
        if begin < end:
            edges[begin] += 1
            edges[end] -= 1
    size = depth = 0
    for (place, change), (after, _) in pairwise([*sorted(edges.items()), (span[1], 0)]):
        depth += change
        size += (after - place) * (depth >= times)
    return size
