"""The examples work: the tests of each one pass."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness.making import ROOT, needs_tahoe
from tests.marks import few

pytest_plugins = ["pytester"]

#: The number of tests in each example that takes no more than a second or two.
EXAMPLES = {"long-tail": 4, "own-strategy": 5, "s3-erasure": 6, "ticket-928": 3}

#: The others.
SLOW = {"capacity": 2, "tahoe-nodes": 2}


class Reports:
    """A plugin that counts the outcomes of a pytest session, and keeps what failed."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.failures: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count an outcome of a test, or an error around it."""
        if report.when == "call" or report.outcome == "failed":
            self.outcomes[report.outcome] += 1
        if report.outcome == "failed":
            self.failures.append(report.longreprtext)


@contextmanager
def own_modules(folder: Path) -> Iterator[None]:
    """Forget the modules imported from a folder: other examples have modules of the same names."""
    path = list(sys.path)
    yield
    sys.path[:] = path
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Change to a folder whose tests have no settings but their own."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.chdir(tmp_path)
    with own_modules(tmp_path):
        yield tmp_path


def copy(example: str, folder: Path) -> None:
    """Copy an example to a folder."""
    ignored = shutil.ignore_patterns("__pycache__", ".pytest_cache")
    shutil.copytree(ROOT / "examples" / example, folder, ignore=ignored, dirs_exist_ok=True)


def run_tests(*arguments: str) -> Reports:
    """Run pytest in this process, where the modules of firstk are imported already."""
    reports = Reports()
    pytest.main(["-p", "no:xdist", "-p", "no:cacheprovider", *arguments], plugins=[reports])
    return reports


@pytest.mark.parametrize("example", few(2, EXAMPLES))
def test_example(folder: Path, example: str) -> None:
    """The tests of an example pass."""
    copy(example, folder)

    ran = run_tests()

    assert ran.failures == []
    assert ran.outcomes == {"passed": EXAMPLES[example]}


@pytest.mark.slow
@pytest.mark.parametrize("example", ["capacity", pytest.param("tahoe-nodes", marks=needs_tahoe)])
def test_slow_example(pytester: pytest.Pytester, folder: Path, example: str) -> None:
    """The tests of an example that sweeps, or starts whole nodes, pass in a fresh process."""
    copy(example, pytester.path)

    ran = pytester.runpytest_subprocess("-p", "no:xdist", timeout=300)

    ran.assert_outcomes(passed=SLOW[example])


def test_every_example() -> None:
    """Every example is tested, and has a README and a line in the guide to examples."""
    guide = (ROOT / "docs/examples.md").read_text(encoding="utf-8")
    names = sorted(path.parent.name for path in (ROOT / "examples").glob("*/README.md"))

    assert names == sorted(EXAMPLES | SLOW)
    assert sorted(re.findall(r"^\| `examples/(.*?)`", guide, re.MULTILINE)) == names


def test_old_reader(folder: Path) -> None:
    """The README of the reader with the bug of ticket #928 shows the failure of its old reader."""
    copy("ticket-928", folder)
    readme = Path("README.md").read_text(encoding="utf-8")
    shown = re.search(r"```text\n(.*?)```", readme, re.DOTALL)
    command = re.search(r"^    pytest (scenarios .*)$", readme, re.MULTILINE)
    assert shown
    assert command

    ran = run_tests(*shlex.split(command[1]))

    assert ran.outcomes == {"failed": 1}
    assert shown[1] in ran.failures[0]
