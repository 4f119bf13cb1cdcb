"""Faults that affect no request are detected, and no others."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstk.harness.grid.untriggered import described, untriggered_in_all
from firstk.harness.run.simulate import simulate
from firstk.harness.run.workload import simulate_workload
from firstk.harness.testing.simgrid import SimGrid
from firstk.scenarios.library import load_all, sets
from firstk.scenarios.model import Scenario
from tests.harness.command_line import GOOD, firstk, write
from tests.harness.making import constant, exponential, scenario


def told(given: Scenario, strategy: str = "first-k") -> list[str]:
    """Return the messages about faults that met no request in the runs of one strategy."""
    runs = [simulate(given, strategy, number).untriggered_faults for number in range(given.runs)]
    return list(described(given, untriggered_in_all(runs)))


def fault(select: Any = "0-6", **keys: Any) -> dict[str, Any]:
    """Return an entry of `[[servers]]` with one fault."""
    return {"select": select, "fault": keys}


#: With first-k and a round trip of 0.5 s, queries arrive at 0.25 s, and s0, s1 and s2 are read.
INERT = {
    "begins after the end": fault(kind="hung", start=60.0),
    "over before it begins": fault(kind="broken", end=0.2),
    "reads of who is not read from": fault("5", kind="hung", on=["read"]),
    "read errors of who is not read from": fault("9", kind="read-error"),
    "a server without shares": {"select": "0", "shares": [], "fault": {"kind": "empty"}},
    "factor 1": fault(kind="slow", factor=1.0),
    "no seconds": fault(kind="slow", extra=0.0),
    "never by chance": fault(kind="flaky", probability=0.0),
    "a corrupt part that nobody reads": fault("5", kind="corrupt", part="block"),
    "longer than the share": fault("all", kind="truncated", length=10**6),
    "lost later": fault(kind="disconnect", start=60.0),
}

MET = {
    "hung": fault(kind="hung"),
    "hung for a time": fault(kind="hung", end=2.0),
    "hung on reads": fault("0", kind="hung", on=["read"]),
    "slow": fault(kind="slow", extra=0.1),
    "fast": fault(kind="slow", factor=0.5),
    "broken": fault(kind="broken"),
    "empty": fault(kind="empty"),
    "read-error": fault("0", kind="read-error"),
    "lost": fault("1", kind="disconnect", start=0.3),
    "exposed": fault("1", kind="flaky", probability=1e-9),
    "corrupt": fault("0", kind="corrupt", part="block"),
    "truncated": fault("0", kind="truncated", length=10),
    "one of many": fault("0,9", kind="read-error"),
}


@pytest.mark.parametrize("name", INERT)
def test_inert(name: str) -> None:
    """A fault that cannot meet a request is reported, with its servers and times."""
    (said,) = told(scenario(INERT[name]))

    assert said.startswith(f"servers[0].fault: {INERT[name]['fault']['kind']}")
    assert " s on, met no request" in said or " s to 0.2 s, met no request" in said


@pytest.mark.parametrize("name", MET)
def test_met(name: str) -> None:
    """A fault that affects a request is not reported."""
    assert told(scenario(MET[name])) == []


def test_words() -> None:
    """The message has the fault with its keys, the servers as ranges, and the times."""
    given = scenario(
        fault("0-2,5", kind="hung", on=["read"], start=60.0, end=70.0),
        {"select": "7", "fault": [{"kind": "broken"}, {"kind": "corrupt", "part": "ueb"}]},
    )

    assert told(given) == [
        'servers[0].fault: hung (on = ["read"]) on s0-s2, s5, from 60 s to 70 s, met no request',
        'servers[1].fault[1]: corrupt (part = "ueb") on s7, from 0 s on, met no request',
    ]


@pytest.mark.parametrize("select", [{"count": 0}, {"probability": 0.0}])
def test_chose_nobody(select: dict[str, float]) -> None:
    """A fault that no server has is reported too."""
    (said,) = told(scenario(fault(select, kind="hung"), runs=3))

    assert "servers[0].fault: hung, from 0 s on, applies to no server: `select` chose none" in said


def test_replaced() -> None:
    """A fault that a later entry replaces is reported, but not the replacement."""
    (said,) = told(scenario(fault("0-3", kind="hung"), fault("all", kind="slow", extra=0.1)))

    assert said.startswith("servers[0].fault: hung, from 0 s on, applies to no server")


def test_several_runs() -> None:
    """A fault counts as met if any of several runs meets it; the message has the servers of all."""
    often = scenario(fault({"probability": 0.05}, kind="hung"), runs=20)
    late = scenario(fault({"count": 1}, kind="hung", start=60.0), runs=20)
    alone = [bool(simulate(often, "first-k", number).untriggered_faults) for number in range(20)]

    assert set(alone) == {True, False}
    assert told(often) == []
    assert re.search(r"hung on s\d\S*, s\d.*, from 60 s on, met no request", told(late)[0])


def test_hidden_behind_another() -> None:
    """A request that is held forever, or failed by another fault, meets no later one."""
    held = {"select": "all", "fault": [{"kind": "broken"}, {"kind": "hung"}]}
    failed = {"select": "all", "fault": [{"kind": "broken"}, {"kind": "empty"}]}

    assert (told(scenario(held))) == [
        "servers[0].fault[0]: broken on s0-s9, from 0 s on, met no request"
    ]
    assert (told(scenario(failed))) == [
        "servers[0].fault[1]: empty on s0-s9, from 0 s on, met no request"
    ]


@pytest.mark.parametrize("queue", [{}, {"service": constant(0.01)}, {"bandwidth": 1e4}])
def test_with_queues(queue: dict[str, Any]) -> None:
    """The same holds with service times and bandwidths."""
    for entry in MET.values():
        assert told(scenario(entry, grid=queue)) == []
    for entry in INERT.values():
        assert len(told(scenario(entry, grid=queue))) == 1


_TIMES = st.floats(0, 3, allow_nan=False)

_KINDS = st.one_of(
    st.fixed_dictionaries(
        {"kind": st.just("hung"), "on": st.sampled_from([["read"], ["get_buckets"]])}
    ),
    st.fixed_dictionaries({"kind": st.just("slow"), "factor": st.sampled_from([0.5, 1.0, 2.0])}),
    st.fixed_dictionaries(
        {"kind": st.sampled_from(["broken", "empty", "read-error", "disconnect"])}
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("corrupt"),
            "part": st.sampled_from(["block", "ueb", "block-hashes", "header"]),
        }
    ),
    st.fixed_dictionaries(
        {"kind": st.just("truncated"), "length": st.sampled_from([0, 100, 9999])}
    ),
)


@given(
    kind=_KINDS,
    start=_TIMES,
    lasts=st.none() | st.floats(0.01, 3),
    select=st.sampled_from(["0", "2", "4-6", "all"]),
    strategy=st.sampled_from(["first-k", "windowed", "hedged"]),
    queue=st.booleans(),
)
@settings(deadline=None)
def test_is_what_makes_a_difference(
    kind: dict[str, Any],
    start: float,
    lasts: float | None,
    select: str,
    strategy: str,
    queue: bool,
) -> None:
    """A single fault has met a request exactly if the run without it has another digest.

    The exception is a cancelled request, whose answer might not have mattered.
    """
    times = {"start": start} | ({} if lasts is None else {"end": start + lasts})
    entry = fault(select, **kind, **times)
    grid = {"rtt": exponential(0.3), **({"service": constant(0.01)} if queue else {})}
    sick = simulate(scenario(entry, grid=grid), strategy)
    well = simulate(scenario(grid=grid), strategy)

    same = sick.result.digest == well.result.digest
    if sick.untriggered_faults:
        assert same
    else:
        assert not same or sick.result.cancelled


def test_load() -> None:
    """A fault of a workload is met by any of its downloads, even by a withdrawn request."""
    load = {"downloads": 4, "warmup": 0, "arrivals": {"kind": "fixed", "rate": 1.0}}
    hung = scenario(fault("0", kind="hung"), workload={**load, "cancel": True})
    late = scenario(fault("0", kind="hung", start=1e3), workload=load)

    assert simulate_workload(hung, "first-k").untriggered_faults == {}
    assert simulate_workload(late, "first-k").untriggered_faults == {(0, 0): ["s0"]}


@pytest.mark.slow
def test_library() -> None:
    """Every fault in the library meets a request."""
    found = []
    for one in load_all(sets()):
        runs = product(one.strategies, range(one.runs))
        left = None
        while left != {} and (run := next(runs, None)):
            here = simulate(one, *run).untriggered_faults
            left = here if left is None else untriggered_in_all([left, here])
        found += [f"{one.name}: {said}" for said in described(one, left or {})]

    assert found == []


# Grids


def test_grid() -> None:
    """In a test's grid, each call is tracked; healing does not change what was met."""
    with SimGrid(rtt=0.5) as grid:
        assert grid.untriggered_faults() == []
        grid.servers[2:].hang()
        grid.servers[5].slow(2.0, start=50.0)
        grid.start("first-k")
        grid.advance(2)
        grid.servers.heal()
        grid.servers[3].corrupt("header")
        grid.finish()

        assert grid.untriggered_faults() == [
            "slow (factor = 2.0) on s5, from 50 s on, met no request",
            'corrupt (part = "header") on s3, from 2 s on, met no request',
        ]


# The command line

LATE = GOOD + '[[servers]]\nselect = "0-6"\nfault = {{ kind = "hung", start = 60.0 }}\n'


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("command", ["run", "compare"])
def test_told(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`run` and `compare` print a warning on standard error; with --strict, they fail."""
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path, text=LATE)
    warned, strict = firstk(command, file), firstk(command, file, "--strict")
    said = "servers[0].fault: hung on s0-s6, from 60 s on, met no request\n"

    assert (0, f"{file}: warning: {said}") == (warned.exit_code, warned.stderr)
    assert (1, f"{file}: error: {said}") == (strict.exit_code, strict.stderr)
    assert warned.stdout == strict.stdout


def test_met_by_one(tmp_path: Path) -> None:
    """A fault that one strategy meets is not reported, even if another does not meet it."""
    text = GOOD + '[[servers]]\nselect = "2"\nfault = {{ kind = "read-error" }}\n'
    file = write(tmp_path, text=text.replace('"exponential", mean', '"constant", value'))
    both = firstk("run", file, "-s", "first-k", "-s", "hedged")

    assert (both.exit_code, both.stderr) == (0, "")


def test_told_of_a_load(tmp_path: Path) -> None:
    """The same holds for a workload."""
    load = "[workload]\ndownloads = 2\narrivals = {{ kind = 'fixed', rate = 1 }}\n"
    file = write(tmp_path, text=LATE + load)

    assert "warning: servers[0].fault: hung" in firstk("run", file).stderr
    assert firstk("run", file, "--strict").exit_code == 1
