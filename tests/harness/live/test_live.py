"""`firstk live`: scenarios on real servers, compared with their simulation."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.harness.command_line import firstk, process, write
from tests.harness.making import needs_live

_SMALL = """
name = "{name}"
seed = 928
[file]
size = 2000
k = 2
n = 4
[grid]
servers = 4
rtt = {{ law = "constant", value = 0.03 }}
"""

_HUNG = _SMALL + '[[servers]]\nselect = "2-3"\nfault = {{ kind = "hung" }}\n'


def _live(path: str | Path, *options: str, runs: int = 1) -> subprocess.CompletedProcess[str]:
    quiet = ("--quiet", "0.7", "--runs", str(runs), "--limit", "10")
    return process("live", path, *quiet, *options, capture_output=True)


def _outcomes(ran: subprocess.CompletedProcess[str]) -> dict[tuple[str, str], set[Any]]:
    """Return the outcomes by strategy and world."""
    assert ran.stdout, ran.stderr
    found: dict[tuple[str, str], set[Any]] = {}
    for row in json.loads(ran.stdout):
        found.setdefault((row["strategy"], row["world"]), set()).add(row["outcome"])
    return found


@needs_live
def test_two_of_four_stopped(tmp_path: Path) -> None:
    """Two stopped servers of four really stall wait-for-all, but neither first-k nor hedged."""
    strategies = ["-s", "wait-for-all", "-s", "first-k", "-s", "hedged"]
    ran = _live(write(tmp_path, text=_HUNG), *strategies, "--format", "json")

    assert _outcomes(ran) == {
        (strategy, world): {"stalled" if strategy == "wait-for-all" else "ok"}
        for strategy in ("wait-for-all", "first-k", "hedged")
        for world in ("simulated", "real servers")
    }
    rows = [row for row in json.loads(ran.stdout) if row["outcome"] == "ok"]
    assert {row["content_ok"] for row in rows} == {True}
    assert min(row["ttfb"] for row in rows) >= 0.06  # two round trips, of the proxy alone


@needs_live
@pytest.mark.slow
def test_report(tmp_path: Path) -> None:
    """A report has a section with the scenario on real servers."""
    path = write(tmp_path, text='strategies = ["first-k"]\n' + _HUNG)
    ran = process("report", path, "--live", path, "--out", tmp_path / "out", capture_output=True)

    assert ran.returncode == 0, ran.stderr
    page = (tmp_path / "out" / "report.html").read_text()
    assert '<h2 id="live">Simulated and real</h2>' in page
    assert "first-k: simulated 0." in page
    assert (tmp_path / "out" / "live-t.svg").exists()


_FAULTS = {
    "killed": '{{ kind = "broken" }}',
    "killed-later": '{{ kind = "disconnect", start = 0.7 }}',
    "stopped-later": '{{ kind = "hung", start = 0.7 }}',
    "stopped-for-a-while": '{{ kind = "hung", end = 0.5 }}',
    "silent-on-reads": '{{ kind = "hung", on = ["read"] }}',
    "corrupt": '{{ kind = "corrupt", part = "block" }}',
    "cut": '{{ kind = "truncated", length = 50 }}',
    "empty": '{{ kind = "empty" }}',
    "read-error": '{{ kind = "read-error" }}',
    "slow": '{{ kind = "slow", extra = 0.3 }}',
}


@needs_live
@pytest.mark.slow
@pytest.mark.parametrize("name", _FAULTS)
def test_faults(tmp_path: Path, name: str) -> None:
    """Each kind of fault has the same outcome on real servers and in the simulation."""
    text = f'{_SMALL}[[servers]]\nselect = "0-1"\nfault = {_FAULTS[name]}\n'
    # These two are nearer, so that first-k knows of no others. No fault begins between phases.
    text = text.replace("size = 2000", "size = 200000").replace("0.03", "0.2")
    text += '[[servers]]\nselect = "2-3"\nrtt = {{ law = "constant", value = 0.35 }}\n'
    path = write(tmp_path, text=text)
    strategies = ["-s", "wait-for-all", "-s", "first-k", "-s", "hedged"]
    ran = _live(path, *strategies, "--format", "json")
    found = _outcomes(ran)

    for strategy in ("wait-for-all", "first-k", "hedged"):
        assert found[strategy, "real servers"] == found[strategy, "simulated"]


@needs_live
@pytest.mark.slow
def test_limits(tmp_path: Path) -> None:
    """Bandwidth and queues are real: a download takes at least the expected time."""
    text = _SMALL.replace("size = 2000", "size = 100000").replace(
        "servers = 4", "servers = 4\nclient_bandwidth = 100000.0"
    )
    ran = _live(write(tmp_path, text=text), "-s", "first-k", "--format", "json")
    (real,) = [r for r in json.loads(ran.stdout) if r["world"] == "real servers"]
    assert real["outcome"] == "ok"
    assert real["finished"] > 1.0

    law = 'service = {{ law = "constant", value = 0.2 }}\nconcurrency = 1'
    text = _SMALL.replace("servers = 4", f"servers = 4\n{law}")
    ran = _live(write(tmp_path, text=text), "-s", "first-k", "--format", "json")
    (real,) = [r for r in json.loads(ran.stdout) if r["world"] == "real servers"]
    assert real["ttfb"] > 1.0  # five requests in series


@needs_live
@pytest.mark.slow
def test_tahoe(tmp_path: Path) -> None:
    """The downloader of Tahoe-LAFS reads from real servers, and from simulated ones."""
    ran = _live(write(tmp_path, text=_HUNG), "--downloader", "tahoe", "--format", "json")

    assert _outcomes(ran) == {("tahoe", "simulated"): {"ok"}, ("tahoe", "real servers"): {"ok"}}


@needs_live
@pytest.mark.slow
def test_three_worlds(tmp_path: Path) -> None:
    """Objects, a simulated network and real sockets have the same outcomes for one scenario."""
    strategies = ["-s", "wait-for-all", "-s", "first-k", "-s", "hedged"]
    options = [*strategies, "--transport", "tahoe-https", "--format", "json"]
    ran = _live(write(tmp_path, text=_HUNG), *options)
    found = _outcomes(ran)

    assert found == {
        (strategy, world): {"stalled" if strategy == "wait-for-all" else "ok"}
        for strategy in ("wait-for-all", "first-k", "hedged")
        for world in ("simulated", "simulated network", "real servers")
    }
    # TCP and TLS come before the query: four round trips at least, of the 30 ms of the links alone.
    rows = [r for r in json.loads(ran.stdout) if r["world"] != "simulated" and r["ttfb"]]
    assert min(row["ttfb"] for row in rows) >= 0.12


@needs_live
@pytest.mark.slow
def test_table_and_pictures(tmp_path: Path) -> None:
    """The table has a row for each strategy, and the pictures are written."""
    path = write(tmp_path, text=_HUNG)
    ran = _live(path, "-s", "first-k", "-s", "hedged", "--out", str(tmp_path / "out"), runs=2)

    assert "simulated" in ran.stdout
    assert "real servers" in ran.stdout
    assert "of 2" in ran.stdout
    names = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert names == [
        f"live-t{kind}{suffix}" for kind in ("-times", "") for suffix in (".png", ".svg")
    ]


@needs_live
@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('stop = "located"\n', 'stop = "located"'),
        (
            '[workload]\ndownloads = 3\narrivals = {{ kind = "poisson", rate = 1.0 }}\n',
            "has a [workload]",
        ),
    ],
)
def test_refused(tmp_path: Path, more: str, said: str) -> None:
    """What no live grid supports is refused with a reason, and Control-C still works then."""
    text = more + _SMALL if "stop" in more else _SMALL + more
    before = signal.getsignal(signal.SIGINT)
    ran = firstk("live", write(tmp_path, text=text))

    assert ran.exit_code == 2
    assert said in ran.stderr
    assert signal.getsignal(signal.SIGINT) == before
