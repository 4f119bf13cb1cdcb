"""Helpers for the tests of plans: a small plan with a clear winner."""

from __future__ import annotations

from pathlib import Path

from firstk.scenarios.plan import Plan, load_plan

#: Two of the servers with shares never answer a read, so it takes two spare shares and hedging.
TEXT = """\
name = "p"

[scenario]
stop = "first-block"
[scenario.file]
size = 100
[scenario.grid]
servers = 6
rtt = { law = "uniform", low = 0.04, high = 0.06 }
[[scenario.servers]]
select = "0-1"
fault = { kind = "hung", on = ["read"] }

[target]
p90 = 0.5
success = 0.9

[search]
k = [2]
n = [2, 4, 5]
strategies = ["windowed", "hedged", "hedged+1"]
max_runs = 80
"""


def loaded(downloads: int) -> tuple[str, str]:
    """Return the change that adds a workload to the plan."""
    arrivals = '{ kind = "poisson", rate = 2 }'
    table = f"[scenario.workload]\narrivals = {arrivals}\ndownloads = {downloads}\n"
    return "[target]", f"{table}\n[target]"


def write(folder: Path, *changes: tuple[str, str]) -> Path:
    """Write the plan with some of its text replaced."""
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "p.toml"
    path.write_text(text, encoding="utf-8")
    return path


def plan(folder: Path, *changes: tuple[str, str]) -> Plan:
    """Return the plan."""
    return load_plan(write(folder, *changes))
