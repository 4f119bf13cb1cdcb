"""The published numbers are complete, and each belongs to an experiment that can measure it."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from pydantic import ValidationError

from firstk.harness.reproduce.numbers import (
    MEASURES,
    Number,
    PublishedNumber,
    UnknownNumberError,
    choose,
    load_papers,
    published_numbers,
)
from firstk.harness.reproduce.run import published_experiment
from firstk.scenarios.library import experiments

PAPERS = load_papers()
NUMBERS = published_numbers(PAPERS)


def test_as_many_as_promised() -> None:
    """At least 25 numbers come from the text of five sources, and two papers have misprints."""
    read = [one for one in NUMBERS if one.paper.sure == "A" and one.number.by != "theorem"]

    assert len(read) >= 25
    assert len({one.paper.id for one in read}) >= 5
    assert {one.paper.id for one in NUMBERS if one.number.misprint} == {"bailis-2012", "storj-2018"}


def test_ids() -> None:
    """Each published number has its own id; several of one case are numbered."""
    ids = [one.id for one in NUMBERS]

    assert len(ids) == len(set(ids))
    assert ids[:3] == ["pbs-2012/ssd-r-1", "pbs-2012/ssd-r-1-2", "pbs-2012/ssd-r-1-3"]
    assert [one.digits for one in NUMBERS[:3]] == ["0.66", "0.66", "0.65"]


@pytest.mark.parametrize("number", [n for p in PAPERS for n in p.numbers], ids=lambda n: n.id)
def test_experiment(number: Number) -> None:
    """The experiment, its point and its strategy exist, and it stops when shares are located."""
    experiment = published_experiment(number.experiment)

    assert number.strategy in experiment.strategies
    assert experiment.points[number.point].scenario.stop == "located"
    assert (experiment.points[number.point].scenario.workload is None) or number.measure == "mean"
    assert re.fullmatch(MEASURES, number.measure)


def test_all_experiments_are_used() -> None:
    """Every experiment in the folder belongs to a published number."""
    folder = {name for name in experiments() if name.startswith("published/")}

    assert folder == {f"published/{one.number.experiment}" for one in NUMBERS}


@pytest.mark.parametrize(("digits", "last"), [("11.0", "0.1"), ("0.66", "0.01"), ("3", "1")])
def test_last_digit(digits: str, last: str) -> None:
    """The last printed digit counts, even if it is a zero."""
    one = PublishedNumber("x", PAPERS[0], PAPERS[0].numbers[0], digits)

    assert (one.value, one.last_digit) == (float(digits), float(Decimal(last)))


def test_choose() -> None:
    """Papers and numbers are selected by name, in the order of the file."""
    found = choose(PAPERS, ["storj-2018/4-of-8", "dean-barroso-2013"])

    assert [one.id for one in found] == [
        "dean-barroso-2013/fan-out-100",
        "dean-barroso-2013/fan-out-2000",
        "storj-2018/4-of-8",
    ]
    assert choose(PAPERS, []) == NUMBERS


def test_unknown() -> None:
    """An unknown name is refused, with the closest one as a suggestion."""
    with pytest.raises(UnknownNumberError, match=r"called 'storj-2017'; .*storj-2018.*pbs-2012"):
        choose(PAPERS, ["storj-2017"])


@pytest.mark.parametrize(
    "change",
    [{"published": ["1e3"]}, {"published": []}, {"measure": "median"}, {"by": "luck"}, {"x": 1}],
)
def test_wrong(change: dict[str, object]) -> None:
    """A row that cannot be compared is refused when the file is loaded."""
    row = PAPERS[0].numbers[0].model_dump(exclude_none=True)

    assert Number.model_validate(row) == PAPERS[0].numbers[0]
    with pytest.raises(ValidationError):
        Number.model_validate(row | change)
