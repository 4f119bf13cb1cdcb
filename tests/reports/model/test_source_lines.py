"""Formatted source lines do not depend on where a package is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from firstk.harness.kernel.raised import Place
from firstk.reports.model.source_lines import code_of, line_of


def test_path_of_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is that of the import; for a file that cannot be imported, its name."""
    monkeypatch.syspath_prepend(tmp_path)

    assert line_of(Place(str(tmp_path / "a" / "b.py"), 3, "read")) == "a/b.py:3 in read"
    assert line_of(Place("/nowhere/else/c.py", 3, "read")) == "c.py:3 in read"


def test_code(tmp_path: Path) -> None:
    """The text of a line has no indentation, and is cut if long; without a file, it is empty."""
    file = tmp_path / "code.py"
    file.write_text(f"def f():\n    return 1\n    {'x' * 200}\n")

    assert code_of(Place(str(file), 2, "f")) == "return 1"
    assert code_of(Place(str(file), 3, "f")) == "x" * 117 + "..."
    assert code_of(Place(str(tmp_path / "none.py"), 2, "f")) == ""
