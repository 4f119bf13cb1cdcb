"""Memory: how much a load of many downloads leaves, compared with a load of a few."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

from tests.benchmarks.measure import Figure

#: The issue asks for a million; this number takes a minute, and `--downloads` overrides it.
DOWNLOADS = 50_000

_FEW = 10_000

_CODE = """
import sys
from firstk.harness.run.workload import simulate_workload
from firstk.scenarios.load import from_tables

few, many = map(int, sys.argv[1:])
over = 0

def look(_):
    global over
    over += 1
    if over in (few, many):
        pages = int(open("/proc/self/statm").read().split()[1])
        print(pages, flush=True)

simulate_workload(from_tables({
    "name": "bench",
    "stop": "first-block",
    "file": {"size": 1000, "k": 3, "n": 10},
    "grid": {"servers": 10, "rtt": {"law": "exponential", "mean": 0.05}},
    "workload": {
        "arrivals": {"kind": "poisson", "rate": 20.0}, "downloads": many, "warmup": 0,
    },
}), "windowed", each=look)
"""


def figures(rounds: int) -> Iterator[Figure]:
    """Yield the memory in use at the end over that after 10,000 downloads."""
    if not os.path.exists("/proc/self/statm"):
        return
    command = [sys.executable, "-c", _CODE, str(_FEW), str(DOWNLOADS)]
    ran = subprocess.run(  # noqa: S603 - the code is our own
        command, capture_output=True, text=True, check=True
    )
    few, many = map(int, ran.stdout.split())
    yield Figure(
        f"memory after {DOWNLOADS:,} downloads",
        [many / few],
        1.05,
        at_least=False,
        note="over that after 10,000",
    )
