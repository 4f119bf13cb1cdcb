"""Situations as users report them, none of them in the library: each is a few lines of TOML."""

from __future__ import annotations

from pathlib import Path

import pytest

from firstk.harness.run.result import Result
from firstk.harness.run.simulate import simulate
from firstk.scenarios.load import load_scenario

ROAMING = """
name = "roaming"                    # all connections are lost, and come back a second later
file = { size = 60_000, k = 3, n = 6 }
grid = { servers = 6, rtt = { law = "constant", value = 0.1 } }
[[servers]]
select = "all"
fault = { kind = "disconnect", start = 0.15, end = 1.15 }
"""

BACKUP = """
name = "backup"                     # every four seconds the disk is busy with a backup for one
file = { size = 300_000, k = 1, n = 1 }
grid = { servers = 1, rtt = { law = "constant", value = 0.0 }, bandwidth = 1e5 }
[[servers]]
select = "all"
fault = { kind = "throttled", bandwidth = 1e4, start = 1.0, end = 2.0, every = 4.0 }
"""

HANDSHAKE = """
name = "handshake"                  # one region sets up connections slowly, and one server never
file = { size = 6000, k = 3, n = 10 }
[grid]
servers = 10
rtt = { law = "constant", value = 0.05 }
groups = { region = 5 }
[[servers]]
select = "0-4"
connect = { law = "constant", value = 30.0 }
[[servers]]
select = "5"
fault = { kind = "hung", on = ["connect"] }
"""

TAPE = """
name = "tape"                       # an archive fetches from tape: four seconds for any request
file = { size = 6000, k = 2, n = 5 }
grid = { servers = 5, rtt = { law = "constant", value = 0.05 } }
[[servers]]
select = "0-3"
service = { law = "constant", value = 4.0 }
"""

HOST = """
name = "host"                       # two virtual machines on one host, which stops every 5 s
file = { size = 4000, k = 2, n = 2 }
[grid]
servers = 2
rtt = { law = "constant", value = 0.1 }
[[servers]]
select = "0-1"
machine = "host"
fault = { kind = "hung", start = 0.12, end = 1.12, every = 5.0 }
"""


def result_of(text: str, strategy: str, folder: Path) -> Result:
    """Return the result of a scenario file."""
    file = folder / "s.toml"
    file.write_text(text)
    assert len(text.splitlines()) <= 30
    return simulate(load_scenario(file), strategy).result


@pytest.mark.parametrize(
    ("text", "strategy", "ttfb"),
    [
        (HANDSHAKE, "windowed", 0.1),  # a query and a read of the four servers that are left
        (HANDSHAKE, "hedged", 0.1),
        (TAPE, "windowed", 8.1),  # a query and a read of a second share
        (HOST, "windowed", 1.17),  # the reads that arrive at 0.15 wait until 1.12
        (ROAMING, "windowed", None),
        (ROAMING, "first-k-late", None),
    ],
)
def test_reports(text: str, strategy: str, ttfb: float | None, tmp_path: Path) -> None:
    """The first byte comes when a calculation by hand says, or never."""
    assert result_of(text, strategy, tmp_path).ttfb == (ttfb and pytest.approx(ttfb))


def test_asks_again(tmp_path: Path) -> None:
    """A download that retries continues when the connections are back."""
    result = result_of(ROAMING, "hedged", tmp_path)

    assert result.outcome == "ok"
    assert result.finished is not None
    assert 1.15 < result.finished < 5


def test_backup(tmp_path: Path) -> None:
    """One of two seconds is at a tenth of the bandwidth: 110,000 bytes, and then the rest."""
    result = result_of(BACKUP, "windowed", tmp_path)

    assert result.finished == pytest.approx(2 + (result.bytes_received - 110_000) / 1e5, abs=1e-3)
