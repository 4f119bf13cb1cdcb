"""Equal hashes mean equal runs."""

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
    """The hash ignores what does not change a run, and what each run has separately."""
    one = scenario(hung("3-9"))
    other = scenario(
        hung("3-9"), name="x", description="y", strategies=["hedged"], seed=3, runs=9, expect={}
    )

    assert scenario_hash(one) == scenario_hash(other)


@pytest.mark.parametrize(
    "changes", [{"deadline": 9}, {"stop": "first-block"}, {"file": {"size": 57}}]
)
def test_inside(changes: dict[str, Any]) -> None:
    """The hash covers everything that changes a run."""
    assert scenario_hash(scenario(hung("3-9"))) != scenario_hash(scenario(hung("3-9"), **changes))
    assert scenario_hash(scenario(hung("3-9"))) != scenario_hash(scenario(hung("3-8")))


def test_consumer() -> None:
    """The hash covers a slow consumer; without one, it is the same as before they existed."""
    made = scenario(hung("3-9"))

    assert scenario_hash(made) != scenario_hash(scenario(hung("3-9"), consumer={"bandwidth": 9}))
    assert scenario_hash(made) == "e04085fd9081e8250767e579b3f95d7a2c528382c3b6e5d148fae8b664f61e63"


def test_numbers() -> None:
    """The way in which a number is written does not matter."""
    assert scenario_hash(scenario(deadline=100)) == scenario_hash(scenario(deadline=100.0))


def test_times(tmp_path: Path) -> None:
    """For measured times, the hash covers the times, and not their path."""
    for name, text in ("a", "1\n2\n"), ("b", "1\n2.0\n"), ("c", "1\n3\n"):
        (tmp_path / name).write_text(text)
    a, b, c = (
        scenario_hash(scenario(grid={"rtt": {"law": "empirical", "path": str(tmp_path / name)}}))
        for name in "abc"
    )

    assert a == b
    assert a != c


def test_trace(tmp_path: Path) -> None:
    """For a trace of downloads, the hash covers the contents, and not the path."""
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
    """For real shares, the hash covers the contents, and not the path."""
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
