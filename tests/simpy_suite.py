"""SimPy's own tests, run with our environment: `python -m tests.simpy_suite FOLDER [PYTEST-ARGS]`.

The tests of the installed version come from its source distribution, which pip downloads.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import pytest
import simpy
import simpy.core

from firstk.harness.kernel.environment import Environment


def fetch(folder: Path) -> Path:
    """Return the unpacked source distribution of the installed SimPy."""
    name = f"simpy-{version('simpy')}"
    if not (folder / name).is_dir():
        command = ["download", "--no-deps", "--no-binary", ":all:", "--dest", str(folder)]
        requirement = name.replace("-", "==")
        subprocess.run([sys.executable, "-m", "pip", *command, requirement], check=True)  # noqa: S603 - of SimPy
        with tarfile.open(folder / f"{name}.tar.gz") as archive:
            archive.extractall(folder, filter="data")
    return folder / name


def main() -> int:
    """Run the tests; return pytest's exit status."""
    root = fetch(Path(sys.argv[1]).resolve())
    simpy.Environment = simpy.core.Environment = Environment  # type: ignore[misc]
    os.chdir(root)
    sys.path[0] = str(root)
    del sys.modules["tests"]  # their package has the same name as ours
    # The benchmarks need a plugin, and compare nothing.
    arguments = ["-p", "no:cacheprovider", "--ignore", "tests/test_benchmark.py"]
    return pytest.main([*arguments, *sys.argv[2:], "tests"])


if __name__ == "__main__":
    sys.exit(main())
