"""Several reads of one file by a downloader that keeps its state."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from twisted.internet import defer

from firstk.downloader import download
from firstk.harness.run.bound import Bound, bound
from firstk.harness.run.result import Result, unmet
from firstk.harness.run.simulate import simulate
from firstk.harness.run.under_test import DownloaderError, find_reader
from firstk.harness.testing.simgrid import SimGrid
from firstk.scenarios.hashing import scenario_hash
from firstk.scenarios.load import ScenarioError, from_tables
from firstk.scenarios.model import Expectation
from tests.harness.making import constant, needs_tahoe, scenario

FILE: dict[str, Any] = {
    "file": {"size": 30_000, "segment_size": 3000},
    "grid": {"rtt": constant(0.1)},
}


def result(subject: Any, *reads: dict[str, Any], servers: Any = (), **changes: Any) -> Result:
    """Return the result of these reads."""
    made = scenario(*servers, **{**FILE, **changes}, reads=list(reads))
    return simulate(made, subject).result


class Node:
    """A node that reads with `first-k` from servers that have not failed, and can be closed."""

    made: ClassVar[list[Node]] = []

    def __init__(self, reactor: Any, servers: Any, cap: str) -> None:
        self.reactor, self.servers, self.cap = reactor, servers, cap
        self.reads: list[tuple[int, int | None, float]] = []
        self.closed: list[float] = []
        Node.made.append(self)

    def read(self, consumer: Any, offset: int, size: int | None) -> defer.Deferred[Any]:
        self.reads.append((offset, size, self.reactor.seconds()))
        return download(self.reactor, self.servers, self.cap, consumer, offset=offset, size=size)

    def close(self) -> None:
        self.closed.append(self.reactor.seconds())


@pytest.fixture(autouse=True)
def _no_nodes() -> None:
    Node.made.clear()


def test_one_after_another() -> None:
    """A read begins when the previous one ends, and all reads share one node."""
    got = result(Node, {"length": 100}, {"offset": 9000, "length": 10}, {"offset": 29_990})
    (node,) = Node.made

    assert got.outcomes == ["ok", "ok", "ok"]
    assert node.reads == [(0, 100, 0.0), (9000, 10, 0.5), (29_990, None, pytest.approx(1.0))]
    assert got.ttfb == pytest.approx(0.5)
    assert got.finished == pytest.approx(1.5)
    assert node.closed == [got.finished]
    assert (got.queries, got.content_ok) == (30, True)


def test_at_the_same_time() -> None:
    """A read may begin at a given time, independently of the others."""
    got = result(Node, {"length": 100, "start": 0.3}, {"length": 100, "start": 0.1})
    (node,) = Node.made

    assert [start for _, _, start in node.reads] == [0.1, 0.3]
    assert got.ttfb == pytest.approx(0.6)
    assert got.finished == pytest.approx(0.8)
    assert got.outcomes == ["ok", "ok"]


def test_one_read_is_a_download() -> None:
    """One read of the whole file has the trace of a download, with strategies."""
    for subject in ("first-k", "windowed", "hedged"):
        alone = simulate(scenario(**FILE), subject).result

        assert result(subject, {}).digest == alone.digest


@pytest.mark.parametrize("subject", ["wait-for-all", "first-k", "windowed", "hedged", Node])
def test_cancel(subject: Any) -> None:
    """A cancelled read ends well without its bytes, and the others continue."""
    got = result(subject, {"cancel": 0.55, "start": 0.0}, {"start": 0.05, "offset": 15_000})

    assert got.outcomes == ["ok", "ok"]
    assert got.content_ok is True


def test_cancelled_before_a_byte() -> None:
    """A read that is cancelled before its first byte writes nothing."""
    got = result("windowed", {"cancel": 0.05})

    assert (got.outcomes, got.ttfb, got.content_ok) == (["ok"], None, None)
    assert got.finished == pytest.approx(0.05)


def test_cancel_too_late() -> None:
    """Cancelling a finished read does nothing."""
    assert result("windowed", {"cancel": 50.0}).outcomes == ["ok"]


def test_worst_outcome() -> None:
    """The outcome is the worst one, and each read's outcome is listed."""
    servers = [{"select": "0-7", "fault": {"kind": "broken", "start": 1.0, "end": 3.0}}]
    reads: list[dict[str, Any]] = [
        *({"length": 9}, {"length": 9, "start": 1.5}, {"length": 9, "start": 4.0})
    ]
    got = result("first-k", *reads, servers=servers)

    assert (got.outcome, got.outcomes) == ("failed", ["ok", "failed", "ok"])
    assert got.error == "NotEnoughSharesError"
    assert got.finished == pytest.approx(4.5)


def test_stalled() -> None:
    """If a read hangs, one that waits for it never begins."""
    servers = [{"select": "9", "fault": {"kind": "hung"}}]
    got = result("wait-for-all", {}, {}, servers=servers)

    assert (got.outcome, got.outcomes, got.finished) == ("stalled", ["stalled", "stalled"], None)


def test_state_that_survives() -> None:
    """A node that keeps an error for its next read fails that read too."""

    class Spoilt(Node):
        def read(self, consumer: Any, offset: int, size: int | None) -> defer.Deferred[Any]:
            if self.reads:
                return defer.Deferred()
            self.reads.append((offset, size, 0.0))
            return defer.fail(ValueError("spoilt"))

    got = result(Spoilt, {}, {"start": 1.0})

    assert (got.outcome, got.outcomes) == ("stalled", ["failed", "stalled"])
    assert (got.error, got.message) == ("ValueError", "spoilt")


def test_timers_left_behind() -> None:
    """A timer that a node leaves running after `close` is misconduct; before, it is allowed."""

    class Keeps(Node):
        def read(self, consumer: Any, offset: int, size: int | None) -> defer.Deferred[Any]:
            self.timer = self.reactor.callLater(100.0, len, "")
            return super().read(consumer, offset, size)

    class Stops(Keeps):
        def close(self) -> None:
            self.timer.cancel()

    assert result(Stops, {"length": 9}).outcomes == ["ok"]
    assert "left timers running" in (result(Keeps, {"length": 9}).message or "")


def test_wrong_close() -> None:
    """An exception in `close` fails the run."""

    class Wrong(Node):
        def close(self) -> None:
            raise KeyError("close")

    assert result(Wrong, {"length": 9}).error == "KeyError"


def test_a_node_downloads() -> None:
    """A node class is a downloader like any other, also for one whole file."""
    got = simulate(scenario(**FILE), Node).result
    (node,) = Node.made

    assert (got.outcome, got.outcomes) == ("ok", None)
    assert node.closed == [got.finished]


def test_no_node() -> None:
    """A class with another signature is not a downloader."""

    class Bad:
        def __init__(self, reactor: Any) -> None: ...
        def read(self) -> None: ...

    with pytest.raises(DownloaderError, match=r"cannot be called with .reactor, servers, cap."):
        find_reader(Bad)


@pytest.mark.parametrize("subject", ["first-k", "windowed", "hedged"])
def test_repeatable(subject: str) -> None:
    """Equal seeds give equal digests."""
    reads: list[dict[str, Any]] = [
        {"cancel": 0.12},
        {"start": 0.05, "offset": 10_000},
        {"length": 10},
    ]
    grid = {"rtt": {"law": "exponential", "mean": 0.1}}
    first, again = (result(subject, *reads, grid=grid).digest for _ in "ab")

    assert first == again


# Tahoe-LAFS


@needs_tahoe
def test_one_node_of_tahoe() -> None:
    """Several reads of one Tahoe-LAFS node query the servers only once."""
    got = result("tahoe", {"length": 100}, {"offset": 9000}, {"start": 0.05, "offset": 3000})

    assert got.outcomes == ["ok", "ok", "ok"]
    assert got.queries == 10


@needs_tahoe
def test_one_read_of_tahoe() -> None:
    """One read of Tahoe-LAFS has the trace of a download."""
    assert result("tahoe", {}).digest == simulate(scenario(**FILE), "tahoe").result.digest


@needs_tahoe
def test_tahoe_loses_an_innocent_read() -> None:
    """Tahoe-LAFS fails a read if another read of its segment was cancelled during decoding."""
    reads = [
        {"length": 1000, "start": 0.0, "cancel": 0.5},
        {"length": 1000, "start": 0.1, "offset": 1_500_000},
        {"length": 1000, "start": 0.6},
    ]
    decodes: dict[str, Any] = {"client": {"compute": constant(1.0)}}
    asked: dict[str, Any] = {"file": {"size": 2_500_000, "segment_size": 2**20}}
    got = result("tahoe", *reads, **asked, **decodes)

    assert (got.outcomes, got.error) == (["ok", "ok", "failed"], "AssertionError")
    assert result("tahoe", *reads[1:], **asked, **decodes).outcomes == ["ok", "ok"]


# What is expected, and what is refused


def test_expected() -> None:
    """An expectation may say how each read ends."""
    got = result("windowed", {"length": 9}, {"length": 9})

    assert list(unmet(Expectation(outcomes=["ok", "ok"]), got)) == []
    assert list(unmet(Expectation(outcomes=["ok", "failed"]), got)) == [
        "expected the outcomes ['ok', 'failed'] of reads, and got ['ok', 'ok']"
    ]
    assert list(unmet(Expectation(outcomes=["ok"]), simulate(scenario(), "first-k").result)) == [
        "expected the outcomes ['ok'] of reads, and they are not several"
    ]


@pytest.mark.parametrize(
    ("changes", "key", "words"),
    [
        ({"reads": []}, "reads", "at least 1"),
        ({"reads": [{"offset": 57}]}, "reads[0].offset", "should be 56 .the file's size. or less"),
        ({"reads": [{}, {"offset": 50, "length": 7}]}, "reads[1].length", "should be 6 "),
        ({"reads": [{"start": -1.0}]}, "reads[0].start", "greater than or equal to 0"),
        ({"reads": [{}], "stop": "first-block"}, "reads", "take away `stop`"),
        ({"reads": [{}], "file": {"offset": 5}}, "reads", "take `offset` and `length` off"),
        (
            {
                "reads": [{}],
                "workload": {"arrivals": {"kind": "fixed", "rate": 1.0}, "downloads": 5},
            },
            "workload",
            "without ..reads..",
        ),
    ],
)
def test_refused(changes: dict[str, Any], key: str, words: str) -> None:
    """Contradictory keys of several reads are refused, with their location."""
    tables = {
        "name": "t",
        **changes,
        "file": {"size": 56, "k": 3, "n": 10, **changes.get("file", {})},
        "grid": {"servers": 10, "rtt": constant(0.5)},
    }
    with pytest.raises(ScenarioError, match=words) as caught:
        from_tables(tables)

    assert [mistake.key for mistake in caught.value.mistakes] == [key]


def test_bound() -> None:
    """The bound of several reads has the cost of the largest one, and no first byte."""
    reads = [{"length": 5}, {}, {"cancel": 1.0}]
    whole = bound(scenario(**FILE))

    assert bound(scenario(**FILE, reads=reads)) == Bound(None, whole.requests, whole.bytes)
    assert bound(scenario(**FILE, reads=reads[2:])) == Bound(None, 0, 0)
    assert bound(scenario({"select": "all", "fault": {"kind": "broken"}}, reads=reads[:1])) == (
        Bound(None, None, None)
    )


def test_hash() -> None:
    """The reads are part of a scenario's hash."""
    one, other = scenario(reads=[{}]), scenario(reads=[{"cancel": 1.0}])

    assert len({scenario_hash(one), scenario_hash(other), scenario_hash(scenario())}) == 3


# In a test


def test_node_in_a_grid() -> None:
    """A test begins reads of one node, cancels them, and closes it."""
    with SimGrid(rtt=0.1, size=30_000, segment_size=3000) as grid:
        node = grid.node(Node)
        first, second = node.read(), node.read(offset=100, length=50)
        grid.advance(0.45)
        first.cancel()
        outcomes = [first.finish().outcome, second.finish().outcome]
        grid.servers.fault("broken")
        outcomes.append(node.read(length=5).finish().outcome)
        node.close()

    assert outcomes == ["ok", "ok", "failed"]
    assert len(Node.made) == 1
    assert len(Node.made[0].closed) == 1
    assert repr(node).endswith("Node, 3 reads>")


def test_grid_of_a_scenario_with_reads() -> None:
    """A scenario with reads is run as a whole; a test makes its own reads."""
    with pytest.raises(ValueError, match=r"node\(\)"):
        SimGrid.of(scenario(reads=[{}]))
