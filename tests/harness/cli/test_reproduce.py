"""`firstk reproduce`: what it prints, and its exit statuses."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from firstk.harness.cli import sweep_options
from tests.harness.command_line import firstk
from tests.harness.experiments import Here


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in this process, since starting others takes longer."""

    def here(count: int | None) -> Callable[[], Here]:
        return Here

    monkeypatch.setattr(sweep_options, "processes", here)
    monkeypatch.setattr("firstk.harness.cli.reproduce.processes", here)


def test_table() -> None:
    """Each number is shown with its verdict, the reason of a misprint, and a summary."""
    result = firstk("reproduce", "storj-2018/4-of-8", "storj-2018/4-of-6", "--runs", "20")

    assert (result.exit_code, result.stderr) == (0, "")
    assert "0.9985886898541133" in result.stdout
    assert "storj-2018/4-of-6, storj-2018/4-of-8: explained: the tables take" in result.stdout
    assert result.stdout.endswith("2 numbers from 1 source: 2 explained\n")


def test_json() -> None:
    """A hedge after 8 ms cannot be done in 11.0 ms, the published number."""
    result = firstk("reproduce", "bailis-2012/hedge-latency", "--runs", "200", "--format", "json")
    (row,) = json.loads(result.stdout)

    assert (row["published"], round(row["exact"], 2)) == (11.0, 16.71)
    assert row["verdict"] == "undecided"  # a 99.9th percentile needs thousands of runs
    assert result.exit_code == 1


@pytest.mark.slow
def test_hedge() -> None:
    """With its own number of runs, that is explained: the 8 ms were not added."""
    result = firstk("reproduce", "bailis-2012/hedge-latency", "--format", "json")
    (row,) = json.loads(result.stdout)

    assert row["low"] > 11.0
    assert (row["verdict"], result.exit_code) == ("explained", 0)
    assert "gives 11.05 ms" in row["reason"]


@pytest.mark.slow
def test_all() -> None:
    """All numbers agree or are explained, as documented."""
    result = firstk("reproduce", "--format", "json")
    rows = json.loads(result.stdout)

    assert {row["id"]: row["verdict"] for row in rows if row["verdict"] != "agrees"} == {
        "bailis-2012/hedge-latency": "explained",
        **{f"storj-2018/{code}": "explained" for code in ("2-of-4", "4-of-6", "4-of-8")},
        **{f"storj-2018/{code}": "explained" for code in ("8-of-16", "16-of-32", "20-of-40")},
    }
    assert len(rows) >= 25
    assert result.exit_code == 0


def test_csv() -> None:
    """CSV has a header with the names of the JSON keys."""
    result = firstk("reproduce", "dean-barroso-2013/fan-out-100", "--runs", "9", "--format", "csv")
    header, row = result.stdout.splitlines()

    assert header.startswith("id,case,published,exact,ours,low,high,verdict,")
    assert row.startswith('dean-barroso-2013/fan-out-100,"100 servers, each slow')


def test_unknown() -> None:
    """An unknown name is a usage error, with a suggestion."""
    result = firstk("reproduce", "strj-2018")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "no paper or number is called 'strj-2018'; did you mean 'storj-2018'?" in result.stderr
