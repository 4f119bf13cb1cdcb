"""Speed compared with an older version: tasks that both run alternately."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks import tasks
from tests.benchmarks.measure import Figure

_ROOT = Path(__file__).parents[2]


def figures(ref: str, rounds: int, most: float) -> Iterator[Figure]:
    """Yield the CPU time of each task relative to a git revision; `most` is the maximum ratio."""
    with _checkout(ref) as old:
        for task in tasks.TASKS:
            pairs = [(_seconds(old, task), _seconds(_ROOT, task)) for _ in range(rounds)]
            ratios = [new / before for before, new in pairs]
            yield Figure(task, ratios, most, at_least=False, note=f"CPU time over that of {ref}")


@contextmanager
def _checkout(ref: str) -> Iterator[Path]:
    """Check a revision out next to this one, and remove it at the end."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "old"
        _git("worktree", "add", "--detach", str(path), ref)
        try:
            yield path
        finally:
            _git("worktree", "remove", "--force", str(path))


def _git(*args: str) -> None:
    subprocess.run(["git", *args], cwd=_ROOT, check=True, capture_output=True)  # noqa: S603, S607


def _seconds(tree: Path, task: str) -> float:
    """Return how long a task takes with the firstk of a tree, in CPU seconds."""
    done = subprocess.run(  # noqa: S603 - our own
        [sys.executable, tasks.__file__, task],
        env=os.environ | {"PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{task} with {tree}: {done.stderr or done.stdout}")
    return float(done.stdout.split()[-1])
