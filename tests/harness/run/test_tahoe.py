"""The downloader of Tahoe-LAFS 1.20 in virtual time, unmodified."""

from __future__ import annotations

import json
import re
import sys
import time
from contextvars import copy_context
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from firstk.harness.cli.main import main
from firstk.harness.grid.consumer import SimConsumer
from firstk.harness.grid.files import file_of
from firstk.harness.grid.trace import Trace
from firstk.harness.kernel.reactor import SimReactor
from firstk.harness.run.result import Result
from firstk.harness.run.simulate import simulate
from firstk.harness.run.under_test import find_downloader
from firstk.harness.run.workload import simulate_workload
from firstk.harness.testing.simgrid import SimGrid
from firstk.scenarios.library import load_all
from firstk.scenarios.model import Scenario
from firstk.scenarios.workload import Workload
from tests.harness.making import constant, hung, needs_tahoe, run_python, scenario
from tests.harness.run.test_windowed import ROWS, RTT, Row, check, fault
from tests.marks import few
from tests.tahoe import CHK_FILES, FOLDER, RealFile

pytestmark = needs_tahoe

#: Tahoe-LAFS reads a share again each round trip, forever; `windowed` does not.
ENDLESS = ("1 share cut below 36 bytes", "1 share cut to nothing")


def tahoe(made: Scenario, run: int = 0) -> Result:
    """Return the result of Tahoe-LAFS."""
    return simulate(made, "tahoe", run).result


def segments(**changes: Any) -> Scenario:
    """Return a scenario of a file of several segments, with varying round trips."""
    return scenario(
        {"select": {"probability": 0.2}, "fault": {"kind": "hung", "on": ["read"], "end": 3.0}},
        file={"size": 3000, "segment_size": 700},
        grid={"rtt": {"law": "lognormal", "median": RTT, "sigma": 1.0}},
        **changes,
    )


def copies() -> Scenario:
    """Return a scenario of several segments in which copies of shares are equally near."""
    return scenario(
        *({"select": f"{n},{n + 5},{n + 10}", "shares": [n]} for n in range(5)),
        file={"size": 8000, "n": 5, "segment_size": 700},
        grid={"servers": 15, "rtt": constant(RTT)},
    )


def alone(reactor: SimReactor) -> Deferred[Any]:
    """Begin a download without servers, outside any scenario; call it in a new context."""
    file = file_of(scenario())
    consumer = SimConsumer(reactor, file, 0, False, Trace())
    begun: Deferred[Any] = module().download(reactor, [], str(file.cap), consumer)
    return begun


def module() -> Any:
    """Return the module under test, which needs Tahoe-LAFS."""
    find_downloader("tahoe")
    return sys.modules["firstk.harness.run.tahoe"]


# Measured behaviour


@pytest.mark.parametrize("row", [row for row in ROWS if row.name not in ENDLESS], ids=str)
def test_table(row: Row) -> None:
    """It behaves as measured, in a trial and on the real reactor, to the millisecond."""
    check(row, simulate(row.scenario(), "tahoe"), row.windowed)


@pytest.mark.parametrize("row", [row for row in ROWS if row.name in ENDLESS], ids=str)
def test_endless_reading(row: Row) -> None:
    """It reads the start of a share below 36 bytes again and again, until the deadline."""
    run = simulate(row.scenario().model_copy(update={"deadline": 2.0}), "tahoe")
    times = {round(e.sent, 6) for e in run.trace.exchanges if (e.server, e.share) == ("s0", 0)}

    assert (run.result.outcome, run.result.ttfb) == ("deadline", None)
    assert {round(n * RTT, 6) for n in range(1, 40)} <= times


def test_no_servers() -> None:
    """Without servers, it fails at once."""
    reactor, failures = SimReactor(), list[Failure]()
    reactor.callWhenRunning(lambda: alone(reactor).addErrback(failures.append))
    copy_context().run(reactor.run)

    assert [type(failure.value).__name__ for failure in failures] == ["NoSharesError"]
    assert reactor.seconds() == 0


def same(one: object, other: object) -> bool:
    """Return whether two values are equal, or two times except for their last digits."""
    return one == (pytest.approx(other) if isinstance(other, float) else other)


@pytest.mark.parametrize(
    "made", load_all(["ticket-928", "hung-server"]), ids=lambda made: str(made.name)
)
def test_windowed_is_as_tahoe(made: Scenario) -> None:
    """`windowed` has the same results as Tahoe-LAFS in the scenarios of the library."""
    ours, theirs = simulate(made, "windowed").result, tahoe(made)

    for key in ("outcome", "error", "ttfb", "finished", "ended", "content_ok"):
        assert same(getattr(theirs, key), getattr(ours, key)), key


# What it is asked for


@pytest.mark.parametrize("file", CHK_FILES, ids=str)
def test_real_shares(file: RealFile) -> None:
    """It reads shares that a real Tahoe-LAFS wrote."""
    table = {
        "shares": str(FOLDER / file.name),
        "cap": file.uri,
        "sha256": sha256(file.plaintext).hexdigest(),
    }
    made = Scenario.model_validate(
        {"name": "t", "file": table, "grid": {"servers": 10, "rtt": constant(RTT)}}
    )
    found = tahoe(made)

    assert (found.outcome, found.content_ok) == ("ok", True)


@pytest.mark.parametrize(
    ("offset", "length"), [(0, 10), (10, 20), (699, 5), (1500, None), (2999, 1), (3000, None)]
)
def test_range(offset: int, length: int | None) -> None:
    """Asked for a range, it writes exactly that."""
    file = {"size": 3000, "segment_size": 700, "offset": offset}
    if length is not None:
        file["length"] = length
    found = tahoe(scenario(file=file))

    assert found.outcome == "ok"
    assert (None if offset == 3000 else True) is found.content_ok


def test_first_block() -> None:
    """A download that stops after the first byte succeeds there."""
    file = {"size": 3000, "segment_size": 700}
    whole, first = (tahoe(scenario(file=file, stop=s)) for s in ("complete", "first-block"))

    assert (whole.outcome, first.outcome) == ("ok", "ok")
    assert first.ttfb == whole.ttfb == first.finished
    assert first.reads < whole.reads


def test_no_timers_left() -> None:
    """Its timers for outstanding queries end with the download, and so does the simulation."""
    found = tahoe(scenario(hung("3-9")))

    assert ("ok", found.finished) == (found.outcome, found.ended)


def test_errors_in_its_own_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors that Tahoe-LAFS would only log fail the run."""
    module()
    fetcher: Any = sys.modules["allmydata.immutable.downloader.fetcher"]
    monkeypatch.setattr(fetcher.SegmentFetcher, "loop", lambda _: 1 / 0)
    found = tahoe(scenario())

    assert (found.outcome, found.error) == ("failed", "ZeroDivisionError")


# Runs are independent


def test_repeatable() -> None:
    """Equal seeds make equal runs, down to every event, in one process."""
    made = segments(runs=5)
    digests = [[tahoe(made, run).digest for run in range(5)] for _ in "ab"]

    assert digests[0] == digests[1]
    assert len(set(digests[0])) == 5


DIGESTS = """
import json
from tests.harness.run.test_tahoe import copies, segments, tahoe

print(json.dumps([tahoe(made, run).digest for made in (segments(), copies()) for run in range(5)]))
"""

#: Programs that begin differently, and what each installs.
REACTORS = {
    "none": "",
    "the real one": "import twisted.internet.reactor\n",
    "asyncio's": "from twisted.internet import asyncioreactor; asyncioreactor.install()\n",
}


@pytest.mark.parametrize("installed", few(1, REACTORS))
@pytest.mark.slow
def test_other_processes(installed: str) -> None:
    """Neither the hash seed nor the installed reactor changes anything."""
    seed = str(list(REACTORS).index(installed))
    said = run_python(REACTORS[installed] + DIGESTS, PYTHONHASHSEED=seed)

    expected = [tahoe(made, run).digest for made in (segments(), copies()) for run in range(5)]

    assert expected == json.loads(said)


def bound() -> list[Any]:
    """Return the values of all names in Tahoe-LAFS's modules that are rebound."""
    modules = (*module()._WITH_REACTOR, *module()._WITH_CLOCK)
    return [value for m in modules for key, value in vars(m).items() if key[:2] != "__"]


@pytest.mark.parametrize(
    ("outcome", "entries"),
    [
        ("ok", []),
        ("stalled", [hung("0", on=["read"])]),
        ("deadline", [fault("0", "truncated", length=0)]),
    ],
)
def test_bound_back(outcome: str, entries: list[dict[str, Any]]) -> None:
    """However a run ends, all names are restored, and the real reactor has no timers."""
    before = bound()
    real: Any = sys.modules["twisted.internet.reactor"]
    found = tahoe(scenario(*entries, deadline=20.0))

    assert outcome == found.outcome
    assert list(map(id, before)) == list(map(id, bound()))
    assert real.getDelayedCalls() == []


def test_real_use_meanwhile() -> None:
    """Outside simulated downloads, Tahoe-LAFS uses the real clock and queue."""
    module()
    finder: Any = sys.modules["allmydata.immutable.downloader.finder"]
    eventual: Any = sys.modules["foolscap.eventual"]
    real: Any = sys.modules["twisted.internet.reactor"]
    grid = SimGrid(downloader="tahoe")
    grid.start()
    grid.advance(0.01)

    assert abs(finder.now() - time.time()) < 60
    assert eventual.reactor.seconds is real.seconds
    assert eventual._theSimpleQueue._events == []
    assert grid.finish()[0].outcome == "ok"


def test_after_a_broken_run() -> None:
    """A run that was aborted does not affect a later one."""
    expected = tahoe(segments()).digest
    copy_context().run(alone, SimReactor())

    assert expected == tahoe(segments()).digest


# Many at once


#: Each server has its own constant round-trip time, and no queue.
APART: dict[str, Any] = {
    "rtt": {"law": "uniform", "low": 0.02, "high": 0.2},
    "rtt_per": "server",
}

LOADS: dict[str, dict[str, Any]] = {
    "poisson": {"arrivals": {"kind": "poisson", "rate": 40.0}},
    "cancel": {"arrivals": {"kind": "poisson", "rate": 40.0}, "cancel": True},
    "fixed": {"arrivals": {"kind": "fixed", "rate": 30.0}},
    "closed": {"arrivals": {"kind": "closed", "clients": 4, "think": constant(0.03)}},
}

CASES: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "ok": ([], {}),
    "ok, first byte": ([], {"stop": "first-block"}),
    "ok, range": ([], {"file": {"offset": 1500, "length": 900}}),
    "deadline": ([], {"deadline": 0.15}),
    "stalled": ([hung("all", on=["read"])], {}),
    "failed": ([{"select": "2-9", "fault": {"kind": "broken"}}], {}),
    "ok, corrupt": ([fault("0", "corrupt", part="block")], {}),
    "ok, late": ([hung("all", end=1.0)], {"deadline": 60.0}),
}


def came_to(result: Result) -> tuple[Any, ...]:
    """Return the result of a download, without the last digits of its times."""
    times = (t and round(t, 9) for t in (result.ttfb, result.finished))
    # Alone, what arrives after a failure counts too.
    received = None if result.outcome == "failed" else result.bytes_received
    return (result.outcome, result.error, *times, result.requests, received)


def together(made: Scenario, load: dict[str, Any], downloads: int = 12) -> list[Result]:
    """Return the results of many downloads at once."""
    workload = Workload.model_validate({"downloads": downloads, "warmup": 0, **load})
    results: list[Result] = []
    summed = simulate_workload(
        made.model_copy(update={"workload": workload}), "tahoe", each=results.append
    )

    assert (0, downloads) == (summed.strays, len(results))
    return results


@pytest.mark.parametrize("case", few(2, CASES))
@pytest.mark.parametrize("load", LOADS)
def test_many_at_once(load: str, case: str) -> None:
    """Without queues, each of many concurrent downloads has the result of a single one."""
    entries, changes = CASES[case]
    file = {"size": 3000, "segment_size": 700} | changes.get("file", {})
    made = scenario(*entries, **changes | {"file": file, "grid": APART})
    alone = came_to(tahoe(made))

    assert alone[0] == case.partition(",")[0]
    if case == "ok, late":  # it depends on when it begins
        assert {result.outcome for result in together(made, LOADS[load])} == {"ok"}
    else:
        assert {alone} == set(map(came_to, together(made, LOADS[load])))


def test_many_files_at_once() -> None:
    """Concurrent downloads of files of several sizes have the results of single ones."""
    files = {"count": 3, "sizes": {"law": "uniform", "low": 100.0, "high": 9000.0}}
    made = scenario(file={"segment_size": 700}, grid=APART)
    apart = {"arrivals": {"kind": "fixed", "rate": 0.1}, "files": files}
    alone = set(map(came_to, together(made, apart, 20)))
    results = together(made, LOADS["poisson"] | {"files": files}, 20)

    assert len(alone) == 3
    assert alone == set(map(came_to, results))


def test_many_in_queues() -> None:
    """In queues they wait for one another, as those of `windowed` do."""
    grid = {"rtt": constant(RTT), "service": constant(0.02), "concurrency": 1}
    workload = {"arrivals": {"kind": "fixed", "rate": 40.0}, "downloads": 40, "warmup": 0}
    made = scenario(grid=grid, workload=workload)
    theirs, ours = (simulate_workload(made, subject) for subject in ("tahoe", "windowed"))

    assert {"ok": 40} == theirs.outcomes == ours.outcomes
    assert theirs.ttfb.quantile(1) == pytest.approx(ours.ttfb.quantile(1), rel=0.02)
    assert (theirs.ttfb.quantile(1) or 0) > 1.5 * (theirs.ttfb.quantile(0.01) or 0)


def test_load_is_repeatable() -> None:
    """Equal seeds make equal workloads, even after others."""
    made = scenario(
        grid={"rtt": {"law": "lognormal", "median": RTT, "sigma": 1.0}},
        workload=LOADS["poisson"] | {"downloads": 30},
    )
    digests = [[simulate_workload(made, "tahoe", run).digest for run in (0, 1)] for _ in "ab"]

    assert digests[0] == digests[1]
    assert digests[0][0] != digests[0][1]


def test_several_in_a_grid() -> None:
    """Several downloads in one grid, and in two, do not affect one another."""
    first, second = SimGrid(rtt=RTT), SimGrid(rtt=2 * RTT)
    for grid in (first, second):
        grid.start("tahoe")
        grid.advance(RTT / 2)
        grid.start("tahoe")
        grid.start("windowed")
    while not all(running.done for grid in (first, second) for running in grid._running):
        for grid in (first, second):
            grid.advance(RTT / 10)
    results = [grid.finish() for grid in (first, second)]
    first.close()
    third = first_times(SimGrid(rtt=RTT).download("tahoe"))

    assert {result.outcome for of in results for result in of} == {"ok"}
    assert {third} == set(map(first_times, results[0]))
    assert {third * 2} == set(map(first_times, results[1]))


def first_times(result: Result) -> float:
    """Return the time to first byte, without its last digits."""
    assert result.ttfb is not None
    return round(result.ttfb, 9)


# The command line


def test_command_line(tmp_path: Path) -> None:
    """`compare` and `run` accept its short and its long name."""
    ran = CliRunner().invoke(
        main, ["compare", "yes-then-hang", "--downloader", "tahoe", "--out", str(tmp_path)]
    )
    long = [
        "run",
        "one-hung",
        "-s",
        "windowed",
        "--downloader",
        "firstk.harness.run.tahoe:download",
    ]

    assert ran.exit_code == 0
    assert re.search(r" tahoe +stalls forever ", ran.stdout)
    assert CliRunner().invoke(main, long).exit_code == 0


TOML = """
name = "t"
[file]
size = 100
k = 1
n = 2
[grid]
servers = 2
rtt = { law = "constant", value = 0.5 }
[expect.downloader]
outcome = "stalled"
"""


def test_expectations(tmp_path: Path) -> None:
    """Expectations of `downloader` apply to it, and those of `tahoe` take precedence."""
    for text, status in ((TOML, 1), (TOML + '[expect.tahoe]\noutcome = "ok"\n', 0)):
        (tmp_path / "t.toml").write_text(text)
        ran = CliRunner().invoke(main, ["run", str(tmp_path / "t.toml"), "--downloader", "tahoe"])

        assert status == ran.exit_code
