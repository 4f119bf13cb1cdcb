"""The kinds of files, and the commands that accept them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from firstk.scenarios.kinds import (
    EXPERIMENT,
    PLAN,
    SCENARIO,
    Kind,
    kind_of,
    kind_of_head,
    other_kind,
)
from firstk.scenarios.library import experiments, sets
from firstk.scenarios.load import read


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        ("", SCENARIO),
        ("name file grid servers", SCENARIO),
        ("name file grid target", SCENARIO),
        ("name scenario", EXPERIMENT),
        ("name scenario grid axes", EXPERIMENT),
        ("axes", EXPERIMENT),
        ("precision", EXPERIMENT),
        ("name scenario target search", PLAN),
        ("search", PLAN),
    ],
)
def test_kind_of(keys: str, kind: Kind) -> None:
    """The keys that only one kind has determine the kind, even if other keys are misplaced."""
    assert kind is kind_of(dict.fromkeys(keys.split()))


@pytest.mark.parametrize(
    ("wanted", "keys", "kind"),
    [
        (SCENARIO, "scenario", EXPERIMENT),
        (SCENARIO, "scenario target", PLAN),
        (SCENARIO, "name fil gird", None),
        (SCENARIO, "file axes", None),
        (EXPERIMENT, "file grid", SCENARIO),
        (EXPERIMENT, "scenario target", PLAN),
        (EXPERIMENT, "scenario axes target", None),
        (EXPERIMENT, "tool", None),
        (PLAN, "scenario", None),
        (PLAN, "scenario axes", EXPERIMENT),
        (PLAN, "grid", SCENARIO),
    ],
)
def test_other_kind(wanted: Kind, keys: str, kind: Kind | None) -> None:
    """A file is of another kind only if that is clear: an error in it is not enough."""
    assert kind is other_kind(wanted, dict.fromkeys(keys.split()))


def test_library() -> None:
    """The files of the library have the right kinds."""
    scenarios = [file for files in sets().values() for file in files]

    assert all(kind_of(read(file, None).data) is SCENARIO for file in scenarios)
    assert all(kind_of(read(file, None).data) is EXPERIMENT for file in experiments().values())


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"SQLite format 3\0\xff", "a store of runs"),
        (b"# firstk events 1\n", "a file of events"),
        (b'{\n "baseline_version": 1,', "a baseline"),
        (b"{}", None),
        (b'name = "x"', None),
        (b"", None),
    ],
)
def test_kind_of_head(data: bytes, name: Any, tmp_path: Path) -> None:
    """A file that is not TOML is recognised by its first bytes."""
    path = tmp_path / "f"
    path.write_bytes(data)
    found = kind_of_head(path)

    assert name == (found and found.name)
    assert kind_of_head(tmp_path) is None
