"""README is correct."""

import re
import tomllib
from pathlib import Path

from firstk.harness.run.result import unmet
from firstk.harness.run.simulate import simulate
from firstk.scenarios.experiment import load_experiment
from firstk.scenarios.model import Scenario

pytest_plugins = ["pytester"]

_ROOT = Path(__file__).parent.parent
_README = (_ROOT / "README.md").read_text(encoding="utf-8")


def test_scenario() -> None:
    """The scenario that README shows is valid, and has the outcome that it states."""
    block = re.search(r"```toml\n(.*?)```", _README, re.DOTALL)
    assert block
    scenario = Scenario.model_validate(tomllib.loads(block[1]))

    assert scenario.expect.keys() == {"wait-for-all", "first-k"}
    for strategy, expected in scenario.expect.items():
        assert list(unmet(expected, simulate(scenario, strategy).result)) == []


def test_length() -> None:
    """README is short."""
    assert len(_README.splitlines()) < 140


def test_experiment(tmp_path: Path) -> None:
    """The experiment that README shows varies the scenario that it shows."""
    scenario, experiment = re.findall(r"```toml\n(.*?)```", _README, re.DOTALL)
    (tmp_path / "my-scenario.toml").write_text(scenario)
    (tmp_path / "experiment.toml").write_text(experiment)

    assert len(load_experiment(tmp_path / "experiment.toml").points) == 2


def test_ci() -> None:
    """CI runs the command that README gives for the tests."""
    command = re.search(r"^    (python3 .*nox)$", _README, re.MULTILINE)
    assert command

    assert command[1] in (_ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_links() -> None:
    """The targets of its links and pictures exist."""
    links = re.findall(r"\]\(([^):]+)\)", _README)

    assert "docs/latency.png" in links
    assert [link for link in links if not (_ROOT / link).exists()] == []


def test_reference() -> None:
    """The reference of scenario files mentions every key, law and fault of the schema."""
    reference = (_ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
    tables = [Scenario.model_json_schema(), *Scenario.model_json_schema()["$defs"].values()]
    keys = {key for table in tables for key in table["properties"]}
    kinds = {
        table["properties"][key]["const"]
        for table in tables
        for key in ("law", "kind")
        if "const" in table["properties"].get(key, {})
    }
    told_otherwise = {
        "law",
        "kind",
        "count",
        "probability",
    }  # in the table of `select`, and in prose

    assert set() == {
        name for name in (keys | kinds) - told_otherwise if f"`{name}`" not in reference
    } - {"file", "grid", "expect", "workload"}
