"""Plan files: what they mean, and that all errors are reported with their lines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from firstk.scenarios.condition import Condition
from firstk.scenarios.load import Problem, ScenarioError
from firstk.scenarios.plan import PlanTable, Target, load_plan
from tests.harness.plans import TEXT, loaded, plan, write
from tests.tahoe import CHK_FILES, FOLDER


def mistakes(path: Path) -> list[Problem]:
    """Return the errors of an invalid file."""
    with pytest.raises(ScenarioError) as e:
        load_plan(path)
    return list(e.value.mistakes)


def test_candidates(tmp_path: Path) -> None:
    """Candidates are ordered by disk space, the least first; n below k is skipped."""
    found = plan(tmp_path, ("k = [2]", "k = [3, 2]"), ("hedged+1", "first-k"))

    levels = [[str(candidate) for candidate in level[::3]] for level in found.levels]
    assert levels == [
        ["2-of-2 with windowed"],
        ["3-of-4 with windowed"],
        ["3-of-5 with windowed"],
        ["2-of-4 with windowed"],
        ["2-of-5 with windowed"],
    ]
    assert [of[0].expansion for of in found.levels] == [1.0, 4 / 3, 5 / 3, 2.0, 2.5]
    assert [one.strategy for one in found.levels[1]] == ["windowed", "hedged", "first-k"]


def test_points(tmp_path: Path) -> None:
    """Each k and n is a point, whose scenario has them."""
    found = plan(tmp_path)
    for candidate in (one for level in found.levels for one in level):
        file = found.experiment.points[candidate.point].scenario.file
        assert (candidate.k, candidate.n) == (file.k, file.n)

    assert found.experiment.axes == ("file.k", "file.n")
    assert str(found.experiment.points[1]) == "file.k = 2, file.n = 4"
    assert found.experiment.strategies == ("windowed", "hedged", "hedged+1")


def test_ranges_and_expansion(tmp_path: Path) -> None:
    """Numbers of shares may be ranges, and the expansion is limited exactly."""
    wide = ("n = [2, 4, 5]", "n = { from = 9, to = 12, step = 1 }\nmax_expansion = 3.3")
    found = plan(tmp_path, wide, ("k = [2]", "k = { from = 3, to = 4, step = 1 }"))

    assert [
        (point.values["file.k"], point.values["file.n"]) for point in found.experiment.points
    ] == [(4, 9), (4, 10), (4, 11), (3, 9), (4, 12)]
    tenth = plan(tmp_path, ("k = [2]", "k = [10]"), ("[2, 4, 5]", "[11]\nmax_expansion = 1.1"))
    assert len(tenth.experiment.points) == 1


def test_named_scenario(tmp_path: Path) -> None:
    """A scenario of the library gives strategies and a seed, and its k and n are replaced."""
    begin, end = TEXT.index("[scenario]"), TEXT.index("[target]")
    named = f'scenario = "one-hung"\nseed = 5\n{TEXT[:begin]}{TEXT[end:]}'
    path = tmp_path / "q.toml"
    path.write_text(named.replace('strategies = ["windowed", "hedged", "hedged+1"]', ""))
    found = load_plan(path)

    assert "wait-for-all" in found.experiment.strategies
    assert found.experiment.seed == 5
    assert [point.scenario.file.n for point in found.experiment.points] == [2, 4, 5]


def test_target() -> None:
    """A target is formatted as people write it."""
    target = Target.model_validate({"p50": 0.1, "p99.9": 2, "success": 0.9999})

    assert str(target) == "p50 < 0.1 s, p99.9 < 2 s and success > 99.99 %"
    assert str(Target(p90=0.5)) == "p90 < 0.5 s"
    assert Condition("p99.9", 0.999, 2) == target.conditions[1]


def test_all_mistakes(tmp_path: Path) -> None:
    """All errors of a file are reported at once, including those of the scenario."""
    bad = write(
        tmp_path,
        ("p90 = 0.5", "p95 = 0.5"),
        ("success = 0.9", "success = 1.0"),
        ("k = [2]", "k = [2.5]"),
        ("n = [2, 4, 5]", "n = 7"),
        ('"hedged+1"', '"hedge"'),
        ("size = 100", "sice = 100"),
        ("max_runs = 80", "max_runs = 0"),
    )

    assert [(m.line, m.key) for m in mistakes(bad)] == [
        (5, "scenario.file.size"),
        (6, "scenario.file.sice"),
        (15, "target.p95"),
        (16, "target.success"),
        (19, "search.k"),
        (20, "search.n"),
        (21, "search.strategies[2]"),
        (22, "search.max_runs"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "message"),
    [
        ("p90 = 0.5\nsuccess = 0.9", "", 14, "target", "asks for nothing"),
        ("p90 = 0.5", "p99.9 = 0.5", 15, "target.p99", 'the key p99.9 needs quotes: "p99.9"'),
        ("p90 = 0.5", "p90 = 0", 15, "target.p90", "should be greater than 0, not 0"),
        ("success = 0.9", "succes = 0.9", 16, "target.succes", "did you mean 'success'?"),
        ("k = [2]", "k = [6]", 18, "search", "no k and n have n >= k"),
        ("k = [2]", "k = [2]\nmax_expansion = 0.5", 20, "search.max_expansion", "or equal to 1"),
        ("n = [2, 4, 5]", "n = [257]", 20, "search.n", "from 1 to 256, not 257"),
        ("n = [2, 4, 5]", "n = [true]", 20, "search.n", "from 1 to 256, not True"),
        (
            "n = [2, 4, 5]",
            "n = { from = 3, to = 2, step = 1 }",
            20,
            "search.n.to",
            "more than 3",
        ),
        ("k = [2]", "", 18, "search.k", "is missing"),
        ("[target]\np90 = 0.5\nsuccess = 0.9", "", 1, "target", "is missing"),
        ('"first-block"', '"located"', 3, "scenario", "no byte is read"),
        (
            'select = "0-1"',
            'select = "0-1"\nshares = [4]',
            19,
            "search",
            "at file.k = 2, file.n = 2: servers[0].shares: there is no share 4; the file has 0, 1",
        ),
    ],
)
def test_mistake(old: str, new: str, line: int, key: str, message: str, tmp_path: Path) -> None:
    """Each error is reported with its line, its key and a hint."""
    found = mistakes(write(tmp_path, (old, new)))

    assert [m for m in found if (m.line, m.key) == (line, key) and message in m.message]


def test_real_shares(tmp_path: Path) -> None:
    """Real shares are refused: their k and n are fixed."""
    file = CHK_FILES[0]
    text = TEXT.replace("size = 100", f'shares = "{FOLDER / file.name}"\ncap = "{file.uri}"')
    path = tmp_path / "p.toml"
    path.write_text(text)

    assert [m.message[:15] for m in mistakes(path)] == ["has real shares"]


def test_looks(tmp_path: Path) -> None:
    """Looks double up to all runs; if a run is many downloads, the first look is early."""
    one = plan(tmp_path)

    assert one.looks == [80]
    assert replace(one, max_runs=1000).looks == [250, 500, 1000]
    assert replace(one, max_runs=1200).looks == [250, 500, 1000, 1200]
    assert plan(tmp_path, loaded(100)).looks == [10, 20, 40, 80]
    assert replace(plan(tmp_path, loaded(100)), max_runs=3).looks == [3]


def test_schema() -> None:
    """The schema describes each key of a plan."""
    schema = PlanTable.model_json_schema()

    tables = [schema, schema["$defs"]["Target"], schema["$defs"]["Search"]]
    assert all("description" in key for table in tables for key in table["properties"].values())
    assert "p99.9" in schema["$defs"]["Target"]["properties"]


def test_few_downloads(tmp_path: Path) -> None:
    """A run may have few downloads: quantiles are those of all downloads of all runs."""
    assert plan(tmp_path, loaded(1)).has_loads
