"""The section of a page with published numbers, from the JSON of `firstk reproduce`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from firstk.scenarios.reading import RECORD, read_bytes


class PublishedError(ValueError):
    """A file does not have the output of `firstk reproduce --format json`."""


class PublishedRow(BaseModel):
    """A published number and what was found: the keys of the JSON that a page shows."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    id: str
    case: str
    printed: str
    unit: str
    exact: float | None
    ours: float | None
    low: float | None
    high: float | None
    verdict: Literal["agrees", "explained", "differs", "undecided"]
    reason: str | None
    paper: str
    where: str
    experiment: str
    runs: int

    @property
    def right(self) -> str:
        """The exact value as text, with one digit more than the printed one."""
        if self.exact is None:
            return "not known"
        _, _, fraction = self.printed.partition(".")
        return self._with_unit(f"{self.exact:.{min(16, len(fraction) + 1)}f}")

    @property
    def published(self) -> str:
        """The printed number, with its unit."""
        return self._with_unit(self.printed)

    @property
    def found(self) -> str:
        """Our estimate as text."""
        return "none" if self.ours is None else self._with_unit(f"{self.ours:.4g}")

    @property
    def interval(self) -> str:
        """The interval of our estimate as text; empty if there are too few runs for one."""
        if self.low is None:
            return ""
        high = "never" if self.high is None else f"{self.high:.4g}"
        return f"{self.low:.4g} to {high}"

    def _with_unit(self, text: str) -> str:
        return f"{text} {self.unit}".rstrip()


_ROWS = TypeAdapter(list[PublishedRow])


def read(path: Path) -> list[PublishedRow]:
    """Return the rows in a file that `firstk reproduce --format json` wrote.

    Raises `PublishedError` for a file that does not have them, and `OSError`.
    """
    try:
        rows = _ROWS.validate_json(read_bytes(path, RECORD))
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise PublishedError(
            f"{path}: {where}: {first['msg']}; it should be what"
            " `firstk reproduce --format json` prints"
        ) from e
    if not rows:
        raise PublishedError(f"{path}: has no published numbers")
    return rows


def headline(rows: Sequence[PublishedRow]) -> str:
    """Return how many numbers there are, and how many of them agree, as a sentence."""
    counts: Counter[str] = Counter(row.verdict for row in rows)
    others = [
        f"{counts[verdict]} {words}"
        for verdict, words in (
            ("explained", "do not, for a known reason"),
            ("differs", "differ for no known reason"),
            ("undecided", "have too few runs to decide"),
        )
        if counts[verdict]
    ]
    papers = len({row.paper for row in rows})
    said = ", ".join([f"{counts['agrees']} agree", *others])
    return f"Of {len(rows)} published numbers from {papers} sources, {said}."


def reasons(rows: Sequence[PublishedRow]) -> dict[str, list[str]]:
    """Return the reasons why numbers do not agree, each with the ids of these numbers."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.reason is not None:
            found.setdefault(row.reason, []).append(row.id)
    return found
