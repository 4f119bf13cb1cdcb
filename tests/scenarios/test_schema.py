"""The JSON schemas accept what `firstk validate` accepts, and refuse what they can."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from firstk.scenarios.experiment import load_experiment
from firstk.scenarios.kinds import EXPERIMENT, PLAN, kind_of
from firstk.scenarios.library import experiments, sets
from firstk.scenarios.load import ScenarioError, from_tables, load_scenario
from firstk.scenarios.plan import load_plan
from firstk.scenarios.schema import KINDS, schema_of
from tests.harness.plans import TEXT as PLAN_TEXT

_ROOT = Path(__file__).parents[2]

SCHEMAS = {
    kind: jsonschema.Draft202012Validator(
        schema_of(kind), format_checker=jsonschema.FormatChecker()
    )
    for kind in KINDS
}

LIBRARY = [*(file for files in sets().values() for file in files), *experiments().values()]

#: The TOML of README and of the guides, except what is not a file of firstk.
BLOCKS = [
    (f"{guide.name}-{number}", block)
    for guide in (_ROOT / "README.md", *sorted((_ROOT / "docs").glob("*.md")))
    for number, block in enumerate(re.findall(r"```toml\n(.*?)```", guide.read_text(), re.DOTALL))
    if "name = " in block
]


def problems(text: str) -> list[str]:
    """Return the errors of a TOML text by the schema of its kind."""
    tables = tomllib.loads(text)
    kind = {EXPERIMENT: "experiment", PLAN: "plan"}.get(kind_of(tables), "scenario")
    return [error.message for error in SCHEMAS[kind].iter_errors(tables)]


@pytest.mark.parametrize("kind", KINDS)
def test_schema(kind: str) -> None:
    """Each is a JSON schema, and describes each of its keys."""
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[kind].schema)

    assert all("description" in key for key in SCHEMAS[kind].schema["properties"].values())


@pytest.mark.parametrize("file", LIBRARY, ids=lambda file: file.stem)
def test_library(file: Path) -> None:
    """All files of the library are accepted."""
    assert problems(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("block", [b for _, b in BLOCKS], ids=[name for name, _ in BLOCKS])
def test_guides(block: str) -> None:
    """The examples in README and the guides are accepted."""
    assert problems(block) == []


def test_blocks() -> None:
    """The examples include each kind."""
    kinds = [kind_of(tomllib.loads(block)).name for _, block in BLOCKS]

    assert set(kinds) == {"a scenario", "an experiment", "a plan"}
    assert len(kinds) >= 10


SCENARIO_TEXT = """\
name = "t"
strategies = ["first-k"]
seed = 1
runs = 2
stop = "complete"
deadline = 10.0

[file]
size = 1000
k = 3
n = 10

[grid]
servers = 10
rtt = { law = "constant", value = 0.05 }

[[servers]]
select = "0,3-5"
fault = { kind = "slow", factor = 2.0 }
shares = [0, 1]

[workload]
arrivals = { kind = "poisson", rate = 2.0 }
downloads = 5

[expect.first-k]
outcome = "ok"
"""

EXPERIMENT_TEXT = """\
name = "e"
scenario = "one-hung"
runs = 2

[axes]
"grid.rtt.value" = { from = 0.1, to = 0.2, points = 2 }
file.size = [1000, 2000]
"""

#: Changes of a good text that both `validate` and JSON Schema can refuse.
REFUSED = [
    *(
        (SCENARIO_TEXT, old, new)
        for old, new in [
            ('name = "t"', 'name = "a b"'),
            ('name = "t"', f'name = "{"a" * 81}"'),
            ('["first-k"]', "[]"),
            ('["first-k"]', '["frist-k"]'),
            ('["first-k"]', '["hedged+256"]'),
            ('["first-k"]', '["hedged+0"]'),
            ('["first-k"]', '["first-k", "first-k"]'),
            ("seed = 1", "seed = -1"),
            ("seed = 1", "seed = 9223372036854775808"),
            ("seed = 1", "sed = 1"),
            ("seed = 1", "seed = true"),
            ("runs = 2", "runs = 0"),
            ("runs = 2", "runs = 10000001"),
            ('"complete"', '"never"'),
            ("deadline = 10.0", "deadline = 0"),
            ("size = 1000\n", ""),
            ("size = 1000", "size = 1000\nshares = 's'"),
            ("k = 3", "k = 257"),
            ("servers = 10", "servers = 1000001"),
            ('"constant"', '"constnat"'),
            ("value = 0.05", "valu = 0.05"),
            ("value = 0.05", "value = -0.05"),
            ('"0,3-5"', '"a"'),
            ('"0,3-5"', '"0,,1"'),
            ('"0,3-5"', "{ count = -1 }"),
            ('"0,3-5"', "{ probability = 1.5 }"),
            (", factor = 2.0 }", " }"),
            ("factor = 2.0", "factor = 0.0"),
            ('"slow"', '"slwo"'),
            ("[0, 1]", "[-1]"),
            ("[0, 1]", "[9223372036854775808]"),
            ("downloads = 5\n", ""),
            ("downloads = 5", "downloads = 5\nfiles = { count = 0 }"),
            ("rate = 2.0", "rate = 0.0"),
            ("[expect.first-k]", "[expect.downlaoder]"),
            ('"ok"', '"fine"'),
            ('"ok"', '"ok"\nerror = "x"'),
            ('"ok"', '"stalled"\nmessage = "x"'),
        ]
    ),
    *(
        (EXPERIMENT_TEXT, old, new)
        for old, new in [
            ('name = "e"\n', ""),
            ('"one-hung"', '"one-hun"'),
            ('"one-hung"', "3"),
            ("runs = 2", "runs = 2\nprecision = { relative = 0.1 }"),
            ("runs = 2", "precision = { relative = 1.0 }"),
            ("runs = 2", "oracle = true\nprecision = { relative = 0.1 }"),
            ("points = 2", "points = 2, step = 0.1"),
            (", points = 2", ""),
            ("points = 2", "step = 0"),
            ("points = 2", "step = -0.5"),
            ("points = 2", 'step = 0.1, spacing = "log"'),
            ("from = 0.1", 'from = 0.0, spacing = "log"'),
            ("from = 0.1", "form = 0.1"),
            ("[1000, 2000]", "[]"),
            ("[1000, 2000]", "3"),
            ("file.size", "expect.x"),
            ("file.size", "runs"),
            ("file.size", '"file..size"'),
            ("file.size", '"seed.x"'),
            ("[axes]", "[axis]"),
        ]
    ),
    *(
        (PLAN_TEXT, old, new)
        for old, new in [
            ("p90 = 0.5\nsuccess = 0.9", ""),
            ("success = 0.9", "success = 1.5"),
            ("success = 0.9", "sucess = 0.9"),
            ("k = [2]", "k = []"),
            ("k = [2]", "k = [257]"),
            ("k = [2]", "k = [2.5]"),
            ("k = [2]", "k = 2"),
            ("n = [2, 4, 5]", "n = [2, 2]"),
            ("n = [2, 4, 5]", "n = { from = 2 }"),
            ("max_runs = 80", "max_runs = 0"),
            ('"hedged+1"', '"hedged+x"'),
            ("size = 100", "size = 0"),
        ]
    ),
]


def check(text: str, folder: Path) -> None:
    """Check a file as `firstk validate` does."""
    path = folder / "t.toml"
    path.write_text(text, encoding="utf-8")
    loads: dict[Any, Any] = {EXPERIMENT: load_experiment, PLAN: load_plan}
    loads.get(kind_of(tomllib.loads(text)), load_scenario)(path)


@pytest.mark.parametrize("text", [SCENARIO_TEXT, EXPERIMENT_TEXT, PLAN_TEXT])
def test_good(text: str, tmp_path: Path) -> None:
    """The unchanged texts are valid."""
    check(text, tmp_path)

    assert problems(text) == []


@pytest.mark.parametrize(("text", "old", "new"), REFUSED, ids=[case[2] for case in REFUSED])
def test_refused(text: str, old: str, new: str, tmp_path: Path) -> None:
    """An error that JSON Schema can express is refused by both."""
    assert old in text
    wrong = text.replace(old, new, 1)
    with pytest.raises(ScenarioError):
        check(wrong, tmp_path)

    assert problems(wrong)


ACCEPTED = [
    ("file.size = [1000, 2000]", '"file.size" = [1000, 2000]'),
    ("file.size = [1000, 2000]", "servers.0.select = ['0', '1']\nservers.0.shares = [[0], [1]]"),
    ("file.size = [1000, 2000]", '"servers.0".shares = [[0], [1]]'),
    ("file.size = [1000, 2000]", "file.size = { from = 1, to = 3, step = 1 }"),
    ("file.size = [1000, 2000]", "grid.service = [{ law = 'exponential', mean = 1.0 }]"),
    ("runs = 2", "[precision]\nrelative = 0.1"),
    ("runs = 2", "oracle = false"),
]


@pytest.mark.parametrize(("old", "new"), ACCEPTED, ids=[new for _, new in ACCEPTED])
def test_accepted(old: str, new: str, tmp_path: Path) -> None:
    """Axes may be written with quotes and without, and have any values."""
    text = EXPERIMENT_TEXT.replace(old, new)
    check(text, tmp_path)

    assert problems(text) == []


def test_files_of_a_workload() -> None:
    """Keys of the file that a workload forbids are refused by both."""
    tables = tomllib.loads(SCENARIO_TEXT)
    tables["workload"]["files"] = {"count": 2, "sizes": {"law": "constant", "value": 100.0}}
    for wrong in ({"offset": 1}, {"length": 3}):
        changed = {**tables, "file": {**tables["file"], **wrong}}
        with pytest.raises(ScenarioError):
            from_tables(changed)

        assert not SCHEMAS["scenario"].is_valid(changed)
    assert SCHEMAS["scenario"].is_valid(tables)
