"""Experiment files: what they mean, and that all errors are reported with their lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstk.scenarios import experiment as module
from firstk.scenarios.experiment import (
    ExperimentTable,
    Precision,
    Span,
    label,
    load_experiment,
)
from firstk.scenarios.library import experiments, find_experiment, scenario_name
from firstk.scenarios.load import Problem, ScenarioError

GOOD = """\
name = "e"
strategies = ["first-k", "hedged"]
runs = 20

[scenario]
deadline = 100
[scenario.file]
size = 1000
k = 3
n = 10
[scenario.grid]
servers = 10
rtt = { law = "constant", value = 0.05 }
[[scenario.servers]]
select = { count = 3 }
fault = { kind = "hung" }

[axes]
"servers.0.select.count" = [0, 7]
"grid.rtt.value" = { from = 0.05, to = 0.15, step = 0.05 }
"""


def write(folder: Path, text: str = GOOD, name: str = "e.toml") -> Path:
    """Write an experiment file."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def mistakes(path: Path) -> list[Problem]:
    """Return the errors of an invalid file."""
    with pytest.raises(ScenarioError) as e:
        load_experiment(path)
    return list(e.value.mistakes)


def places(path: Path) -> list[tuple[int | None, str]]:
    """Return the lines and keys of the errors of a file."""
    return [(mistake.line, mistake.key) for mistake in mistakes(path)]


def test_points(tmp_path: Path) -> None:
    """Each combination of the axes' values is a scenario; the last axis varies first."""
    experiment = load_experiment(write(tmp_path))

    assert experiment.strategies == ("first-k", "hedged")
    assert (experiment.runs, experiment.precision, experiment.seed) == (20, None, 0)
    assert [(c, v) for c in (0, 7) for v in (0.05, 0.1, 0.15)] == [
        tuple(point.values.values()) for point in experiment.points
    ]
    last = experiment.points[-1]
    assert str(last) == "servers.0.select.count = 7, grid.rtt.value = 0.15"
    assert last.scenario.servers[0].select.count == 7  # type: ignore[union-attr]
    assert last.scenario.grid.rtt.value == 0.15  # type: ignore[union-attr]
    assert last.scenario.name == "e"


def test_keys_without_quotes(tmp_path: Path) -> None:
    """Axes mean the same if TOML parses their keys as nested tables."""
    plain = GOOD.replace('"servers.0.select.count"', "servers.0.select.count")

    assert load_experiment(write(tmp_path)) == load_experiment(write(tmp_path, plain))


@pytest.mark.parametrize("name", ["one-hung", "my.toml"])
def test_named_scenario(name: str, tmp_path: Path) -> None:
    """The scenario may be in the library, or in a file next to the experiment."""
    text = GOOD.partition("[axes]")[0].replace("[scenario]\n", "").replace("scenario.", "")
    write(tmp_path, text.replace("runs = 20", "runs = 30\nseed = 5"), "my.toml")
    path = write(tmp_path, f'name = "e"\nscenario = "{name}"\n[axes]\n"grid.servers" = [12, 20]\n')
    experiment = load_experiment(path)

    assert [point.scenario.grid.servers for point in experiment.points] == [12, 20]
    if name == "my.toml":
        assert (experiment.runs, experiment.seed) == (30, 5)
        assert experiment.strategies == ("first-k", "hedged")


def test_paths(tmp_path: Path) -> None:
    """Paths in a scenario are relative to it, and paths in an axis to the experiment."""
    scenarios = tmp_path / "scenarios"
    scenarios.mkdir()
    (scenarios / "base.txt").write_text("1\n")
    (tmp_path / "axis.txt").write_text("2\n")
    text = GOOD.partition("[axes]")[0].replace("[scenario]\n", "").replace("scenario.", "")
    base = 'law = "empirical", path = "base.txt"'
    write(scenarios, text.replace('law = "constant", value = 0.05', base), "s.toml")
    axes = '[axes]\n"grid.service" = [{ law = "empirical", path = "axis.txt" }]\n'
    path = write(tmp_path, f'name = "e"\nscenario = "scenarios/s.toml"\n{axes}')
    (point,) = load_experiment(path).points

    assert point.scenario.grid.rtt.times == (1.0,)  # type: ignore[union-attr]
    assert point.scenario.grid.service.times == (2.0,)  # type: ignore[union-attr]


def test_no_axes(tmp_path: Path) -> None:
    """Without axes there is one point."""
    (point,) = load_experiment(write(tmp_path, GOOD.partition("[axes]")[0])).points

    assert str(point) == ""


def test_precision(tmp_path: Path) -> None:
    """A precision replaces the number of runs."""
    precision = "[precision]\nrelative = 0.1"
    experiment = load_experiment(write(tmp_path, GOOD.replace("runs = 20", "") + precision))

    assert None is experiment.runs
    assert Precision(relative=0.1) == experiment.precision


def test_all_mistakes(tmp_path: Path) -> None:
    """All errors of a file are reported at once, including those of the scenario."""
    text = GOOD.replace('"hedged"]', '"hedge"]').replace("runs = 20", "rums = 20")
    text = text.replace("value = 0.05 }", "valu = 0.05 }").replace("[0, 7]", "[]")
    text = text.replace("from = 0.05, to = 0.15", "from = 2, to = 1")

    assert places(write(tmp_path, text)) == [
        (2, "strategies[1]"),
        (3, "rums"),
        (13, "scenario.grid.rtt.value"),
        (13, "scenario.grid.rtt.valu"),
        (19, "axes.servers.0.select.count"),
        (20, "axes.grid.rtt.value.to"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "message"),
    [
        ("[0, 7]", "[0, 11]", 19, "axes.servers.0.select.count", "at 11: servers[0].select: sel"),
        ("[0, 7]", '["x"]', 19, "axes.servers.0.select.count", "at x: should be a valid integer"),
        ("[0, 7]", "[7, 7]", 19, "axes.servers.0.select.count", "has 7 twice"),
        ("[0, 7]", "3", 19, "axes.servers.0.select.count", "should be a list, not 3"),
        ("servers.0.select.count", "servers.1.x", 19, "axes.servers.1.x", "there are 0 to 0"),
        ("servers.0.select.count", "servers.x", 19, "axes.servers.x", "a number from 0 should"),
        ("servers.0.select.count", "deadline.x", 19, "axes.deadline.x", "deadline is 100 in the"),
        ("servers.0.select.count", "runs", 19, "axes.runs", "has a key `runs`"),
        ("servers.0.select.count", "grid..x", 19, "axes.grid..x", "should be the keys of a"),
        ("servers.0.select.count", "grid.rt", 19, "axes.grid.rt", "at 0: unknown key; did you me"),
        (
            "servers.0.select.count",
            "grid.rtt",
            20,
            "axes.grid.rtt.value",
            "is a part of 'grid.rtt'",
        ),
        ("step = 0.05", "stop = 1", 20, "axes.grid.rtt.value.stop", "there are from, points, sp"),
        ("step = 0.05", "points = 2, step = 1", 20, "axes.grid.rtt.value", "one of the keys step"),
        (", step = 0.05", "", 20, "axes.grid.rtt.value", "needs one of the keys step and points"),
        ("step = 0.05", "step = 0.000001", 20, "axes.grid.rtt.value.step", "more than 10000 val"),
        ("[0, 7]", "{ from = 0, to = 2000, step = 1 }\nx = [1, 2, 3, 4]", 18, "axes", "24012 poi"),
        ("step = 0.05", 'spacing = "log", step = 1', 20, "axes.grid.rtt.value.spacing", "no step"),
        ("runs = 20", "runs = 2\nprecision = { relative = 0.1 }", 3, "runs", "take one away"),
        ("runs = 20", "precision = { relative = 1 }", 3, "precision.relative", "less than 1"),
        (
            "runs = 20",
            "precision = { relative = 0.1, max_runs = 3 }",
            3,
            "precision.max_runs",
            "250 (min_runs) or more",
        ),
        ("[scenario]", "scenario = 3\n[x]", 5, "scenario", "should be a valid string"),
        ('"e"', '"e f"', 1, "name", "letters, digits"),
    ],
)
def test_mistake(old: str, new: str, line: int, key: str, message: str, tmp_path: Path) -> None:
    """Each error is reported with its line, its key and a hint."""
    text = GOOD.replace(old, new, 1)
    if "scenario = 3" in new:
        text = text.partition("[x]")[0] + "[axes]\n"
    found = {(m.line, m.key): m.message for m in mistakes(write(tmp_path, text))}

    assert message in found[line, key]


def test_points_at_fault(tmp_path: Path) -> None:
    """An invalid value is reported once, however many points have it."""
    assert places(write(tmp_path, GOOD.replace("[0, 7]", "[0, 11]"))) == [
        (19, "axes.servers.0.select.count")
    ]


def test_another_key_at_fault(tmp_path: Path) -> None:
    """If a value makes another key invalid, the first point with it is reported."""
    text = GOOD.replace('"grid.rtt.value" = { from = 0.05, to = 0.15, step = 0.05 }', "")
    text = text.replace("servers.0.select.count", "file.n").replace("[0, 7]", "[2, 9]")
    (found,) = mistakes(write(tmp_path, text))

    assert (
        found.line,
        found.key,
        found.message,
    ) == (18, "axes", "at file.n = 2: file.k: should be 2 (n) or less, not 3")


def test_many_points_at_fault(tmp_path: Path) -> None:
    """At most twenty errors of points are reported, and the rest are counted."""
    found = mistakes(write(tmp_path, GOOD.replace("[0, 7]", "{ from = 11, to = 50, step = 1 }")))

    assert len(found) == 21
    assert found[-1].message == "and 20 more mistakes"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("one-hun", "did you mean 'one-hung'?"),
        ("gone.toml", "no such file"),
        ("ticket-928", "is not a scenario of the library"),
    ],
)
def test_no_such_scenario(name: str, message: str, tmp_path: Path) -> None:
    """A missing scenario is reported together with other errors."""
    found = mistakes(write(tmp_path, f'name = "e"\nscenario = "{name}"\nx = 1\n'))

    assert [(m.line, m.key) for m in found] == [(2, "scenario"), (3, "x")]
    assert message in found[0].message


def test_bad_scenario_file(tmp_path: Path) -> None:
    """Errors in the scenario's own file are reported with its own lines."""
    bad = write(tmp_path, 'name = "s"\n[file]\nsize = 0\nk = 3\nn = 10\n', "s.toml")
    path = write(tmp_path, 'name = "e"\nscenario = "s.toml"\n')

    assert [(str(bad), 1, "grid"), (str(bad), 3, "file.size")] == [
        (m.file, m.line, m.key) for m in mistakes(path)
    ]


@pytest.mark.parametrize("text", ["name = ", b"\xff", None])
def test_no_toml(text: Any, tmp_path: Path) -> None:
    """A file that is not TOML, not text, or missing is refused."""
    path = tmp_path / "e.toml"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    assert [mistake.key for mistake in mistakes(path)] == [""]


@pytest.mark.parametrize(
    ("table", "values"),
    [
        ({"from": 0, "to": 8, "step": 4}, [0, 4, 8]),
        ({"from": 0, "to": 9, "step": 4}, [0, 4, 8]),
        ({"from": 0.1, "to": 0.7, "step": 0.1}, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]),
        ({"from": 0, "to": 1, "points": 3}, [0, 0.5, 1]),
        ({"from": 1, "to": 1000, "points": 4, "spacing": "log"}, [1, 10, 100, 1000]),
        ({"from": 0.01, "to": 1, "points": 3, "spacing": "log"}, [0.01, 0.1, 1.0]),
    ],
)
def test_span(table: dict[str, Any], values: list[float]) -> None:
    """A range includes both ends if the steps reach them; between integers, values are integers."""
    found = Span.model_validate(table).values

    assert values == found
    assert list(map(type, values)) == list(map(type, found))


@given(
    st.integers(-1000, 1000), st.integers(1, 1000), st.integers(2, 50), st.sampled_from([1, 1e-3])
)
def test_any_span(first: int, width: int, points: int, unit: float) -> None:
    """A range begins and ends as given, ascends, and has the given number of values."""
    table = {"from": first * unit, "to": (first + width) * unit, "points": points}
    values = Span.model_validate(table).values

    assert points == len(values) == len(set(values))
    assert sorted(values) == values
    assert pytest.approx([first * unit, (first + width) * unit]) == [values[0], values[-1]]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (0.05, "0.05"),
        (True, "true"),
        ("a b", "a b"),
        ({"law": "constant", "value": 1}, "{law = constant, value = 1}"),
        ([1, {"a": "b"}], "[1, {a = b}]"),
    ],
)
def test_label(value: Any, text: str) -> None:
    """Values are formatted as people write them."""
    assert text == label(value)


@pytest.mark.parametrize("name", experiments())
def test_library(name: str) -> None:
    """The experiments of the library are valid, described, and found by name."""
    file = experiments()[name]
    experiment = load_experiment(file)

    assert name.split("/")[-1] == scenario_name(file) == experiment.name
    assert experiment.description.isprintable()
    assert experiment.description
    assert file == find_experiment(name)


def test_schema() -> None:
    """The schema describes each key of an experiment."""
    schema = ExperimentTable.model_json_schema()

    assert json.dumps(schema)
    assert {"name", "scenario", "axes", "precision"} < schema["properties"].keys()
    assert all("description" in key for key in schema["properties"].values())


LOAD = """
[scenario.workload]
arrivals = { kind = "poisson", rate = 2.0 }
downloads = 200
"""


def test_workload(tmp_path: Path) -> None:
    """A workload may be varied like anything else."""
    text = GOOD.replace("[axes]\n", f'{LOAD}\n[axes]\n"workload.arrivals.rate" = [1.0, 3.0]\n')
    points = load_experiment(write(tmp_path, text)).points

    rates = {p.scenario.workload.arrivals.rate for p in points if p.scenario.workload}  # type: ignore[union-attr]
    assert rates == {1.0, 3.0}
    assert len(points) == 12


def test_few_downloads(tmp_path: Path) -> None:
    """A run may have few downloads: quantiles are those of all downloads of all runs."""
    text = GOOD.replace("runs = 20\n", "") + LOAD.replace("200", "1")
    found = load_experiment(write(tmp_path, text + "[precision]\nrelative = 0.1\n"))

    assert found.precision is not None
    assert found.precision.quantile == 0.99


# All errors at once, however many there are


def test_all_mistakes_of_axes(tmp_path: Path) -> None:
    """Unknown axes, unknown keys, ranges and values are all checked at once."""
    axes = """[axes]
servers.1.select.probability = [0.1]
grid.rt.sigma = [0.1]
grid.rtt.value = { from = 0.1, to = 0.01, step = 0.1 }
file.size = [1000, 0]
"file.size" = [1]
deadline = [1.0]
"deadline.x" = [1]
expect.x = [1]
"""
    text = GOOD.replace("runs = 20", "runs = 0").partition("[axes]")[0] + axes
    first = text.splitlines().index("[axes]") + 1
    expected = [
        (3, "runs", "should be greater than or equal to 1"),
        (first + 1, "axes.servers.1.select.probability", "the scenario has no servers.1;"),
        (first + 2, "axes.grid.rt.sigma", "at 0.1: grid.rt: unknown key; did you mean"),
        (first + 3, "axes.grid.rtt.value.to", "should be more than 0.1 (from)"),
        (first + 5, "axes.file.size", "appears twice"),
        (first + 7, "axes.deadline.x", "is a part of 'deadline'"),
        (first + 8, "axes.expect.x", "is not an axis"),
    ]
    found = mistakes_of(text, tmp_path)

    assert [(line, key) for line, key, _ in expected] == [(m.line, m.key) for m in found]
    for (_, _, words), mistake in zip(expected, found, strict=True):
        assert mistake.message.startswith(words)


def mistakes_of(text: str, folder: Path) -> list[Problem]:
    """Return the errors of an invalid text."""
    return mistakes(write(folder, text))


def test_no_false_mistakes(tmp_path: Path) -> None:
    """An error that an invalid axis might fix is not reported."""
    axes = '[axes]\n"file.k" = [12]\n"file.n" = { from = 20, to = 20 }\n"grid.servers" = [0]\n'
    keys = [mistake.key for mistake in mistakes_of(GOOD.partition("[axes]")[0] + axes, tmp_path)]

    assert set(keys) == {"axes.file.n", "axes.file.n.to", "axes.grid.servers"}


def test_two_ways_of_writing_one_axis(tmp_path: Path) -> None:
    """A range that contains a table is not a range: its contents are checked as axes."""
    key = '"servers.0.select.count"'
    axes = f"[axes.{key}]\nfrom = 0\nstep = 1\n[axes.{key}.to]\ncount = 0\n"
    found = mistakes_of(GOOD.partition("[axes]")[0] + axes, tmp_path)

    assert {19, 20, 21, 22} >= {mistake.line for mistake in found}
    assert all(mistake.key.startswith("axes.servers.0.select.count.") for mistake in found)


@pytest.mark.slow
def test_ten_thousand_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A very long axis is checked value by value, not pair by pair."""
    hashable = Mock(wraps=module._hashable)
    monkeypatch.setattr(module, "_hashable", hashable)
    values = [*range(1, 10_001)]
    axis = GOOD.partition("[axes]")[0] + "[axes]\nfile.size = "

    assert len(load_experiment(write(tmp_path, f"{axis}{values}\n")).points) == 10_000
    assert hashable.call_count == 10_000
    (found,) = mistakes_of(f"{axis}{[*values, 10_001]}\n", tmp_path)
    assert found.message == "make 10001 points; the most are 10000"
    *_, more = mistakes_of(f"{axis}{[-value for value in values]}\n", tmp_path)
    assert more.message == "and 9,980 more mistakes"


@pytest.mark.parametrize(
    ("values", "twice"),
    [
        ("[1, 1.0, true]", None),
        ("[{ a = [1] }, { a = [2] }, { a = [1] }]", "{a = [1]}"),
        ("[[1], [1, 2], [1]]", "[1]"),
        ("[1979-05-27, 1979-05-27]", '"1979-05-27"'),
    ],
)
def test_twice(values: str, twice: str | None, tmp_path: Path) -> None:
    """Values are duplicates if they are written the same way."""
    text = GOOD.partition("[axes]")[0] + f'[axes]\n"deadline" = {values}\n'
    found = [m.message for m in mistakes_of(text, tmp_path) if "twice" in m.message]

    assert found == ([] if twice is None else [f"has {twice} twice"])


def test_seeds(tmp_path: Path) -> None:
    """The last run's seed is bounded, whatever sets the number of runs."""
    text = GOOD.replace("runs = 20", f"seed = {2**63 - 20}\nruns = 20")
    assert load_experiment(write(tmp_path, text)).seed == 2**63 - 20

    assert places(write(tmp_path, text.replace("runs = 20", "runs = 21"))) == [(4, "runs")]
    precise = text.replace("runs = 20", "precision = { relative = 0.1, max_runs = 250 }")
    assert places(write(tmp_path, precise)) == [(4, "precision.max_runs")]


@pytest.mark.parametrize("kind", ["scenario", "plan"])
def test_other_kind(kind: str, tmp_path: Path) -> None:
    """A scenario or a plan is recognised, and the error says which command accepts it."""
    text = "[file]\n[grid]\n" if kind == "scenario" else 'scenario = "one-hung"\n[target]\n'
    (found,) = mistakes_of(text, tmp_path)

    assert found.message.startswith(f"is a {kind}: `firstk ")
    assert found.message.endswith("this command takes an experiment")


def test_experiment_of_an_experiment(tmp_path: Path) -> None:
    """An experiment's scenario must be a scenario."""
    write(tmp_path)
    path = write(tmp_path, 'name = "x"\nscenario = "e.toml"\n', "x.toml")
    (found,) = mistakes(path)

    assert (str(tmp_path / "e.toml"), None) == (found.file, found.line)
    assert (
        found.message
    ) == "is an experiment: `firstk sweep` takes it; this command takes a scenario"
