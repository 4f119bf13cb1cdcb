"""Rare events of simulated downloads."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from scipy import stats

from firstk.harness.kernel.rng import stream
from firstk.harness.rare.choices import Choices, chosen_scenario, first_round_trips, units_of
from firstk.harness.rare.event import Event, parse_event
from firstk.harness.rare.rare import RareError, estimate_rare
from firstk.harness.run.simulate import simulate
from firstk.scenarios.load import load_scenario
from firstk.scenarios.model import Scenario

TEXT = """\
name = "rare"
strategies = ["first-k"]
stop = "located"

[file]
size = 100
k = 2
n = 4

[grid]
servers = 4
rtt = { law = "exponential", mean = 0.05 }
groups = { rack = 2 }

[[servers]]
select = { probability = 0.02 }
fault = { kind = "hung" }
"""


def scenario(folder: Path, old: str = "", new: str = "") -> Scenario:
    """Return the scenario, with some of its text replaced."""
    path = folder / "rare.toml"
    path.write_text(TEXT.replace(old, new), encoding="utf-8")
    return load_scenario(path)


def test_simulated(tmp_path: Path) -> None:
    """The interval of a simulated 2-of-4 download contains the binomial probability of a hang."""
    found = estimate_rare(scenario(tmp_path), "first-k", parse_event("hangs"), 200)
    exact = stats.binom.sf(2, 4, 0.02)

    assert found.estimate.low < exact < found.estimate.high < 2 * exact
    assert found.worth > 100 * 200


def test_equal_seeds(tmp_path: Path) -> None:
    """An estimate depends only on the scenario and its seed."""
    event = parse_event("p99.9")
    first, second = (estimate_rare(scenario(tmp_path), "first-k", event, 60) for _ in range(2))
    other = estimate_rare(scenario(tmp_path).with_runs(seed=7), "first-k", event, 60)

    assert first == second
    assert first != other


def test_units(tmp_path: Path) -> None:
    """Each server is selected alone, or with its group; certain selections are not random."""
    alone = units_of(scenario(tmp_path))
    text = "probability = 0.02"
    racks = units_of(scenario(tmp_path, text, f'{text}, group = "rack"'))

    assert [list(unit.servers) for unit in alone] == [[0], [1], [2], [3]]
    assert [list(unit.servers) for unit in racks] == [[0, 1], [2, 3]]
    assert units_of(scenario(tmp_path, text, "probability = 1")) == []


def test_chosen_servers(tmp_path: Path) -> None:
    """Choices make a plain scenario, in which exactly the chosen servers have the fault."""
    asked = scenario(tmp_path)
    units = units_of(asked)
    some = chosen_scenario(asked, units, Choices([True, False, True, True]))
    none = chosen_scenario(asked, units, Choices([False] * 4))

    assert some.servers[0].select == "s0,s2,s3"
    assert simulate(some, "first-k").result.outcome == "stalled"
    assert simulate(none, "first-k").result.outcome == "ok"


def test_chosen_ranks(tmp_path: Path) -> None:
    """The first round trip of a server has the chosen rank; later draws are random."""
    streams = first_round_trips(3, [0.25, 0.5])
    numbers = [streams[name, "rtt"].random() for name in ("s0", "s1")]

    assert numbers == [0.75, 0.5]
    assert streams["s0", "rtt"].random() not in numbers
    assert first_round_trips(3, [0.25])["s0", "rtt"].getrandbits(2) == 3
    assert isinstance(stream(3, "s0", "rtt"), Random)


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("hangs", Event("hangs", outcomes=("stalled", "deadline"))),
        ("ttfb > 2 s", Event("ttfb > 2 s", 2.0)),
        (" ttfb >= 20ms", Event("ttfb > 0.02 s", 0.02)),
        ("p99.999", Event("p99.999", tail=1e-5)),
    ],
)
def test_events(text: str, event: Event) -> None:
    """Events are spelled as people write them."""
    assert parse_event(text) == event


@pytest.mark.parametrize("text", ["", "hang", "ttfb < 2 s", "p", "p00", "p100", "99.99"])
def test_no_events(text: str) -> None:
    """Anything else is refused, with a hint."""
    with pytest.raises(ValueError, match='should be "hangs"'):
        parse_event(text)


def test_nothing_to_choose(tmp_path: Path) -> None:
    """A scenario without random selections has no rare hangs to estimate."""
    sure = scenario(tmp_path, "{ probability = 0.02 }", "{ count = 1 }")

    with pytest.raises(RareError, match="leaves nothing to chance"):
        estimate_rare(sure, "first-k", parse_event("hangs"), 60)
