"""Equal hashes, equal runs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from firstk.scenarios.hashing import scenario_hash
from firstk.scenarios.load import from_tables
from tests.harness.making import hung, scenario
from tests.tahoe import CHK_FILES, FOLDER


def test_aside() -> None:
    """What no run depends on, or is told beside, is no part of it."""
    one = scenario(hung("3-9"))
    other = scenario(
        hung("3-9"), name="x", description="y", strategies=["hedged"], seed=3, runs=9, expect={}
    )

    assert scenario_hash(one) == scenario_hash(other)


@pytest.mark.parametrize(
    "changes", [{"deadline": 9}, {"stop": "first-block"}, {"file": {"size": 57}}]
)
def test_inside(changes: dict[str, Any]) -> None:
    """What runs depend on is a part of it."""
    assert scenario_hash(scenario(hung("3-9"))) != scenario_hash(scenario(hung("3-9"), **changes))
    assert scenario_hash(scenario(hung("3-9"))) != scenario_hash(scenario(hung("3-8")))


def test_consumer() -> None:
    """A slow consumer is a part of it; without one it is what it was before there were any."""
    made = scenario(hung("3-9"))

    assert scenario_hash(made) != scenario_hash(scenario(hung("3-9"), consumer={"bandwidth": 9}))
    assert scenario_hash(made) == "e04085fd9081e8250767e579b3f95d7a2c528382c3b6e5d148fae8b664f61e63"


def test_numbers() -> None:
    """However a number is written, it is the same."""
    assert scenario_hash(scenario(deadline=100)) == scenario_hash(scenario(deadline=100.0))


def test_times(tmp_path: Path) -> None:
    """Of measured times the times count, and not where they are."""
    for name, text in ("a", "1\n2\n"), ("b", "1\n2.0\n"), ("c", "1\n3\n"):
        (tmp_path / name).write_text(text)
    a, b, c = (
        scenario_hash(scenario(grid={"rtt": {"law": "empirical", "path": str(tmp_path / name)}}))
        for name in "abc"
    )

    assert a == b
    assert a != c


def test_trace(tmp_path: Path) -> None:
    """Of a trace of downloads the contents count, and not where it is."""
    for name, text in ("a", "time\n1\n2\n"), ("b", "time\n1.0\n2\n"), ("c", "time\n1\n3\n"):
        (tmp_path / name).write_text(text)
    a, b, c = (
        scenario_hash(
            scenario(workload={"arrivals": {"kind": "trace", "path": str(tmp_path / name)}})
        )
        for name in "abc"
    )

    assert a == b
    assert a != c


def test_shares(tmp_path: Path) -> None:
    """Of real shares the contents count, and not where they are."""
    real = CHK_FILES[0]
    copy = tmp_path / "copy"
    shutil.copytree(FOLDER / real.name, copy)
    tables = {"name": "t", "grid": {"servers": 10, "rtt": {"law": "constant", "value": 1}}}
    one, other = (
        from_tables({**tables, "file": {"shares": str(where), "cap": real.uri}})
        for where in (FOLDER / real.name, copy)
    )
    assert scenario_hash(one) == scenario_hash(other)

    share = sorted(copy.iterdir())[-1]
    data = share.read_bytes()
    share.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    changed = from_tables({**tables, "file": {"shares": str(copy), "cap": real.uri}})

    assert scenario_hash(one) != scenario_hash(changed)
