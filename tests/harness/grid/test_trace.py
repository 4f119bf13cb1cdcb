"""The trace of a run records every event, and its digest distinguishes traces."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from firstk.harness.grid.trace import DIGEST_VERSION, Exchange, Trace


def query(number: int = 0, server: str = "s0", sent: float = 0.0) -> Exchange:
    """Return a query that is sent."""
    return Exchange(number, server, "get_buckets", None, 0, 0, sent)


def read(number: int = 1, share: int = 2, offset: int = 3, length: int = 4) -> Exchange:
    """Return a read that is sent at t=1."""
    return Exchange(number, "s0", "read", share, offset, length, 1.0)


def traced(first: Exchange, second: Exchange, ended: float = 2.0, ok: bool = True) -> Trace:
    """Return a trace of two requests, the second of which ends."""
    trace = Trace()
    trace.sent(first)
    trace.sent(second)
    second.received, second.error = 4, "" if ok else "it is broken"
    trace.ended(second, ended, ok)
    return trace


def test_lines() -> None:
    """Each event is a line: the time, the event, the request and the answer."""
    trace = traced(query(), read())
    broken = query()
    broken.error = "the server is broken"
    trace.ended(broken, 2.5, False)
    trace.note(3.0, "wrote", 4, 0)
    trace.note(3.0, "fired")

    assert trace.lines == [
        "0 sent 0 s0 get_buckets ",
        "1 sent 1 s0 read 2 3 4 ",
        "2 answered 1 s0 read 2 3 4 4 bytes",
        "2.5 failed 0 s0 get_buckets the server is broken",
        "3 wrote 4 bytes at 0 ",
        "3 fired the download ",
    ]


def test_exchange() -> None:
    """An exchange ends with its answer, and then shows how it went."""
    unanswered, answered = query(), read()
    traced(unanswered, answered, ended=2.0)

    assert (unanswered.ended, unanswered.ok, unanswered.detail) == (None, False, "")
    assert (answered.ended, answered.ok, answered.detail) == (2.0, True, "4 bytes")


def test_failed_exchange() -> None:
    """A failed request has ended, and was not answered."""
    failed = read()
    trace = traced(query(), failed, ok=False)

    assert (failed.ended, failed.ok, failed.detail) == (2.0, False, "it is broken")
    assert trace.lines[-1] == "2 failed 1 s0 read 2 3 4 it is broken"


def test_sums() -> None:
    """Queries, reads and bytes are counted, whether answered or not."""
    second = read()
    second.received = 4
    trace = traced(query(), second)
    trace.sent(read(2))
    trace.sent(query(3))

    assert trace.totals()[:3] == (2, 2, 4)


def test_empty() -> None:
    """An empty trace has zero counts."""
    trace = Trace()

    assert trace.totals()[:3] == (0, 0, 0)
    assert sha256(DIGEST_VERSION.encode()).hexdigest() == trace.digest()


def test_digest_repeats() -> None:
    """Equal traces have equal digests: the SHA-256 of a version and the lines."""
    trace = traced(query(), read())

    assert traced(query(), read()).digest() == trace.digest()
    lines = [DIGEST_VERSION, *trace.lines]
    assert sha256("\n".join(lines).encode()).hexdigest() == trace.digest()


@pytest.mark.parametrize(
    "other",
    [
        lambda: traced(query(server="s1"), read()),
        lambda: traced(query(sent=0.5), read()),
        lambda: traced(query(), read(share=3)),
        lambda: traced(query(), read(offset=4)),
        lambda: traced(query(), read(length=5)),
        lambda: traced(query(), read(), ended=2.001),
        lambda: traced(query(), read(), ok=False),
        lambda: traced(read(), query()),
    ],
    ids=["server", "time", "share", "offset", "length", "end", "failure", "order"],
)
def test_digest_differs(other: Callable[[], Trace]) -> None:
    """Traces that differ in anything have different digests."""
    assert traced(query(), read()).digest() != other().digest()


def test_digest_of_details() -> None:
    """The digest covers the answers, and requests without an answer."""

    def digest(share: int, *more: Any) -> str:
        trace, answered = Trace(), query()
        answered.shares = [share]
        trace.ended(answered, 1.0, True)
        for one in more:
            trace.sent(one)
        return trace.digest()

    assert len({digest(0), digest(1), digest(0, read())}) == 3


def test_last_bits() -> None:
    """Times that differ only in the last bits are equal: machines may differ there."""
    assert 0.3 != 0.1 + 0.2
    assert traced(query(), read(), 0.3).digest() == traced(query(), read(), 0.1 + 0.2).digest()


def test_closed() -> None:
    """After the end of the run, nothing is recorded."""
    unanswered, late = query(), query(2)
    trace = traced(unanswered, read())
    lines, digest = trace.lines, trace.digest()
    trace.closed = True
    trace.sent(late)
    trace.cancelled(unanswered, 3.0)
    trace.ended(unanswered, 3.0, True)
    trace.note(3.0, "raised")

    assert (trace.lines, trace.digest()) == (lines, digest)
    assert (unanswered.ended, unanswered.cancelled) == (None, False)
    assert late not in trace.exchanges
