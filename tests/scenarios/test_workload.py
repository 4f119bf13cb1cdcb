"""Workloads in scenario files: what they mean, and the errors of invalid ones."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from random import Random

import pytest

from firstk.scenarios.load import ScenarioError, load_scenario
from firstk.scenarios.workload import Closed, FixedRate, Poisson, TraceFile, Workload

BEGINNING = """\
name = "load"
[file]
size = 56
k = 3
n = 10
[grid]
servers = 10
rtt = { law = "constant", value = 0.5 }
[workload]
"""

LINE = BEGINNING.count("\n") + 1

POISSON = 'arrivals = { kind = "poisson", rate = 2.0 }\n'


def loaded(folder: Path, workload: str, beginning: str = BEGINNING) -> Workload:
    """Return the workload of a scenario file."""
    path = folder / "load.toml"
    path.write_text(beginning + workload)
    found = load_scenario(path).workload
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("arrivals", "kind"),
    [
        ('{ kind = "poisson", rate = 2.0 }', Poisson),
        ('{ kind = "fixed", rate = 2.0 }', FixedRate),
        ('{ kind = "closed", clients = 3 }', Closed),
        (
            '{ kind = "closed", clients = 3, think = { law = "exponential", mean = 1.0 } }',
            Closed,
        ),
    ],
)
def test_arrivals(arrivals: str, kind: type, tmp_path: Path) -> None:
    """Each kind of arrivals is recognised by its key."""
    found = loaded(tmp_path, f"arrivals = {arrivals}\ndownloads = 100")

    assert isinstance(found.arrivals, kind)
    assert (found.warmed_up, found.last, found.cancel) == (10, 110, False)


@pytest.mark.parametrize(
    ("workload", "most"),
    [
        (POISSON, 10_000),
        (POISSON + "max_under_way = 50_000\n", 50_000),
        ('arrivals = { kind = "closed", clients = 30 }\n', 30),
    ],
)
def test_most_under_way(workload: str, most: int, tmp_path: Path) -> None:
    """`max_under_way` has a default, and the number of closed clients is a limit itself."""
    assert most == loaded(tmp_path, workload + "downloads = 3\n").most_under_way


def test_poisson_times() -> None:
    """Poisson times are made by inversion: doubled rates halve them."""
    slow, fast = (
        list(islice(Poisson(kind="poisson", rate=rate).times(Random(3)), 50)) for rate in (1.0, 2.0)
    )

    assert slow == sorted(slow)
    assert slow == pytest.approx([2 * time for time in fast])


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("time\n0\n1.5\n", [(0.0, None), (1.5, None)]),
        ("time,size\n0,100\n0,\n", [(0.0, 100), (0.0, None)]),
        ("\ufeffsize,who,time\r\n7,a,1e1\r\n", [(10.0, 7)]),
    ],
)
def test_trace(text: str, rows: list[tuple[float, int | None]], tmp_path: Path) -> None:
    """A trace is a CSV file with these columns, in any order, and possibly others."""
    (tmp_path / "trace.csv").write_text(text, encoding="utf-8", newline="")
    found = loaded(tmp_path, 'arrivals = { kind = "trace", path = "trace.csv" }')

    assert isinstance(found.arrivals, TraceFile)
    assert rows == found.arrivals.rows
    assert (0, len(rows)) == (found.warmed_up, found.last)
    assert [time for time, _ in rows] == list(found.arrivals.times(Random(0)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("when\n0\n", "line 1: needs a column `time`, and has when"),
        ("", "line 1: needs a column `time`, and has none"),
        ("time\n", "has no line below its head"),
        ("time\n0\nsoon\n", "line 3: 'soon' is not a time"),
        ("time,size\n0\n\n,3\n", "line 4: '' is not a time"),
        ("time\n1\n0.5\n", "line 3: should be 1 or later, not 0.5"),
        ("time\n-1\n", "line 2: should be 0 or later, not -1"),
        ("time\ninf\n", "line 2: should be 0 or later, not inf"),
        ("time\nnan\n", "line 2: should be 0 or later, not nan"),
        ("time,size\n0,0\n", "line 2: '0' is not a size: a number of bytes"),
        ("time,size\n0,1.5\n", "line 2: '1.5' is not a size"),
        ("time,size\n0,1073741825\n", "line 2: a size should be 1073741824 or less"),
    ],
)
def test_bad_trace(text: str, said: str, tmp_path: Path) -> None:
    """An invalid trace is refused, with its line."""
    (tmp_path / "trace.csv").write_text(text)
    with pytest.raises(ScenarioError) as caught:
        loaded(tmp_path, 'arrivals = { kind = "trace", path = "trace.csv" }')

    place = f"{tmp_path / 'load.toml'}:{LINE}: workload.arrivals.path: trace.csv: "
    assert str(caught.value).startswith(place + said)


def test_no_trace(tmp_path: Path) -> None:
    """A missing trace is reported."""
    with pytest.raises(ScenarioError, match=r"trace\.csv: No such file"):
        loaded(tmp_path, 'arrivals = { kind = "trace", path = "trace.csv" }')


@pytest.mark.parametrize(
    ("workload", "line", "said"),
    [
        ("downloads = 3", 0, "workload.arrivals: is missing"),
        (POISSON, 0, "workload.downloads: is missing: how many are counted"),
        (POISSON + "downloads = 0", 2, "workload.downloads: should be greater than or equal to 1"),
        ('arrivals = { kind = "bursts" }', 1, "'bursts' is unknown; there are 'poisson', 'fixed'"),
        ('arrivals = { kind = "poisson" }', 1, "workload.arrivals.rate: is missing"),
        ('arrivals = { kind = "poisson", rate = 0 }', 1, "rate: should be greater than 0, not 0"),
        ('arrivals = { kind = "fixed", rate = 1e300 }', 1, "less than or equal to 100000"),
        ('arrivals = { kind = "closed", clients = 100001 }', 1, "less than or equal to 100000"),
        ('arrivals = { kind = "fixed", rat = 1.0 }', 1, "unknown key; did you mean 'rate'?"),
        ('arrivals = { kind = "closed", clients = 0 }', 1, "clients: should be greater than or"),
        (
            'arrivals = { kind = "closed", clients = 1, think = { law = "exponental" } }',
            1,
            "'exponental' is unknown; did you mean 'exponential'? there are 'constant'",
        ),
        (POISSON + "downloads = 3\nfiles = { count = 0 }", 3, "files.count: should be greater"),
        (
            POISSON + "downloads = 3\nfiles = { count = 2, zipf = -1.0 }",
            3,
            "files.zipf: should be greater than or equal to 0",
        ),
        (POISSON + "downloads = 3\ncancle = true", 3, "unknown key; did you mean 'cancel'?"),
        (POISSON + "downloads = 3\nmax_under_way = 0", 3, "max_under_way: should be greater than"),
        (
            'arrivals = { kind = "closed", clients = 1 }\ndownloads = 3\nmax_under_way = 9',
            3,
            "workload.max_under_way: contradicts closed arrivals",
        ),
    ],
)
def test_mistakes(workload: str, line: int, said: str, tmp_path: Path) -> None:
    """An invalid workload is refused, with its line and key."""
    with pytest.raises(ScenarioError) as caught:
        loaded(tmp_path, workload)

    found = [m for m in caught.value.mistakes if said in str(m)]
    assert len(found) == 1, str(caught.value)
    assert LINE - 1 + line == found[0].line


@pytest.mark.parametrize(
    ("workload", "said"),
    [
        ("downloads = 3", "workload.downloads: should be 2 (what the trace has) or less, not 3"),
        ("warmup = 2", "workload.warmup: should be less than 2 (what the trace has), not 2"),
        ("files = { count = 2 }", "workload.files: contradicts the sizes in the trace"),
    ],
)
def test_beyond_the_trace(workload: str, said: str, tmp_path: Path) -> None:
    """More than a trace contains is refused."""
    (tmp_path / "trace.csv").write_text("time,size\n0,100\n1,200\n")
    with pytest.raises(ScenarioError) as caught:
        loaded(tmp_path, f'arrivals = {{ kind = "trace", path = "trace.csv" }}\n{workload}')

    assert said in str(caught.value)


def test_range_of_several_sizes(tmp_path: Path) -> None:
    """Files of several sizes have no common range."""
    sizes = '{ law = "uniform", low = 10.0, high = 90.0 }'
    with pytest.raises(ScenarioError, match="have no common `offset` and `length`"):
        loaded(
            tmp_path,
            f"{POISSON}downloads = 3\nfiles = {{ count = 2, sizes = {sizes} }}",
            BEGINNING.replace("size = 56\n", "size = 56\noffset = 3\n"),
        )
