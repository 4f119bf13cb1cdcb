"""Fuzzing finds planted defects, shrinks them, and finds nothing else."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from math import inf
from pathlib import Path
from random import Random
from typing import Any

import pytest
from twisted.python.failure import Failure

from firstk.downloader.aes import Keystream
from firstk.downloader.api import Download
from firstk.downloader.errors import ShareError
from firstk.downloader.fetch import PhasedFetcher
from firstk.downloader.locate import ShareFinder
from firstk.downloader.pipelined import PipelinedFetcher
from firstk.downloader.reading import Readings
from firstk.downloader.session import PendingWaits, Signal
from firstk.downloader.share import Share
from firstk.downloader.status import DownloadStatus
from firstk.harness.fuzz.finds import Counterexample
from firstk.harness.fuzz.fuzzer import Fuzzer
from firstk.harness.fuzz.generate import Generator
from firstk.harness.fuzz.invariants import INVARIANTS, Invariant, broken
from firstk.harness.fuzz.kinds import FAULTS
from firstk.harness.fuzz.observed import ScenarioRuns
from firstk.harness.fuzz.situations import Situation
from firstk.harness.fuzz.swarm import tables
from firstk.harness.fuzz.vary import vary
from firstk.harness.run.bound import Bound
from firstk.harness.run.finish import Run
from firstk.harness.run.simulate import simulate
from firstk.scenarios.load import load_scenario
from firstk.scenarios.model import Scenario
from tests.harness.making import ROOT, constant, scenario
from tests.marks import few

Patch = pytest.MonkeyPatch

#: A function that plants a defect.
Defect = Callable[[Patch], None]


# Earlier finds

KNOWN = {
    "blocks without hashes": scenario(
        {"select": "0", "fault": {"kind": "corrupt", "part": "crypttext-hashes"}},
        file={"size": 2, "k": 1, "n": 2, "segment_size": 1},
        grid={"servers": 2},
        strategies=["hedged"],
    ),
    "bad UEBs": scenario(
        {"select": "0-2", "fault": {"kind": "corrupt", "part": "ueb"}},
        strategies=["hedged", "hedged+2"],
    ),
    "shares untried": scenario(
        file={"size": 1, "k": 2, "n": 5},
        grid={
            "servers": 5,
            "rtt": constant(0.25),
            "service": {"law": "pareto", "alpha": 0.5, "scale": 7.0},
        },
        seed=1,
        deadline=1e6,
        strategies=["hedged"],
    ),
    "a read cancelled and sent again": scenario(
        {"select": "2-5", "fault": {"kind": "trickle", "piece": 601, "every": 2.0}},
        file={"size": 703, "k": 1, "n": 4},
        grid={"servers": 6, "rtt": {"law": "lognormal", "median": 0.1, "sigma": 3.0}},
        strategies=["hedged"],
    ),
    "have 1, need 1": scenario(
        {"select": "0", "fault": {"kind": "hung", "on": ["read"]}},
        file={"size": 1, "k": 1, "n": 1},
        grid={"servers": 1, "rtt": constant(30.0)},
        strategies=["hedged"],
    ),
}


@pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN)
def test_known(known: Scenario) -> None:
    """An earlier find is fixed."""
    assert list(broken(ScenarioRuns(known))) == []


def test_copy_with_bad_hashes() -> None:
    """Good copies of a share are tried if one copy has a good block and corrupt hashes."""
    known = scenario(
        {"select": "all", "shares": [0]},
        {"select": "0", "fault": {"kind": "corrupt", "part": "crypttext-hashes"}},
        file={"size": 2, "k": 1, "n": 3, "segment_size": 1},
        grid={"servers": 3},
        strategies=["hedged"],
    )

    assert list(broken(ScenarioRuns(known))) == []


def test_copy_on_another_server() -> None:
    """A second copy of a share is tried before giving up, however many reads are silent."""
    known = scenario(
        {"select": "0", "shares": [0, 1]},
        file={"size": 1, "k": 1, "n": 2},
        grid={"servers": 2, "rtt": {"law": "pareto", "alpha": 0.5, "scale": 30.0}},
        seed=1,
        deadline=1e6,
        strategies=["hedged+2"],
    )

    assert list(broken(ScenarioRuns(known))) == []


def test_stalls_again_and_again() -> None:
    """A server that sends the same bytes each time, and then fails, is given up at last."""
    known = scenario(
        {"select": "0,1", "fault": {"kind": "stall", "after_bytes": 100, "fails_after": 2.5}},
        file={"size": 1, "k": 1, "n": 2},
        grid={"servers": 2, "rtt": {"law": "constant", "value": 0.1}},
        deadline=1e4,
        strategies=["hedged"],
    )
    case = ScenarioRuns(known)

    assert list(broken(case)) == []
    assert case.runs[0].result.outcome == "failed"


def test_small_pieces() -> None:
    """Small pieces of an answer pass the downlink while others pass the uplink."""
    known = scenario(
        {"select": "3", "fault": {"kind": "trickle", "piece": 701, "every": 0.05}},
        file={"size": 3399, "k": 4, "n": 4},
        grid={
            "servers": 4,
            "rtt": {"law": "quantiles", "table": [[0.0, 0.0], [1.0, 30.0]]},
            "client_bandwidth": 40000.0,
            "bandwidth": 4000.0,
            "reading_queries": True,
        },
        seed=2,
        strategies=["one-round"],
    )

    assert list(broken(ScenarioRuns(known))) == []


def test_late_reading_query() -> None:
    """A query that reads may come after reads that follow another query."""
    known = scenario(
        {"select": "0", "fault": {"kind": "corrupt", "part": "crypttext-hashes", "end": 0.025}},
        file={"size": 1, "k": 2, "n": 2},
        grid={
            "servers": 1,
            "rtt": {"law": "constant", "value": 0.01},
            "reading_queries": True,
        },
        strategies=["windowed"],
    )

    assert list(broken(ScenarioRuns(known))) == []


def test_refused_connection() -> None:
    """A download may wait to ask a server again whose connection is refused."""
    refused = {"kind": "broken", "on": ["connect"]}
    known = scenario(
        {"select": "0", "fault": refused},
        file={"size": 1, "k": 1, "n": 1},
        grid={"servers": 1, "rtt": {"law": "constant", "value": 1.0}},
        deadline=0.03,
        strategies=["hedged"],
    )

    assert list(broken(ScenarioRuns(known))) == []


# No finds


@pytest.mark.parametrize("seed", few(8, range(25)))
def test_invariants(seed: int) -> None:
    """Every invariant holds, whatever the grid and the strategy."""
    made = Scenario.model_validate(tables(Random(seed).randrange))

    assert list(broken(ScenarioRuns(made))) == []


@pytest.mark.slow
def test_many() -> None:
    """The same for 20,000 scenarios."""
    fuzzer = Fuzzer(928)

    assert fuzzer.search(scenarios=20_000) is None
    assert fuzzer.counts.scenarios == 20_000


# Planted defects are found


def buckets_counted(patch: Patch) -> None:
    """Count buckets, not distinct share numbers."""
    take = ShareFinder._take

    def counting(self: ShareFinder, *args: Any) -> None:
        take(self, *args)
        vars(self)["_numbers"] = {(s.server, s.number) for s in self.shares}

    patch.setattr(ShareFinder, "_take", counting)


def checked_for_each_bucket(patch: Patch) -> None:
    """Check whether servers are left once per bucket: not at all for an empty answer."""
    take, check = ShareFinder._take, ShareFinder._check
    empty: list[bool] = []

    def noting(self: ShareFinder, buckets: Any, *args: Any) -> None:
        take(self, buckets, *args)
        empty.append(not buckets)

    def checking(self: ShareFinder) -> None:
        if not (empty and empty.pop()):
            check(self)

    patch.setattr(ShareFinder, "_take", noting)
    patch.setattr(ShareFinder, "_check", checking)


def fired_twice(patch: Patch) -> None:
    """Fire a Deferred a second time if a server failed."""
    fire = PendingWaits.fire

    def twice(self: PendingWaits, deferred: Any, result: Any) -> None:
        fire(self, deferred, result)
        if isinstance(result, Failure):
            deferred.callback(None)

    patch.setattr(PendingWaits, "fire", twice)


def responses_counted(patch: Patch) -> None:
    """Do not count failed queries."""
    patch.setattr(DownloadStatus, "queries_failed", 0)


def late_answers_ignored(patch: Patch) -> None:
    """Close the finder when phase 1 ends."""
    check = ShareFinder._check

    def closing(self: ShareFinder) -> None:
        check(self)
        self.closed = self.closed or self._ended

    patch.setattr(ShareFinder, "_check", closing)


def no_other_share(patch: Patch) -> None:
    """Choose no other share after one is lost."""
    choose = PhasedFetcher._choose

    def stubborn(self: PhasedFetcher, taken: Any) -> Share | None:
        lost = any(share.lost for share in self._located.shares)
        return None if lost else choose(self, taken)

    patch.setattr(PhasedFetcher, "_choose", stubborn)


def no_hedge(patch: Patch) -> None:
    """Wait for a read that hangs."""
    patch.setattr(Readings, "expire", lambda self, latest, lacking, have: inf)


def k_shares_asked(patch: Patch) -> None:
    """Read the UEB and the hashes from at most K shares."""

    async def from_any(self: PhasedFetcher, read: Callable[[Share], Awaitable[Any]]) -> Any:
        for share in self._chosen[: self._session.cap.k]:
            try:
                return await read(share)
            except ShareError as e:
                share.blame(e)
        raise self._located.shortage(0)

    patch.setattr(PhasedFetcher, "_from_any", from_any)


def timer_left(patch: Patch) -> None:
    """Leave the timer for overdue requests."""
    set_timer = Signal._set_timer

    def leaving(self: Signal, due: float) -> None:
        if due < inf:
            set_timer(self, due)

    patch.setattr(Signal, "_set_timer", leaving)


def offset_ignored(patch: Patch) -> None:
    """Decrypt every range as if it began at the file's first byte."""
    init = Keystream.__init__
    patch.setattr(Keystream, "__init__", lambda self, key, _=0: init(self, key))


def byte_too_few(patch: Patch) -> None:
    """Lose the last byte of every segment."""
    write = Download._write
    patch.setattr(Download, "_write", lambda self, data: write(self, data[:-1]))


def pauses_ignored(patch: Patch) -> None:
    """Write on while the consumer pauses."""
    patch.setattr(Download, "pauseProducing", lambda self: None)


def choice_by_chance(patch: Patch) -> None:
    """Choose shares at random, without a seed."""
    patch.setattr("firstk.harness.run.download.stream", lambda seed, *purpose: Random())


def never_given_up(patch: Patch) -> None:
    """Wait forever."""
    patch.setattr(PipelinedFetcher, "_give_up_at", lambda self: inf)


def bound_too_late(patch: Patch) -> None:
    """Claim that no download can be earlier than a thousand seconds."""
    patch.setattr("firstk.harness.fuzz.observed.bound", lambda *args: Bound(1000.0, None, None))


def closed_too_soon(patch: Patch) -> None:
    """Expect no more shares once K have been located, if they are used as they arrive."""
    check = ShareFinder._check

    def closing(self: ShareFinder) -> None:
        check(self)
        enough = len(self._numbers) >= self._session.cap.k
        self.closed |= enough and self._session.strategy.locating_ends == "never"

    patch.setattr(ShareFinder, "_check", closing)


#: Each defect, and the invariants that detect it. The first eight are what went wrong on
#: the way to ticket #928.
DEFECTS: dict[Defect, set[str]] = {
    buckets_counted: {"located", "late-shortage"},
    checked_for_each_bucket: {"honest-silence", "located"},
    fired_twice: {"documented-errors"},
    responses_counted: {"counted"},
    late_answers_ignored: {"succeeds", "late-shortage"},
    no_other_share: {"honest-shortage", "succeeds"},
    no_hedge: {"succeeds", "honest-shortage"},
    k_shares_asked: {"succeeds", "late-shortage"},
    timer_left: {"over"},
    offset_ignored: {"right-bytes"},
    byte_too_few: {"all-bytes", "right-bytes"},
    pauses_ignored: {"heeds-pauses"},
    never_given_up: {"gives-up"},
    bound_too_late: {"not-early"},
    closed_too_soon: {"late-shortage", "succeeds"},
}

FOUND = pytest.mark.parametrize(
    ("defect", "names"),
    [
        pytest.param(defect, names, id=defect.__name__, marks=[pytest.mark.slow] * (place > 4))
        for place, (defect, names) in enumerate(DEFECTS.items())
    ],
)


@FOUND
def test_found(monkeypatch: Patch, defect: Defect, names: set[str]) -> None:
    """A planted defect is found within 400 scenarios."""
    monkeypatch.setattr("firstk.harness.fuzz.fuzzer.SHRINKING", 0.0)
    defect(monkeypatch)
    found = Fuzzer().search(scenarios=400)
    assert found is not None

    assert found.broken.invariant.name in names


def says(find: Counterexample) -> int:
    """Return the number of meaningful lines of a scenario file."""
    return sum(bool(line.strip(" []")) for line in find.toml.splitlines())


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "defect",
    [
        pytest.param(buckets_counted, marks=SLOW),
        pytest.param(responses_counted, marks=SLOW),
        pytest.param(checked_for_each_bucket, marks=SLOW),
        pytest.param(fired_twice, marks=SLOW),
        pytest.param(late_answers_ignored, marks=SLOW),
        pytest.param(no_other_share, marks=SLOW),
        pytest.param(no_hedge, marks=SLOW),
        pytest.param(k_shares_asked, marks=SLOW),
    ],
)
def test_small(monkeypatch: Patch, defect: Defect) -> None:
    """A find is shrunk: few servers, few faults, a file of some bytes."""
    monkeypatch.setattr("firstk.harness.fuzz.fuzzer.SHRINKING", 600.0)  # on a busy machine
    defect(monkeypatch)
    found = Fuzzer().search(scenarios=400)
    assert found is not None
    made = Scenario.model_validate(found.tables)

    assert says(found) <= 30
    assert made.grid.servers <= 4
    assert len(made.servers) <= 2


def test_unequal_runs(monkeypatch: Patch) -> None:
    """A find that cannot be reproduced while it is shrunk is reported too."""
    monkeypatch.setattr("firstk.harness.fuzz.fuzzer.SHRINKING", 2.0)
    choice_by_chance(monkeypatch)
    found = Fuzzer().search(scenarios=400)
    assert found is not None

    assert found.broken.invariant.name == "repeatable"


def test_first_k_later(monkeypatch: Patch) -> None:
    """If first-k located its shares later than wait-for-all, that would be found."""

    def later(of: Scenario, strategy: str, number: int, timeout: float | None) -> Run:
        run = simulate(of, strategy, number)
        late = 1.0 if strategy == "first-k" else 0.5
        return replace(run, result=replace(run.result, located=late))

    monkeypatch.setattr("firstk.harness.fuzz.observed.simulate", later)
    found = broken(ScenarioRuns(scenario(strategies=["first-k"])))

    assert "first-k-first" in {one.invariant.name for one in found}


@pytest.mark.parametrize("invariant", INVARIANTS, ids=lambda invariant: invariant.name)
def test_documented(invariant: Invariant) -> None:
    """Each invariant is documented in the same words."""
    text = " ".join((ROOT / "docs" / "fuzzing.md").read_text(encoding="utf-8").split())

    assert f"`{invariant.name}`: {invariant.sentence}." in text


# The sequence


def sequence(seed: int, scenarios: int = 40) -> list[dict[str, Any]]:
    """Return the first scenarios of a seed."""
    generator = Generator(seed)
    return [generator.make(number) for number in range(scenarios)]


def test_repeatable() -> None:
    """Equal seeds make equal sequences of scenarios; different seeds, different ones."""
    made = sequence(1)

    assert made == sequence(1)
    assert made != sequence(2)


def test_variety() -> None:
    """Every fault and law occurs, several faults on one server, and both ways to stop."""
    made = str(sequence(0, 300))

    for kind in (
        *FAULTS[:-1],
        *("constant", "uniform", "exponential", "shifted-exponential", "lognormal", "pareto"),
        *("mixture", "shifted", "sum", "quantiles", "preset", "first-block", "complete"),
        *("permuted", "shuffled", "client_bandwidth", "service", "concurrency", "rtt_per"),
        *("segment_size", "offset", "probability", "count", "shares", "hedged+2", "consumer"),
        *("group", "rack", "machine", "every", "rolling"),
    ):
        assert f"'{kind}'" in made
    assert "'fault': [{" in made


def test_swarm() -> None:
    """Scenarios differ in which features they have: some have faults of only one kind."""
    kinds = [set(re.findall(r"'kind': '([a-z-]+)'", str(made))) for made in sequence(0, 200)]

    assert {len(some) for some in kinds} >= {0, 1, 2, 3, 4}


def test_learns() -> None:
    """A scenario that reaches a new situation is kept and varied; the sequence is repeatable."""

    def situations() -> set[Situation]:
        generator = Generator(3)
        for number in range(12):
            made = generator.make(number)
            case = ScenarioRuns(Scenario.model_validate(made | {"strategies": ["hedged"]}))
            case.run("hedged")
            generator.learn(made, case)
        return set(generator.seen)

    found = situations()

    assert found == situations()
    assert {one.phase for one in found} == {"locating", "reading", "writing"}
    assert {one.spare for one in found} >= {0, 2}


def test_varied() -> None:
    """A variation is a valid scenario, with faults at the times of events."""
    random = Random(5)
    made = next(
        made for made in sequence(7, 100) if any("fault" in e for e in made.get("servers", ()))
    )
    others = sequence(8, 50)
    varied = [vary(made, [0.125], other, random.randrange) for other in others]

    assert sum(one != made for one in varied) > 40
    assert any("'start': 0.125" in str(one) for one in varied)


def test_plainest() -> None:
    """All zeros make the simplest scenario: one good server."""
    made = tables(lambda n: 0)

    assert made["file"] == {"size": 1, "k": 1, "n": 1}
    assert {"servers": 1, "rtt": constant(0.25)} == made["grid"]
    assert "servers" not in made


# The file that is written


def test_written(monkeypatch: Patch, tmp_path: Path) -> None:
    """The file of a find loads as the scenario that was run: it has the same digest."""
    monkeypatch.setattr("firstk.harness.fuzz.fuzzer.SHRINKING", 0.0)
    responses_counted(monkeypatch)
    found = Fuzzer(3).search(scenarios=400)
    assert found is not None
    loaded = load_scenario(found.write(tmp_path))
    digests = {
        simulate(one, found.broken.strategy).result.digest
        for one in (loaded, Scenario.model_validate(found.tables))
    }

    assert str(found.broken) in map(str, broken(ScenarioRuns(loaded)))
    assert len(digests) == 1


@pytest.mark.parametrize("seed", few(5, range(20)))
def test_any_file(seed: int, tmp_path: Path) -> None:
    """The file of any generated scenario loads as that scenario."""
    made = tables(Random(seed).randrange)
    file = Counterexample(next(iter(()), None), made).write(tmp_path)  # type: ignore[arg-type]

    assert Scenario.model_validate(made).model_dump() == load_scenario(file).model_dump()
