"""The public names of `import firstk`, and the cost of the import."""

from __future__ import annotations

import json
import pickle
import re

import pytest

import firstk
from tests.harness.making import ROOT, run_python


def test_every_name() -> None:
    """Every public name is available from `firstk`, is documented, and is in the reference."""
    reference = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    shown = re.findall(r"^::: firstk\.(\w+)$", reference, re.MULTILINE)

    assert sorted(shown) == firstk.__all__
    assert [name for name in firstk.__all__ if not hasattr(firstk, name)] == []
    bare = {"STRATEGIES", "Fault", "Law"}  # a mapping and two unions
    assert [n for n in firstk.__all__ if n not in bare and not getattr(firstk, n).__doc__] == []


def test_dir() -> None:
    """Shell completion finds the public names."""
    assert sorted(firstk.__all__) == [name for name in dir(firstk) if not name.startswith("_")]


def test_misspelt() -> None:
    """A misspelt name raises an error that suggests the correct one."""
    with pytest.raises(AttributeError, match="did you mean 'SimGrid'"):
        firstk.SimGird  # type: ignore[attr-defined]  # noqa: B018 - to read it is the test


def test_light() -> None:
    """The import alone loads nothing slow."""
    code = "import firstk, json, sys; print(json.dumps(sorted(sys.modules)))"
    loaded = {name.partition(".")[0] for name in json.loads(run_python(code))}

    assert loaded & {"twisted", "simpy", "pydantic", "numpy", "click", "zfec"} == set()


@pytest.mark.parametrize("name", ["UnmetError", "DownloaderError", "EscapeError", "LivelockError"])
def test_errors(name: str) -> None:
    """Errors have their public names, and can be pickled by them."""
    error = getattr(firstk, name)("lost")

    assert type(error).__module__ == "firstk"
    assert str(pickle.loads(pickle.dumps(error))) == "lost"  # noqa: S301 - our own
