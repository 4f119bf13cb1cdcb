"""What works without the extras, and what the other commands print."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from firstk.harness.cli.extras import EXTRAS
from tests.harness.command_line import GOOD
from tests.harness.making import ROOT

_WITHOUT = f"import sys; sys.modules.update(dict.fromkeys({list(EXTRAS)}));"
_FIRSTK = "from firstk.harness.cli.main import main; main()"
_PYTEST = (
    "import pytest; sys.exit(pytest.main(['-p', 'firstk.harness.pytest_plugin', *sys.argv[1:]]))"
)

_TEST = """
def test_own(firstk):
    result = firstk.run("three-good-seven-hung", strategy="first-k")
    firstk.check(result, outcome="ok")
"""


def _without_extras(
    folder: Path, program: str, *args: str | Path
) -> subprocess.CompletedProcess[str]:
    """Run a program in a process that cannot import any module of an extra."""
    return subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-c", _WITHOUT + program, *map(str, args)],
        cwd=folder,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_extra() -> None:
    """Each module belongs to an extra of pyproject.toml, and each extra has a module."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]

    assert set(EXTRAS.values()) | {"all"} == set(extras)


@pytest.mark.parametrize(
    ("args", "shown"),
    [
        (["run", "one-hung", "--runs", "3"], "wait-for-all"),
        *(
            pytest.param(args, shown, marks=pytest.mark.slow)
            for args, shown in (
                (["list"], "ticket-928"),
                (["schema"], "$defs"),
                (["fuzz", "--seconds", "0.1"], "Nothing was found"),
            )
        ),
    ],
)
def test_core(tmp_path: Path, args: list[str], shown: str) -> None:
    """Scenarios can be run, listed and checked with the core alone."""
    result = _without_extras(tmp_path, _FIRSTK, *args)

    assert (result.returncode, result.stderr) == (0, "")
    assert shown in result.stdout


@pytest.mark.parametrize(
    ("args", "missing"),
    [
        (["compare", "one-hung"], "matplotlib is not installed: pip install 'firstk[report]'"),
        pytest.param(
            ["sweep", "hung-fraction"],
            "numpy is not installed: pip install 'firstk[stats]'",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_missing(tmp_path: Path, args: list[str], missing: str) -> None:
    """A command that needs an extra prints how to install it, and does not report a defect."""
    result = _without_extras(tmp_path, _FIRSTK, *args)

    assert result.returncode == 2
    assert result.stderr.endswith(f"firstk: {missing}\n")
    assert "Traceback" not in result.stderr


def test_pytest(tmp_path: Path) -> None:
    """The pytest plugin works with the core alone."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nfirstk_scenarios = *.toml\n")
    expected = GOOD.format(name="one") + '[expect.first-k]\noutcome = "ok"\n'
    (tmp_path / "one.toml").write_text(expected)
    (tmp_path / "test_own.py").write_text(_TEST)
    result = _without_extras(
        tmp_path, _PYTEST, "-q", "-p", "firstk.harness.pytest_plugin", tmp_path
    )

    assert result.returncode == 0, result.stdout + result.stderr
    assert " passed" in result.stdout
