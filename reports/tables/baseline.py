"""A baseline: the results of runs, saved in a file to compare later runs with.

The file is JSON with one row per line, sorted, so that its changes read well in a diff.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from firstk.downloader.text import shown
from firstk.harness.run.comparison import Compared
from firstk.harness.run.result import Outcome, Result
from firstk.harness.stats.figures import rounded
from firstk.scenarios.kinds import BASELINE, Kind, kind_of_head, other_kind
from firstk.scenarios.load import ScenarioError, read
from firstk.scenarios.reading import RECORD, read_bytes
from firstk.scenarios.text import cut

_Time = Annotated[float, Field(ge=0)] | None
_Count = Annotated[int, Field(ge=0)]


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("should be printable")
    return text


_Text = Annotated[str, AfterValidator(_printable)]


class BaselineError(ValueError):
    """A file is not a baseline; the message says which file, where, and what is wrong."""


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class BaselineRow(_Strict):
    """The result of one run; the times are those of a `Result`."""

    scenario: _Text
    strategy: _Text
    seed: _Count
    outcome: Outcome
    error: _Text | None
    content_ok: bool | None
    ttfb: _Time
    finished: _Time
    requests: _Count
    bytes: _Count

    @classmethod
    def of(cls, result: Result) -> BaselineRow:
        """Return the row of a result."""
        return cls(
            scenario=result.scenario,
            strategy=result.strategy,
            seed=result.seed,
            outcome=result.outcome,
            error=result.error,
            content_ok=result.content_ok,
            ttfb=rounded(result.ttfb),
            finished=rounded(result.finished),
            requests=result.requests,
            bytes=result.bytes_received,
        )

    @property
    def key(self) -> tuple[str, str, int]:
        """The key that identifies the run."""
        return self.scenario, self.strategy, self.seed


class Baseline(_Strict):
    """The rows of many runs; their order does not matter."""

    baseline_version: Literal[1] = 1
    rows: list[BaselineRow]

    @classmethod
    def of(cls, compared: Iterable[Compared]) -> Baseline:
        """Return the baseline of some comparisons; a run that was made twice is in it once."""
        rows = [BaselineRow.of(r) for one in compared for s in one.strategies for r in s.results]
        return cls(rows=list({row.key: row for row in rows}.values()))

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """Return the baseline in a file; raise `BaselineError` or `OSError`."""
        try:
            baseline = cls.model_validate_json(read_bytes(path, RECORD))
        except ValidationError as e:
            if (kind := _other_kind(path)) is not None:
                raise BaselineError(f"{path}: {kind}") from e
            raise BaselineError(f"{path}: {_first_mistake(e)}; `--save` writes it anew") from e
        seen = set()
        for row in baseline.rows:
            if row.key in seen:
                raise BaselineError(f"{path}: two rows are {_named(row)}; `--save` writes it anew")
            seen.add(row.key)
        return baseline

    def as_text(self) -> str:
        """Return the text of the file."""
        rows = sorted(self.rows, key=lambda row: row.key)
        lines = ",\n".join(f"  {json.dumps(row.model_dump())}" for row in rows)
        return f'{{\n "baseline_version": {self.baseline_version},\n "rows": [\n{lines}\n ]\n}}\n'


def _other_kind(path: Path) -> Kind | None:
    """Return the kind of a file that is not a baseline but another of firstk's; None if neither."""
    try:
        found = kind_of_head(path) or other_kind(BASELINE, read(path, None).data)
    except ScenarioError:
        return None
    return None if found is BASELINE else found


def _first_mistake(error: ValidationError) -> str:
    mistake = error.errors(include_url=False)[0]
    where = cut(".".join(map(str, mistake["loc"])))
    words = f"{where}: {mistake['msg']}" if where else mistake["msg"]
    if mistake["type"] in ("json_invalid", "missing", "model_type"):
        return words
    return f"{words}, not {shown(mistake['input'], 60)}"


def _named(row: BaselineRow) -> str:
    return f"{row.scenario}, {row.strategy}, seed {row.seed}"
