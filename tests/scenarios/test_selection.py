"""Groups of servers, and the errors of invalid groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from firstk.scenarios.load import ScenarioError, from_tables, load_scenario
from firstk.scenarios.model import groups_of
from firstk.scenarios.selection import Group
from tests.harness.making import constant, scenario


def members(group: Group, *servers: dict[str, Any], **grid: Any) -> list[list[int]]:
    """Return the groups of a grid of six servers."""
    made = scenario(*servers, grid={"servers": 6, **grid})
    return [list(one.servers) for one in groups_of(group, made.grid, made.servers)]


def test_in_a_row() -> None:
    """A number groups that many consecutive servers; the last group may be smaller."""
    assert members(4) == [[0, 1, 2, 3], [4, 5]]
    assert members("rack", groups={"rack": 4}) == [[0, 1, 2, 3], [4, 5]]


def test_listed() -> None:
    """Groups may be listed; an unlisted server is its own group."""
    assert members("region", groups={"region": ["1,4", "s5,s3"]}) == [[0], [1, 4], [2], [3, 5]]


def test_machines_of_entries() -> None:
    """An entry sets the machine of its servers, and a later one replaces it."""
    entries = [{"select": "0-3", "machine": "a"}, {"select": "3-4", "machine": "b"}]

    assert members("machine", *entries) == [[0, 1, 2], [3, 4], [5]]


def test_names_do_not_depend_on_later_servers() -> None:
    """A group's name, by which it is drawn, does not change when servers are added."""
    names = [
        [one.name for one in groups_of("rack", made.grid, ())]
        for made in (scenario(grid={"servers": n, "groups": {"rack": 2}}) for n in (4, 7))
    ]

    assert names[0] == ["rack 0", "rack 1"] == names[1][:2]


@pytest.mark.parametrize(
    ("grid", "entry", "place", "words"),
    [
        ({"rack": 0}, {}, "grid.groups.rack", "greater than or equal to 1, not 0"),
        ({"rack": []}, {}, "grid.groups.rack", "at least 1"),
        ({"rack": ["0-12"]}, {}, "grid.groups.rack", "beyond the grid: its servers are 0 to 9"),
        ({"rack": ["0-3", "0"]}, {}, "grid.groups.rack", "has server 0 in two groups"),
        ({"rack": 5.0}, {}, "grid.groups.rack", "integer"),
        ({"a rack": 5}, {}, "grid.groups.a rack", "a letter first, not 'a rack'"),
        (
            {"rack": 5},
            {"select": {"count": 1, "group": "rak"}},
            "servers[0].select.group",
            "no groups are called 'rak'; did you mean 'rack'? there are rack",
        ),
        (
            None,
            {"select": {"count": 1, "group": "machine"}},
            "servers[0].select.group",
            "no groups are called 'machine'; `grid.groups` has none",
        ),
        (
            {"rack": 4},
            {"select": {"count": 4, "group": "rack"}},
            "servers[0].select.count",
            "selects 4 of 3 groups",
        ),
        (
            None,
            {"select": {"count": 3, "group": 5}},
            "servers[0].select",
            "selects 3 of 2 groups of 5 servers",
        ),
        (None, {"select": {"count": 1, "group": 0}}, "servers[0].select.group", "or equal to 1"),
        (None, {"select": {"count": 1}, "machine": "a"}, "servers[0].machine", "not of ones that"),
        (
            {"machine": 2},
            {"select": "0-1", "machine": "a"},
            "servers[0].machine",
            "`grid.groups` says already",
        ),
        (
            {"machine": 2},
            {"select": "1-3", "bandwidth": 1.0},
            "servers[0].bandwidth",
            "is of a whole machine: select all servers of each, or none",
        ),
        (
            {"machine": 2},
            {"select": {"probability": 0.5}, "service": constant(1.0)},
            "servers[0].service",
            "is of a whole machine",
        ),
        (
            {"machine": 4},
            {"select": {"count": 1, "group": 6}, "concurrency": 1},
            "servers[0].concurrency",
            "is of a whole machine",
        ),
    ],
)
def test_refused(
    grid: dict[str, Any] | None, entry: dict[str, Any], place: str, words: str
) -> None:
    """Invalid groups are refused, with their place."""
    tables = {
        "name": "t",
        "file": {"size": 56, "k": 3, "n": 10},
        "grid": {"servers": 10, "rtt": constant(0.5), **({"groups": grid} if grid else {})},
        "servers": [entry] if entry else [],
    }
    with pytest.raises(ScenarioError) as caught:
        from_tables(tables)
    (mistake,) = caught.value.mistakes

    assert mistake.key == place
    assert words in mistake.message


def test_line(tmp_path: Path) -> None:
    """An error in one entry about others has the line of its key."""
    path = tmp_path / "t.toml"
    path.write_text(
        'name = "t"\nfile = { size = 56, k = 3, n = 10 }\n'
        '[grid]\nservers = 10\nrtt = { law = "constant", value = 0.5 }\ngroups.machine = 2\n'
        '[[servers]]\nselect = "0"\n[[servers]]\nselect = "1"\nbandwidth = 5.0\n'
    )
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)

    assert [(m.line, m.key) for m in caught.value.mistakes] == [(11, "servers[1].bandwidth")]


@pytest.mark.parametrize(
    "select", ["all", "0-1,4", {"count": 2, "group": 4}, {"probability": 0.5, "group": "machine"}]
)
def test_whole_machines(select: Any) -> None:
    """Resources that the servers of a machine share can be set for all of them."""
    made = scenario(
        {"select": select, "bandwidth": 5.0}, grid={"groups": {"machine": ["0-1", "2-3"]}}
    )

    assert made.servers[0].bandwidth == 5.0


def test_group_of_names() -> None:
    """A selection by names cannot have a group."""
    with pytest.raises(ValidationError, match="group"):
        scenario({"select": {"group": "rack"}}, grid={"groups": {"rack": 2}})
