"""Rereads: bytes that a download reads again although nothing failed since they arrived."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from firstk.harness.grid.trace import Exchange, Trace

#: A half-open range of bytes.
_Span = tuple[int, int]


class Reread(NamedTuple):
    """A read, and how many of its bytes had already been received."""

    exchange: Exchange
    size: int


def rereads(trace: Trace, *, strict: bool = False) -> list[Reread]:
    """Return the reads that request bytes of a share again that the same server has sent.

    Bytes beyond the end of a share count as sent too: the answer shows that there are none. After
    a failure, or an answer that a fault changed, a download may start again with any share, so
    earlier reads do not count. After it has cancelled a request, it may do so with that server.

    A read that is sent before the layout of a share is known may return too much, and the excess
    may be read again. So, unless `strict` is set, only two things count: bytes that are requested
    for the third time, and a read that is repeated exactly.

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
        elif event.kind == "cancelled" and read:
            for key in [key for key in given if key[0] == read.server]:
                del given[key]
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
    """Return how many bytes of a span are in at least `times` of the others."""
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
