"""The published numbers: what is printed where, and which experiment reproduces it.

They are in `published.toml`, and the experiments in the library's folder `experiments/published`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from firstk.downloader.names import did_you_mean
from firstk.scenarios.base import Table

_FILE = Path(__file__).parent / "published.toml"

#: A number as it is printed, with its digits.
Printed = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?$")]

#: How a number was obtained in its source.
By = Literal["simulation", "formula", "theorem"]

#: What is measured: a quantile of the times to K distinct shares, such as p99.9, or their mean; the
#: probability that they are located by the deadline, or are not; or the mean number of queries
#: beyond K.
MEASURES = r"p\d{1,2}(\.\d+)?|mean|located|late|extra queries"


class UnknownNumberError(ValueError):
    """No paper or number has this name; the message says which there are."""


class Misprint(Table):
    """Why a number differs from what it is said to be."""

    kind: Literal["poisson", "no-delay"]
    """What the number is instead."""
    reason: str
    """The reason in words; `{value}` stands for what the number is instead."""


class Number(Table):
    """A case with one or several numbers that are printed for it."""

    id: Annotated[str, StringConstraints(pattern="^[a-z0-9-]+$")]
    """The id, unique in its paper."""
    case: str
    """The case in words."""
    where: str
    """The place in the paper."""
    published: list[Printed] = Field(min_length=1)
    """The numbers as they are printed; all are of the same case."""
    unit: Literal["ms", ""] = ""
    """Their unit; none for probabilities, and for times in units of the mean service time."""
    by: By
    """How the paper obtained them; the digits for a theorem are computed from its formula."""
    experiment: str
    """The name of the experiment in the library, without its folder."""
    point: int = 0
    """The number of the experiment's point, from 0."""
    strategy: str = "first-k"
    """The strategy."""
    measure: Annotated[str, StringConstraints(pattern=f"^({MEASURES})$")]
    """What is measured."""
    misprint: Misprint | None = None
    """Why the printed numbers are not those of the case."""


class Paper(Table):
    """A source of published numbers."""

    id: Annotated[str, StringConstraints(pattern="^[a-z0-9-]+$")]
    """The id, with which the ids of its numbers begin."""
    title: str
    """Authors, title, place and year."""
    source: str
    """Where the numbers were read."""
    sure: Literal["A", "B"]
    """A: read in the text of the paper. B: known from secondary text, or a formula that was
    verified by simulation."""
    numbers: list[Number] = Field(min_length=1)
    """The numbers."""


class _Published(Table):
    papers: list[Paper]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        ids = [number.id for number in published_numbers(self.papers)]
        twice = sorted({one for one in ids if ids.count(one) > 1})
        if twice:
            raise ValueError(f"these ids appear twice: {', '.join(twice)}")
        return self


@dataclass(frozen=True, slots=True)
class PublishedNumber:
    """One printed number. `digits` are as printed, in the unit of `number`."""

    id: str
    paper: Paper
    number: Number
    digits: str

    @property
    def value(self) -> float:
        """The number."""
        return float(self.digits)

    @property
    def last_digit(self) -> float:
        """The value of one unit in the last printed digit."""
        exponent = Decimal(self.digits).as_tuple().exponent
        assert isinstance(exponent, int)
        return float(Decimal(1).scaleb(exponent))


def published_numbers(papers: Sequence[Paper]) -> list[PublishedNumber]:
    """Return all numbers of some papers; several of one case have ids that end in -2, -3 ..."""
    return [
        PublishedNumber(
            f"{paper.id}/{number.id}" + (f"-{place}" if place > 1 else ""), paper, number, digits
        )
        for paper in papers
        for number in paper.numbers
        for place, digits in enumerate(number.published, 1)
    ]


def load_papers() -> list[Paper]:
    """Return all papers, with their numbers."""
    tables = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return _Published.model_validate(tables).papers


def choose(papers: Sequence[Paper], names: Sequence[str]) -> list[PublishedNumber]:
    """Return the numbers of the papers and cases with these names; all without names.

    Raises `UnknownNumberError` with the first name that is not known, and what it may have meant.
    """
    numbers = published_numbers(papers)
    if not names:
        return numbers
    known = [*(paper.id for paper in papers), *(one.id for one in numbers)]
    for name in names:
        if name not in known:
            there = ", ".join(paper.id for paper in papers)
            raise UnknownNumberError(
                f"no paper or number is called {name!r:.80}; {did_you_mean(name, known)}"
                f"the papers are {there}"
            )
    return [one for one in numbers if one.paper.id in names or one.id in names]
