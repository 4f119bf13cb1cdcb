"""The scenario model, apart from files."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from firstk.downloader.strategy import STRATEGIES
from firstk.scenarios.faults import Hung, Slow
from firstk.scenarios.model import MadeUpFile, Scenario, Servers
from firstk.scenarios.selection import Count, Probability, selected


def scenario(**changes: Any) -> Scenario:
    """Return a small scenario, with these tables replaced."""
    tables: dict[str, Any] = {
        "name": "t",
        "file": {"size": 1000, "k": 3, "n": 10},
        "grid": {"servers": 10, "rtt": {"law": "constant", "value": 0.05}},
    }
    return Scenario.model_validate(tables | changes)


def test_defaults() -> None:
    """The defaults are the documented ones."""
    one = scenario()

    assert one.strategies == ["wait-for-all", "first-k"]
    assert (one.seed, one.runs, one.deadline, one.stop) == (0, 1, 3600.0, "complete")
    assert (one.grid.rtt_per, one.grid.order) == ("request", "listed")
    assert (
        one.grid.bandwidth,
        one.grid.client_bandwidth,
        one.grid.service,
        one.grid.concurrency,
    ) == (None, None, None, None)
    assert isinstance(one.file, MadeUpFile)
    assert (one.file.offset, one.file.length, one.file.segment_size) == (0, None, 1024 * 1024)
    assert (one.servers, one.expect) == ([], {})


def test_source() -> None:
    """A scenario that was not read from a file has its name as its source."""
    assert scenario().source == "t"


@pytest.mark.parametrize(
    ("select", "numbers"),
    [
        ("all", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("0", [0]),
        ("9", [9]),
        ("0,3-5", [0, 3, 4, 5]),
        ("5,0", [0, 5]),
        ("2-2", [2]),
        ("1-3,2-4", [1, 2, 3, 4]),
        ("s1,s7", [1, 7]),
        ("s1-s3, 9", [1, 2, 3, 9]),
    ],
)
def test_selected(select: str, numbers: list[int]) -> None:
    """Servers are selected by number, by range, by name, or all."""
    assert numbers == selected(select, 10)


@given(st.sets(st.integers(0, 99), min_size=1), st.randoms(use_true_random=False))
def test_selected_any(numbers: set[int], random: Any) -> None:
    """Any set of servers can be selected, in any order, by numbers and names."""
    spelt = [random.choice([str(i), f"s{i}", f" {i}", f"{i}-{i}"]) for i in numbers]
    random.shuffle(spelt)

    assert sorted(numbers) == selected(",".join(spelt), 100)


@pytest.mark.parametrize(
    ("select", "words"),
    [
        ("", 'should be "all"'),
        ("All", 'should be "all"'),
        ("0,", 'should be "all"'),
        ("-3", 'should be "all"'),
        ("0..3", 'should be "all"'),
        ("server1", 'should be "all"'),
        ("1.5", 'should be "all"'),
        ("all,1", 'should be "all"'),
        ("5-3", "'5-3' runs backwards"),
        ("0,9-s8", "'9-s8' runs backwards"),
        ("10", "'10' is beyond the grid: its servers are 0 to 9"),
        ("0,8-10", "'8-10' is beyond the grid"),
        ("s10", "'s10' is beyond the grid"),
    ],
)
def test_not_selected(select: str, words: str) -> None:
    """A selection that is malformed, runs backwards or is beyond the grid is refused."""
    with pytest.raises(ValueError, match=words):
        selected(select, 10)


def test_faults_of_an_entry() -> None:
    """An entry has one fault, a list of faults, or none of its own."""
    hung, slow = {"kind": "hung"}, {"kind": "slow", "factor": 2.0}

    def faults(**keys: Any) -> Any:
        return Servers.model_validate({"select": "all", **keys}).faults

    assert [Hung(kind="hung")] == faults(fault=hung)
    assert [Hung(kind="hung"), Slow(kind="slow", factor=2.0)] == faults(fault=[hung, slow])
    assert faults(fault=[]) == []
    assert faults() is None


@pytest.mark.parametrize(
    ("select", "kind"),
    [
        ("0-3", str),
        ({"count": 0}, Count),
        ({"count": 10}, Count),
        ({"probability": 1}, Probability),
    ],
)
def test_select_kinds(select: Any, kind: type) -> None:
    """Servers are selected by a string, a count or a probability."""
    assert kind is type(scenario(servers=[{"select": select}]).servers[0].select)


@pytest.mark.parametrize(
    "expectation",
    [
        {"outcome": "ok", "ttfb": 0.25},
        {"outcome": "failed", "error": "NoSharesError", "message": "have 0"},
        {"error": "NotEnoughSharesError"},
        {"message": "have 2"},
        {"outcome": "stalled", "ttfb_max": 1.0},
        {"outcome": "failed", "ttfb": 0.25},
        {"ttfb_min": 1.0, "ttfb_max": 1.0},
        {"requests_max": 0},
        {},
    ],
)
def test_expectations(expectation: dict[str, Any]) -> None:
    """Expectations that can be met together are accepted."""
    assert scenario(expect={"first-k": expectation}).expect["first-k"] is not None


@pytest.mark.parametrize("outcome", ["ok", "stalled", "deadline"])
@pytest.mark.parametrize("key", ["error", "message"])
def test_contradicting_expectations(outcome: str, key: str) -> None:
    """Only a failure has an error and a message."""
    with pytest.raises(ValidationError, match=f"contradicts outcome = '{outcome}'"):
        scenario(expect={"first-k": {"outcome": outcome, key: "x"}})


@pytest.mark.parametrize(
    "bounds",
    [{"ttfb_min": 2, "ttfb_max": 1}, {"ttfb": 1, "ttfb_min": 2}, {"ttfb": 3, "ttfb_max": 2}],
)
def test_contradicting_bounds(bounds: dict[str, float]) -> None:
    """A range of times that no first byte can be in is refused."""
    with pytest.raises(ValidationError, match="ttfb"):
        scenario(expect={"first-k": bounds})


def test_frozen() -> None:
    """A scenario cannot be changed, so what was checked stays true."""
    one = scenario()

    with pytest.raises(ValidationError, match="frozen"):
        one.seed = 1


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_strategies(strategy: str) -> None:
    """Every named strategy can be run, and can have expectations."""
    one = scenario(strategies=[strategy], expect={strategy: {"outcome": "ok"}})

    assert [strategy] == one.strategies
    assert [strategy] == list(one.expect)


def test_numbers() -> None:
    """A generated file has all its shares."""
    assert list(range(10)) == scenario().file.numbers


def refs(schema: Any) -> list[str]:
    """Return every reference in a schema."""
    if isinstance(schema, dict):
        own = [schema["$ref"]] if "$ref" in schema else []
        return own + [ref for value in schema.values() for ref in refs(value)]
    return [ref for value in schema for ref in refs(value)] if isinstance(schema, list) else []


def test_schema() -> None:
    """Every table of the schema is defined, closed, and describes its keys."""
    schema = Scenario.model_json_schema()
    tables = {f"#/$defs/{name}": table for name, table in schema["$defs"].items()}

    assert set(refs(schema)) <= set(tables)
    for table in [schema, *tables.values()]:
        assert table["additionalProperties"] is False
        assert table["description"]
        undescribed = [
            key for key, value in table["properties"].items() if not value.get("description")
        ]
        assert set(undescribed) <= {"kind", "law"}


def test_schema_has_all_kinds() -> None:
    """The schema contains every fault and every law."""
    text = str(Scenario.model_json_schema())
    from firstk.scenarios.faults import Fault
    from firstk.scenarios.laws import Law

    tables = [*get_args(get_args(Fault)[0]), *get_args(get_args(Law)[0])]
    keys = [table.model_fields.get("kind") or table.model_fields["law"] for table in tables]

    assert all(f"'{get_args(key.annotation)[0]}'" in text for key in keys)
