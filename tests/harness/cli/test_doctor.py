"""`firstk doctor` reports problems, and its exit status shows whether there are any."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from firstk.harness.cli import installation as doctor
from firstk.harness.cli.installation import CheckResult
from tests.harness.command_line import firstk, process
from tests.harness.making import ROOT


def test_all_is_well() -> None:
    """A sound installation has no problems, checked in a fresh process."""
    done = process("doctor", capture_output=True, cwd=ROOT)
    lines = done.stdout.splitlines()

    assert (done.returncode, done.stderr, lines[-1]) == (0, "", "No problems found.")
    assert all(line.startswith("ok ") for line in lines[:-1])
    for name in ("firstk", "twisted", "simpy", "zfec", "cryptography"):
        assert any(f" {name} {version(name)}" in line for line in lines)
    assert "ok     the package 'firstk' is ours alone" in lines
    assert "ok     Twisted's real reactor is not loaded" in lines


def test_something_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Problems are marked and counted; the exit status is 1."""
    findings = [CheckResult(True, "this"), CheckResult(False, "that: should be so")]
    monkeypatch.setattr(doctor, "CHECKS", [lambda: iter(findings)])
    result = firstk("doctor")

    assert (result.exit_code, result.stderr) == (1, "")
    assert result.stdout == "ok     this\nWRONG  that: should be so\n1 thing is wrong.\n"
