"""How a command ends if it cannot do what was asked."""

from __future__ import annotations

import pytest

from firstk.harness.cli.exit import USAGE, refusing


@pytest.mark.parametrize("prefix", ["", "firstk: "])
def test_refusing(prefix: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A user's error prints only its message, and exits with the usage status."""
    with pytest.raises(SystemExit) as ended, refusing(KeyError, ValueError, prefix=prefix):
        raise ValueError("f.toml:3: should be so")

    assert ended.value.code == USAGE
    assert ("", f"{prefix}f.toml:3: should be so\n") == capsys.readouterr()


def test_not_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Any other error propagates: it may be a defect in firstk."""
    with pytest.raises(ZeroDivisionError), refusing(ValueError):
        raise ZeroDivisionError

    assert capsys.readouterr() == ("", "")
