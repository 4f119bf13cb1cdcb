"""Start-up: what the small commands import, and how long they take."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from time import perf_counter

from tests.benchmarks.measure import Figure

_HEAVY = ("twisted", "simpy", "matplotlib")


def figures(rounds: int) -> Iterator[Figure]:
    """Yield how many heavy packages small commands import, and their time relative to Python's."""
    for arguments in (["--help"], ["list"]):
        code = (
            "import sys\nfrom firstk.harness.cli.main import main\n"
            f"try: main({arguments})\nexcept SystemExit: pass\n"
            f"print(sum(name in sys.modules for name in {_HEAVY}), file=sys.stderr)"
        )
        name = " ".join(["firstk", *arguments])
        count = int(_run(code).stderr)
        yield Figure(
            f"{name}, imports",
            [count],
            0,
            at_least=False,
            note=f"of {', '.join(_HEAVY)}",
        )
        bare = "import click, pydantic" if arguments == ["list"] else "import click"
        yield Figure(
            f"{name}, time",
            [_time(code) / _time(bare) for _ in range(rounds)],
            2,
            at_least=False,
            note=f"over that of Python with `{bare}`",
        )


def _time(code: str) -> float:
    """Return how long Python runs something, in seconds of real time."""
    begun = perf_counter()
    _run(code)
    return perf_counter() - begun


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the code is our own
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
