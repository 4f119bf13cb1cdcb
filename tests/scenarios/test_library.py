"""The scenarios of the library are valid, and have the expected results."""

from __future__ import annotations

import re
import shutil
from functools import cache
from pathlib import Path

import pytest

from firstk.downloader.strategy import STRATEGIES
from firstk.harness.run.result import Result, unmet
from firstk.harness.run.simulate import simulate
from firstk.scenarios.library import DEFAULT_SET, described, load_all, scenario_name, sets
from firstk.scenarios.load import ScenarioError, load_scenario
from firstk.scenarios.model import TAHOE
from tests.harness.making import needs_tahoe

FILES = [file for files in sets().values() for file in files]

SCENARIOS = {scenario_name(file): load_scenario(file) for file in FILES}

#: They show how far hedging is from the bound; their other results depend on chance.
HEDGING = {scenario_name(file) for file in sets()["hedging"]}

COMPARED = [name for name in SCENARIOS if name not in HEDGING]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_name(file: Path) -> None:
    """A scenario is named after its file, without the number."""
    assert scenario_name(file) == load_scenario(file).name


@pytest.mark.parametrize("name", SCENARIOS)
def test_described(name: str) -> None:
    """Each has a description of one line, and the expected results of the first two strategies."""
    scenario = SCENARIOS[name]

    assert scenario.description
    assert scenario.description.isprintable()
    if name in HEDGING:
        assert scenario.expect["hedged"].outcome == "ok"
        return
    assert {"wait-for-all", "first-k"} <= set(scenario.expect)
    assert set(scenario.strategies) <= set(scenario.expect)


def test_names_differ() -> None:
    """All names differ, since a command line could not distinguish equal ones."""
    assert len(FILES) == len(SCENARIOS)
    assert not set(sets()) & set(SCENARIOS)


EXPECTED = pytest.mark.parametrize(
    ("name", "strategy"),
    [
        pytest.param(name, strategy, marks=needs_tahoe if strategy == TAHOE else ())
        for name, scenario in SCENARIOS.items()
        for strategy in scenario.expect
    ],
)


@EXPECTED
def test_as_expected(name: str, strategy: str) -> None:
    """Every strategy meets the scenario's expectations in its first few runs."""
    check(name, strategy, range(min(2, SCENARIOS[name].runs)))


@pytest.mark.slow
@EXPECTED
def test_always_as_expected(name: str, strategy: str) -> None:
    """Every strategy meets the scenario's expectations in all its runs."""
    check(name, strategy, range(SCENARIOS[name].runs))


def check(name: str, strategy: str, runs: range) -> None:
    """Run a scenario of the library, and compare the results with its expectations."""
    scenario = SCENARIOS[name]
    results = [simulate(scenario, strategy, run).result for run in runs]

    assert [problem for r in results for problem in unmet(scenario.expect[strategy], r)] == []
    assert all(result.content_ok is not False for result in results)


@pytest.mark.parametrize("name", COMPARED)
def test_expectation_can_be_unmet(name: str) -> None:
    """Every expectation can fail: the result of some scenario does not meet it."""
    expected = SCENARIOS[name].expect["wait-for-all"]

    assert any(list(unmet(expected, result)) for result in waiting_for_all())


@cache
def waiting_for_all() -> list[Result]:
    """Return the result of wait-for-all in each scenario."""
    return [simulate(SCENARIOS[name], "wait-for-all").result for name in COMPARED]


@pytest.mark.parametrize("file", sets()["field"], ids=lambda file: file.stem)
def test_field(file: Path) -> None:
    """A scenario from the field has its source, and expectations of every downloader."""
    scenario = load_scenario(file)

    assert re.search(r"#\d+|PR \d+|tahoe-dev 20\d\d", scenario.description)
    assert set(scenario.expect) == {*STRATEGIES, TAHOE}
    assert len(file.read_text().split("[expect.")[0].strip().splitlines()) <= 30


def test_sets() -> None:
    """The default set is that of ticket #928, and each set is numbered in order."""
    library = sets()

    assert DEFAULT_SET == "ticket-928"
    assert len(library[DEFAULT_SET]) == 13
    for files in library.values():
        assert [f"{i:02}" for i in range(1, len(files) + 1)] == [f.name[:2] for f in files]
    assert sorted(library) == list(library)


def test_listed() -> None:
    """The list has the names and descriptions of the files."""
    assert [(s.name, s.description) for s in SCENARIOS.values()] == list(described(FILES))


@pytest.mark.parametrize(
    ("stem", "name"), [("01-ten-good", "ten-good"), ("ten", "ten"), ("3-2-1", "2-1")]
)
def test_scenario_name(stem: str, name: str) -> None:
    """Only the number before the name is removed."""
    assert name == scenario_name(Path("x") / f"{stem}.toml")


def names(*targets: str) -> list[tuple[str, str]]:
    """Return the names and sources of the scenarios of some targets."""
    return [(scenario.name, scenario.source) for scenario in load_all(targets)]


def test_targets(tmp_path: Path) -> None:
    """A target is a name, a set, a file or a folder, and the scenario's source can be replayed."""
    shutil.copy(FILES[0], tmp_path / "b.toml")
    (tmp_path / "sub").mkdir()
    shutil.copy(FILES[1], tmp_path / "sub" / "a.toml")
    (tmp_path / "notes.txt").write_text("no scenario")
    first, second = load_scenario(FILES[0]).name, load_scenario(FILES[1]).name
    b, a = str(tmp_path / "b.toml"), str(tmp_path / "sub" / "a.toml")

    assert names("one-hung") == [("one-hung", "one-hung")]
    assert len(names("ticket-928")) == 13
    assert [(first, b)] == names(b)
    assert [(first, b), (second, a)] == names(str(tmp_path))
    assert [("one-slow", "one-slow"), (first, b)] == names("one-slow", b)


def test_files_before_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An existing file or folder takes precedence over a name of the library."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(FILES[0], tmp_path / "one-hung")
    (tmp_path / "ticket-928").mkdir()
    shutil.copy(FILES[0], tmp_path / "ticket-928" / "x.toml")
    first = load_scenario(FILES[0]).name

    assert [(first, "one-hung")] == names("one-hung")
    assert [(first, "ticket-928/x.toml")] == names("ticket-928")


def test_all_that_is_wrong(tmp_path: Path) -> None:
    """The errors of all targets are reported at once."""
    bad = tmp_path / "bad.toml"
    bad.write_text(FILES[0].read_text().replace("k = 3", "k = 11\nz = 1"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ScenarioError) as caught:
        load_all(["nope", str(bad), "one-hung", str(tmp_path / "empty"), "nope.toml"])

    found = [(mistake.file, mistake.key) for mistake in caught.value.mistakes]

    assert [
        ("nope", ""),
        (str(bad), "file.k"),
        (str(bad), "file.z"),
        (str(tmp_path / "empty"), ""),
        ("nope.toml", ""),
    ] == found
    lines = str(caught.value).splitlines()

    assert (
        "the sets are field, hedging, hung-server, laws, robustness, tahoe-defects, ticket-928"
        in lines[0]
    )
    assert "no *.toml file is in this folder" in lines[3]
    assert lines[4] == "nope.toml: No such file or directory"
