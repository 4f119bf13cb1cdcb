"""How a command ends that cannot do what it is asked for."""

from __future__ import annotations

import pytest

from firstk.harness.cli.exit import USAGE, refusing


@pytest.mark.parametrize("prefix", ["", "firstk: "])
def test_refusing(prefix: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What an error of the user's says is all that is told, and the status is that of usage."""
    with pytest.raises(SystemExit) as ended, refusing(KeyError, ValueError, prefix=prefix):
        raise ValueError("f.toml:3: should be so")

    assert ended.value.code == USAGE
    assert ("", f"{prefix}f.toml:3: should be so\n") == capsys.readouterr()


def test_not_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Every other error is not: it may be a defect in firstk."""
    with pytest.raises(ZeroDivisionError), refusing(ValueError):
        raise ZeroDivisionError

    assert capsys.readouterr() == ("", "")
