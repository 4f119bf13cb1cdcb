"""Scenarios over Tahoe-LAFS's own HTTP servers and client, on a simulated network.

The times are those that were measured with real servers, as far as any were: 10.01 to 10.04 s
with ten of thirteen stopped, and 60.5 s with three stopped after the first segment.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from firstk.downloader.cap import CHKCap, parse_cap
from firstk.harness.cli.main import main
from firstk.harness.run.comparison import replay
from firstk.harness.run.finish import Run
from firstk.harness.run.round_trips import of_packets
from firstk.harness.run.simulate import simulate
from firstk.harness.testing.pytest_api import Firstk, UnmetError
from firstk.scenarios.load import ScenarioError, from_tables
from firstk.scenarios.model import Scenario
from tests.harness.making import ROOT, needs_tahoe, run_python
from tests.marks import few

# Tahoe-LAFS uses deprecated functions, and leaves files open.
pytestmark = [needs_tahoe, pytest.mark.filterwarnings("ignore")]

HUNG = {"kind": "hung"}

#: Ten servers that hang, and three with the shares.
TEN_OF_THIRTEEN = [
    {"select": "all", "shares": []},
    *({"select": str(10 + share), "shares": [share]} for share in range(3)),
    {"select": "0-9", "fault": HUNG},
]


def over_https(*entries: dict[str, Any], **keys: Any) -> Scenario:
    """Return a scenario of two segments, from ten servers or as many as `grid` says."""
    grid = {
        "servers": 10,
        "rtt": {"law": "constant", "value": 0.05},
        "transport": "tahoe-https",
        **keys.pop("grid", {}),
    }
    file = {"size": 131_074, "k": 3, "n": 10, "segment_size": 131_072}
    tables = {"name": "https", "file": file, "grid": grid, "servers": list(entries), **keys}
    return from_tables(tables)


def _on(select: str, kind: str, **keys: Any) -> dict[str, Any]:
    return {"select": select, "fault": {"kind": kind, **keys}}


def _times(run: Run) -> tuple[float | None, float | None]:
    """Return the times of the first byte and of the end, in seconds."""
    return run.result.ttfb, run.result.finished


@pytest.mark.parametrize(
    ("entries", "servers", "first", "done"),
    few(
        4,
        [
            pytest.param([], 10, 0.300, 0.350, id="none"),
            pytest.param([_on("0", "hung")], 10, 0.300, 0.350, id="one-frozen"),
            pytest.param([_on("0-6", "hung")], 10, 0.300, 0.350, id="first-7-frozen"),
            pytest.param([_on("3-9", "hung")], 10, 0.300, 0.350, id="last-7-frozen"),
            pytest.param([_on("0-6", "disconnect")], 10, 0.300, 0.350, id="7-reset"),
            pytest.param(TEN_OF_THIRTEEN, 13, 10.300, 10.350, id="10-of-13-frozen"),
            pytest.param([_on("0-2", "hung", start=0.2)], 10, 60.300, 60.350, id="before-reads"),
            pytest.param([_on("0-2", "hung", start=0.31)], 10, 0.300, 60.500, id="after-a-segment"),
            pytest.param([_on("all", "slow", factor=2)], 10, 0.600, 0.700, id="slow"),
            pytest.param([_on("0-2", "broken")], 10, 0.300, 0.350, id="broken"),
            pytest.param([_on("0-2", "empty")], 10, 0.300, 0.350, id="empty"),
        ],
    ),
)
def test_tahoe(entries: list[Any], servers: int, first: float, done: float) -> None:
    """Tahoe-LAFS's downloader has its first and last bytes at these times, whatever the fault."""
    run = simulate(over_https(*entries, grid={"servers": servers}), "tahoe")

    assert run.result.outcome == "ok"
    assert _times(run) == pytest.approx((first, done), abs=1e-3)
    assert run.result.content_ok
    assert not run.untriggered_faults


def test_too_many_hung() -> None:
    """With eight of ten hung, it fails after Tahoe-LAFS's minute, and silent servers are listed."""
    run = simulate(over_https(_on("0-7", "hung")), "tahoe")

    assert (run.result.outcome, run.result.error) == ("failed", "NotEnoughSharesError")
    assert run.result.finished == pytest.approx(60, abs=1e-3)
    assert run.network is not None
    assert run.network.report.count("never answered: host s") == 8
    assert "s0 is frozen since 0 s" in run.network.report


@pytest.mark.parametrize("strategy", ["windowed", "hedged", "first-k", "wait-for-all"])
def test_strategies(strategy: str) -> None:
    """Our own strategies read over HTTPS too; the listed round trips add up to the time."""
    run = simulate(over_https(), strategy)

    assert run.result.outcome == "ok"
    assert run.result.content_ok
    assert run.network is not None
    assert run.result.ttfb is not None
    trips = sum(leg.trips for leg in of_packets(run.network.packets, run.result.ttfb))
    assert trips >= 4  # TCP, TLS, a query and a read
    assert run.result.ttfb == pytest.approx(trips * 0.05, abs=1e-3)
    assert [str(one) for one in run.trace.exchanges if one.source is None] == []


@pytest.mark.parametrize(
    "fault",
    few(
        4,
        [
            {"kind": "corrupt", "part": "block"},
            {"kind": "corrupt", "part": "ueb"},
            {"kind": "truncated", "length": 100},
            {"kind": "truncated", "length": 0},
            {"kind": "read-error"},
            {"kind": "flaky", "probability": 1.0},
            {"kind": "hung", "on": ["read"], "end": 3.0},
            {"kind": "hung", "on": ["get_buckets"]},
            {"kind": "empty", "start": 0.2},
            {"kind": "hung", "start": 0.02, "end": 0.2, "every": 0.5},
        ],
    ),
    ids=lambda fault: "-".join(map(str, fault.values())).replace(" ", ""),
)
def test_faults(fault: dict[str, Any]) -> None:
    """Whatever three servers do, `hedged` gets the file from the others, and every fault is met."""
    run = simulate(over_https({"select": "0-2", "fault": fault}), "hedged")

    assert run.result.outcome == "ok"
    assert run.result.content_ok
    assert run.result.ttfb is not None
    assert run.result.ttfb >= 0.2
    assert not run.untriggered_faults


def test_a_fault_ends() -> None:
    """A server that hangs answers when the fault ends; one that resets connections has failed."""
    entry = _on("all", "hung", end=2.0)
    hung = simulate(over_https(entry), "first-k").result
    reset = simulate(over_https(_on("all", "disconnect", end=2.0)), "first-k").result

    assert hung.ttfb is not None
    assert hung.ttfb == pytest.approx(2.375, abs=0.001)  # half of TLS was there
    assert reset.outcome == "failed"


def test_untriggered() -> None:
    """A fault that begins after the end is reported as untriggered."""
    run = simulate(over_https(_on("0-2", "hung", start=100.0), _on("5", "slow", extra=1)), "tahoe")

    assert list(run.untriggered_faults) == [(0, 0)]


def test_links() -> None:
    """Bandwidth and service time apply to the servers' links and requests."""
    keys = {"bandwidth": 1e6, "service": {"law": "constant", "value": 0.01}, "concurrency": 1}
    plain = simulate(over_https(), "tahoe").result
    limited = simulate(over_https(grid=keys), "tahoe").result
    per_server = {"rtt": {"law": "uniform", "low": 0.01, "high": 0.2}, "rtt_per": "server"}
    drawn = simulate(over_https(grid=per_server), "tahoe").result

    assert plain.ttfb is not None
    assert limited.ttfb is not None
    assert 0.02 < limited.ttfb - plain.ttfb < 0.2  # a query, a read, and 45 kB from each server
    assert drawn.content_ok
    assert drawn.ttfb != plain.ttfb


def _index(cap: str) -> bytes:
    parsed = parse_cap(cap)
    assert isinstance(parsed, CHKCap)
    return parsed.storage_index


async def never(reactor: Any, servers: Any, cap: str, consumer: Any) -> None:
    """Query no server, and wait forever."""
    from twisted.internet.defer import Deferred

    await Deferred()


async def idle(reactor: Any, servers: Any, cap: str, consumer: Any) -> None:
    """Query once, and wait forever."""
    await servers[0].get_buckets(_index(cap))
    await never(reactor, servers, cap, consumer)


def test_stalls() -> None:
    """A stall is proven, or only housekeeping is left, which is reported."""
    proven, nearly = simulate(over_https(), never), simulate(over_https(), idle)

    assert proven.network is not None
    assert nearly.network is not None
    assert (proven.result.outcome, nearly.result.outcome) == ("stalled", "stalled")
    assert proven.network.stall.startswith("nothing left")
    assert "twisted.web.http.HTTPFactory._updateLogDateTime on s0" in nearly.network.stall


def test_part_of_a_file() -> None:
    """A range is read, and a download that stops at the first block stops."""
    file = {"size": 131_074, "k": 3, "n": 10, "segment_size": 131_072, "offset": 131_072}
    part = simulate(over_https(file=file), "tahoe").result
    stopped = simulate(over_https(stop="first-block"), "tahoe").result

    assert (part.outcome, part.content_ok) == ("ok", True)
    assert (stopped.outcome, stopped.content_ok) == ("ok", True)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"stop": "located"}, "stop: is impossible with transport"),
        ({"grid": {"client_bandwidth": 1e6}}, "grid.client_bandwidth: is impossible"),
        ({"grid": {"groups": {"machine": 2}}}, "grid.groups.machine: is impossible"),
        ({"servers": [{"select": "0-1", "machine": "a"}]}, r"machine: is impossible"),
        ({"servers": [_on("0", "slow", extra=1, on=["read"])]}, "'slow' is impossible"),
        ({"grid": {"transport": "carrier-pigeon"}}, "transport"),
    ],
)
def test_impossible(keys: dict[str, Any], problem: str) -> None:
    """Keys that hosts, links or shares cannot implement are refused when the scenario is loaded."""
    with pytest.raises(ScenarioError, match=problem):
        over_https(**keys) if "servers" not in keys else over_https(*keys["servers"])


@pytest.mark.slow
def test_compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`compare` shows both transports, and why there are six round trips instead of two."""
    monkeypatch.chdir(tmp_path)
    guide = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
    [shown] = re.findall(r"^    firstk (compare .*) --out report$", guide, re.MULTILINE)
    asked = [*shown.split(), "--save", "saved.json"]
    ran = CliRunner().invoke(main, asked, env={"COLUMNS": "200"})

    assert ran.exit_code == 0, ran.output
    assert "three-good-seven-hung.tahoe-https" in ran.output
    explained = re.split(r"tahoe, seed \d+: round trips to first byte\n", ran.output)[1]
    https, objects = explained.splitlines()[:2]
    assert https.startswith("  tahoe-https: 6: 3 on a connection to s")
    assert https.count("(TCP, TLS, 1 request)") == 2
    assert https.endswith("had a request under way and HTTP/1.1 takes one at a time")
    assert objects.startswith("  objects: 2: a query to s")


def test_replay() -> None:
    """A replay command has the transport if it is not the file's own."""
    made = over_https()
    command = "firstk run https --downloader tahoe --seed 3"

    assert replay(made, "tahoe", 3) == command
    assert replay(made.with_transport("tahoe-https"), "tahoe", 3) == command
    assert replay(made.with_transport("objects"), "tahoe", 3) == f"{command} --transport objects"


def test_run(tmp_path: Path) -> None:
    """`run` takes the transport from the file or the command line, and prints silent servers."""
    file = tmp_path / "it.toml"
    file.write_text(
        'name = "it"\n[file]\nsize = 1000\nk = 3\nn = 10\n[grid]\nservers = 10\n'
        'rtt = { law = "constant", value = 0.05 }\ntransport = "tahoe-https"\n'
        '[[servers]]\nselect = "0-7"\nfault = { kind = "hung" }\n'
        '[expect.tahoe]\noutcome = "failed"\n'
    )
    args = ["run", str(file), "--downloader", "tahoe", "--format", "json"]
    https = CliRunner().invoke(main, args)
    objects = CliRunner().invoke(main, [*args, "--transport", "objects"])

    assert https.exit_code == 0, https.output
    assert json.loads(https.stdout)[0]["finished"] == pytest.approx(60, abs=1e-3)
    assert "never answered: host s7, connection from client:" in https.stderr
    assert json.loads(objects.stdout)[0]["outcome"] == "stalled"


@pytest.mark.slow
def test_failing_test(firstk: Firstk) -> None:
    """A failed test lists the servers that never answered."""
    tables = over_https(_on("0-7", "hung")).model_dump(include={"file", "grid", "servers"})
    result = firstk.run(downloader="tahoe", **{**tables, "file": {"size": 100, "k": 3, "n": 10}})

    with pytest.raises(UnmetError, match=r"(?s)failed.*never answered: host s7, connection from"):
        firstk.check(result, outcome="ok")


_DIGESTS = """
import warnings
warnings.simplefilter("ignore")
from tests.harness.run.test_over_https import _on, over_https, simulate
rtt = {"law": "lognormal", "median": 0.05, "sigma": 1.0}
for keys in {"rtt": rtt}, {"rtt": rtt, "bandwidth": 1e5}:
    for strategy in "tahoe", "hedged":
        made = over_https(_on("0-2", "hung", start=0.3), seed=5, grid=keys)
        print(simulate(made, strategy).result.digest)
"""


@pytest.mark.slow  # two processes, which import Tahoe-LAFS
def test_digests() -> None:
    """Equal seeds have equal digests, in any process, with any hash seed."""
    found = {run_python(_DIGESTS, PYTHONHASHSEED=str(seed)) for seed in range(2)}

    assert len(found) == 1
    assert len(set(found.pop().split())) == 4
