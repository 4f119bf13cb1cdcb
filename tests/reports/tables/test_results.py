"""Results are written for other programs as documented: JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, replace

import pytest

from firstk.harness.run.bound import Bound
from firstk.harness.run.result import Result
from firstk.harness.run.strategy_runs import StrategyRuns
from firstk.reports.tables import results
from tests.reports.samples import BOUND, DEADLINE, FAILED, NO_BOUND, NOTHING, OK, STALLED

#: The contract: DESIGN, section 6.
KEYS = [
    "scenario",
    "strategy",
    "run",
    "seed",
    "outcome",
    "error",
    "message",
    "located",
    "ttfb",
    "finished",
    "ended",
    "queries",
    "reads",
    "bytes_received",
    "shares_used",
    "content_ok",
    "digest",
    "cancelled",
    "bytes_saved",
    "outstanding_max",
    "bytes_outstanding_max",
    "outcomes",
    "bound",
    "minimum_requests",
    "minimum_bytes",
]

ALL = [OK, STALLED, FAILED, DEADLINE, NOTHING]


def as_json(of: list[Result], bound: Bound = BOUND) -> str:
    """Return the JSON of results with this bound."""
    return results.as_json(
        [StrategyRuns(result.strategy, [result], None, [bound]) for result in of]
    )


def as_csv(of: list[Result], bound: Bound = BOUND) -> str:
    """Return the CSV of results with this bound."""
    return results.as_csv([StrategyRuns(of[0].strategy, of, None, [bound] * len(of))])


def test_keys() -> None:
    """JSON objects and CSV rows have exactly the documented keys, in order."""
    assert [list(one) for one in json.loads(as_json(ALL))] == [KEYS] * 5
    assert as_csv(ALL).splitlines()[0].split(",") == KEYS


def test_json() -> None:
    """JSON keeps every value unchanged."""
    bound = {"bound": 0.1, "minimum_requests": 6, "minimum_bytes": 4000}

    assert [asdict(result) | bound for result in ALL] == json.loads(as_json(ALL))


def test_no_bound() -> None:
    """If no strategy could succeed, there are no minimum values."""
    row = next(csv.DictReader(io.StringIO(as_csv([FAILED], NO_BOUND))))
    parsed = json.loads(as_json([FAILED], NO_BOUND))[0]

    for key in ("bound", "minimum_requests", "minimum_bytes"):
        assert parsed[key] is None
        assert row[key] == ""


@pytest.mark.parametrize("of", [[], [OK], ALL], ids=len)
def test_json_is_a_list(of: list[Result]) -> None:
    """JSON is a list, even of one or no result, and ends with a newline."""
    text = as_json(of)

    assert len(of) == len(json.loads(text))
    assert text.endswith("]\n")


def test_exact_times() -> None:
    """No digit of a time is lost in either format."""
    result = replace(OK, ttfb=0.1 + 0.2, ended=1 / 3)
    row = next(csv.DictReader(io.StringIO(as_csv([result]))))

    assert 0.1 + 0.2 == json.loads(as_json([result]))[0]["ttfb"] == float(row["ttfb"])
    assert 1 / 3 == json.loads(as_json([result]))[0]["ended"] == float(row["ended"])


def read_back(row: dict[str, str]) -> Result:
    """Return the result in a row of CSV."""

    def number(text: str) -> float | None:
        return float(text) if text else None

    return Result(
        scenario=row["scenario"],
        strategy=row["strategy"],
        run=int(row["run"]),
        seed=int(row["seed"]),
        outcome=row["outcome"],  # type: ignore[arg-type]  # it is one of them if all is well
        error=row["error"] or None,
        message=row["message"] or None,
        located=number(row["located"]),
        ttfb=number(row["ttfb"]),
        finished=number(row["finished"]),
        ended=float(row["ended"]),
        queries=int(row["queries"]),
        reads=int(row["reads"]),
        bytes_received=int(row["bytes_received"]),
        shares_used=[int(n) for n in row["shares_used"].split()],
        content_ok={"True": True, "False": False, "": None}[row["content_ok"]],
        digest=row["digest"],
    )


def test_csv() -> None:
    """CSV is read back unchanged, including messages with several lines and commas."""
    written = [*ALL, replace(FAILED, message='a, "b"\nc\n', content_ok=False)]
    rows = csv.DictReader(io.StringIO(as_csv(written), newline=""), strict=True)

    assert written == [read_back(row) for row in rows]


def test_no_shares_known() -> None:
    """If nothing is known about the shares, the value is empty."""
    row = next(csv.DictReader(io.StringIO(as_csv([replace(OK, shares_used=None)]))))

    assert row["shares_used"] == ""
    assert json.loads(as_json([replace(OK, shares_used=None)]))[0]["shares_used"] is None
