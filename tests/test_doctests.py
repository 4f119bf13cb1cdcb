"""The examples in docstrings are correct."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

from tests.harness.making import ROOT

FOLDERS = ("downloader", "harness", "reports", "scenarios")


def modules() -> list[str]:
    """Return the modules that have examples."""
    found = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if ">>> " in path.read_text(encoding="utf-8"):
                found.append(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return found


@pytest.mark.parametrize("name", modules())
def test_examples(name: str) -> None:
    """Every example of a module has the result shown below it."""
    ran = doctest.testmod(import_module(f"firstk.{name}"))

    assert ran.attempted > 0
    assert ran.failed == 0


def test_most_have_one() -> None:
    """The main entry points have examples."""
    assert len(modules()) >= 10
    assert (
        Path("harness/testing/simgrid.py").with_suffix("").as_posix().replace("/", ".") in modules()
    )
