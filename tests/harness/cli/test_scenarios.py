"""`firstk list`, `validate` and `schema` show the scenarios, and how to write more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from firstk.scenarios.experiment import load_experiment
from firstk.scenarios.library import experiments, load_all, sets
from tests.harness.command_line import BAD, firstk, write
from tests.harness.experiments import write as write_experiment
from tests.harness.plans import write as write_plan


def test_validate(tmp_path: Path) -> None:
    """Each good file is reported as ok, by the name it was given."""
    path = write(tmp_path)
    result = firstk("validate", path, "one-hung")

    assert (result.exit_code, result.stderr) == (0, "")
    assert [f"{path}: ok: 3-of-10, 10 servers", "one-hung: ok: 3-of-10, 10 servers"] == (
        result.stdout.splitlines()
    )


def test_validate_several(tmp_path: Path) -> None:
    """The errors of several files are reported at once."""
    bad, worse = write(tmp_path, "bad", BAD), write(tmp_path, "worse", "x")
    result = firstk("validate", bad, "one-hung", worse, "nope")

    assert (result.exit_code, result.stdout) == (2, "one-hung: ok: 3-of-10, 10 servers\n")
    assert [str(bad), str(bad), str(worse), "nope"] == [
        line.split(":")[0] for line in result.stderr.splitlines()
    ]


def test_validate_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of a folder are validated each as its kind; experiments may be given by name."""
    monkeypatch.chdir(tmp_path)
    Path("sub").mkdir()
    write(tmp_path / "sub")
    write_experiment(tmp_path)
    write_plan(tmp_path)
    result = firstk("validate", ".", "hung-fraction")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[:2] == ["e.toml: ok: 3 points", "p.toml: ok: 9 candidates"]
    assert result.stdout.splitlines()[2] == "sub/t.toml: ok: 3-of-10, 10 servers"
    assert result.stdout.splitlines()[3].startswith("hung-fraction: ok: ")


def test_list() -> None:
    """All scenarios and experiments are listed under their sets, with their descriptions."""
    result = firstk("list")
    lines = result.stdout.splitlines()

    assert (result.exit_code, result.stderr) == (0, "")
    own = [(name, load_experiment(file).description) for name, file in experiments().items()]

    assert [*sets(), "experiments"] == [line for line in lines if not line.startswith(" ")]
    shown = [(one.name, one.description) for one in load_all(sets())]
    assert [*shown, *own] == [
        tuple(line.split(maxsplit=1)) for line in lines if line.startswith(" ")
    ]


def test_schema() -> None:
    """The schema is JSON, and has its `$schema` key."""
    result = firstk("schema")
    schema = json.loads(result.stdout)

    assert (result.exit_code, result.stderr) == (0, "")
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert {"name", "file", "grid", "servers", "expect"} <= set(schema["properties"])


def test_experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`validate` distinguishes experiments from scenarios, and `schema` prints either schema."""
    monkeypatch.chdir(tmp_path)
    write_experiment(tmp_path)
    (tmp_path / "bad.toml").write_text('name = "b"\nscenario = "one-hung"\naxes = 3\n')
    result = firstk("validate", "e.toml", "bad.toml")

    assert (result.exit_code, result.stdout) == (2, "e.toml: ok: 3 points\n")
    assert result.stderr == "bad.toml:3: axes: should be a table, not 3\n"
    assert "axes" in json.loads(firstk("schema", "experiment").stdout)["properties"]


def test_plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`validate` distinguishes plans from experiments, and `schema plan` prints theirs."""
    monkeypatch.chdir(tmp_path)
    write_plan(tmp_path)

    assert firstk("validate", "p.toml").stdout == "p.toml: ok: 9 candidates\n"
    assert "search" in json.loads(firstk("schema", "plan").stdout)["properties"]
