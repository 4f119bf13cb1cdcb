"""docs/start.md is correct: followed from an empty folder, it shows what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.harness.command_line import firstk, process
from tests.harness.making import ROOT

_GUIDE = (ROOT / "docs" / "start.md").read_text(encoding="utf-8")
_SHOWN = re.findall(r"```text\n(.*?)```", _GUIDE, re.DOTALL)
_DOWNLOADERS = re.findall(r"```python\n(async def .*?)```", _GUIDE, re.DOTALL)
_STUB = "downloader_under_test.py"


@pytest.mark.slow  # it runs pytest twice, and the fuzzer
def test_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first test fails with what is shown; the corrected downloader passes, and is fuzzed."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.chdir(tmp_path)
    before, after = _DOWNLOADERS

    first = firstk("init")
    stub = Path(_STUB).read_text(encoding="utf-8")
    Path(_STUB).write_text(stub.replace(before, after), encoding="utf-8")
    second = firstk("init")
    fuzzed = process(
        *("fuzz", "--downloader", "downloader_under_test:download", "--seconds", "2"),
        capture_output=True,
    )

    assert len(_SHOWN) == 3
    assert [text for text in _SHOWN if text not in first.stdout] == []
    assert before in stub
    assert "1 passed" in second.stdout
    assert fuzzed.returncode == 0, fuzzed.stdout


def test_line() -> None:
    """The line given in the guide is the one that waits."""
    starter = (ROOT / "firstk/harness/cli/starter" / _STUB).read_text(encoding="utf-8").splitlines()
    number = int(re.findall(r"^Line (\d+) of", _GUIDE, re.MULTILINE)[0])

    assert "await DeferredList" in starter[number - 1]
