"""Latency laws follow their distributions, and refuse invalid parameters."""

from __future__ import annotations

from collections.abc import Callable
from math import erf, exp, inf, isfinite, log, sqrt
from pathlib import Path
from random import Random
from statistics import fmean, stdev
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from firstk.scenarios.laws import Law
from tests.marks import few_rows

_LAWS: TypeAdapter[Law] = TypeAdapter(Law)

#: A law with a closed form: its keys, its mean, and P(T <= t).
Known = tuple[dict[str, Any], float, Callable[[float], float]]

KNOWN: list[Known] = [
    ({"law": "uniform", "low": 0.5, "high": 2.5}, 1.5, lambda t: min(1.0, (t - 0.5) / 2.0)),
    ({"law": "exponential", "mean": 0.2}, 0.2, lambda t: 1.0 - exp(-t / 0.2)),
    (
        {"law": "shifted-exponential", "shift": 1.0, "mean": 0.5},
        1.5,
        lambda t: 1.0 - exp(-(t - 1.0) / 0.5),
    ),
    (
        {"law": "lognormal", "median": 0.1, "sigma": 0.5},
        0.1 * exp(0.125),
        lambda t: 0.5 * (1.0 + erf(log(t / 0.1) / (0.5 * sqrt(2.0)))),
    ),
    ({"law": "pareto", "alpha": 3.0, "scale": 0.4}, 0.6, lambda t: 1.0 - (0.4 / t) ** 3.0),
    (
        {
            "law": "mixture",
            "weights": [3, 1],
            "laws": [
                {"law": "uniform", "low": 0.0, "high": 1.0},
                {"law": "uniform", "low": 2.0, "high": 4.0},
            ],
        },
        0.75 * 0.5 + 0.25 * 3.0,
        lambda t: 0.75 * min(t, 1.0) + 0.25 * max(0.0, (t - 2.0) / 2.0),
    ),
    (
        {"law": "shifted", "shift": 0.3, "base": {"law": "exponential", "mean": 0.2}},
        0.5,
        lambda t: 1.0 - exp(-(t - 0.3) / 0.2),
    ),
    (
        # The triangular law on 0 to 2.
        {"law": "sum", "laws": [{"law": "uniform", "low": 0.0, "high": 1.0}] * 2},
        1.0,
        lambda t: t * t / 2 if t < 1.0 else 1.0 - (2.0 - t) ** 2 / 2,
    ),
    (
        # Gamma with shape 3.
        {"law": "sum", "laws": [{"law": "exponential", "mean": 0.5}] * 3},
        1.5,
        lambda t: 1.0 - exp(-2 * t) * (1.0 + 2 * t + 2 * t * t),
    ),
    (
        {"law": "quantiles", "table": [[0, 0.1], [0.5, 0.2], [0.9, 0.6], [1, 1.6]]},
        0.5 * 0.15 + 0.4 * 0.4 + 0.1 * 1.1,
        lambda t: (
            5 * (t - 0.1) if t < 0.2 else 0.5 + (t - 0.2) if t < 0.6 else 0.9 + (t - 0.6) / 10
        ),
    ),
    (
        {"law": "preset", "name": "pbs-lnkd-ssd-one-way"},
        0.9122 * 0.235e-3 * 10 / 9 + 0.0878 / 1660,
        lambda t: 0.9122 * max(0.0, 1.0 - (0.235e-3 / t) ** 10) + 0.0878 * (1.0 - exp(-1660 * t)),
    ),
    (
        {"law": "preset", "name": "pbs-ymmr-one-way"},
        0.982 * 1.5e-3 * 3.8 / 2.8 + 0.018 / 21.7,
        lambda t: 0.982 * max(0.0, 1.0 - (1.5e-3 / t) ** 3.8) + 0.018 * (1.0 - exp(-21.7 * t)),
    ),
]


def law(**keys: Any) -> Law:
    """Return the law with these keys."""
    return _LAWS.validate_python(keys)


def measured(folder: Path, content: str | bytes, column: str | None = None) -> Law:
    """Return the empirical law of a file with this content."""
    data = content.encode() if isinstance(content, str) else content
    (folder / "times.txt").write_bytes(data)
    keys = {"law": "empirical", "path": "times.txt"} | ({"column": column} if column else {})
    return _LAWS.validate_python(keys, context={"folder": folder})


def samples(law: Law, count: int, seed: int = 928) -> list[float]:
    """Return draws from one stream."""
    random = Random(seed)
    return [law.sample(random) for _ in range(count)]


def name_of(value: object) -> str | None:
    """Return the law of a case as its id."""
    return str(value["law"]) if isinstance(value, dict) else None


class Edge(Random):
    """Random numbers that are all the smallest, or all the greatest, possible."""

    def __init__(self, greatest: bool) -> None:
        super().__init__(0)
        self.greatest = greatest

    def random(self) -> float:
        return 1.0 - 2.0**-53 if self.greatest else 0.0

    def getrandbits(self, k: int) -> int:
        return 2**k - 1 if self.greatest else 0


@pytest.mark.parametrize(("keys", "mean", "cdf"), KNOWN, ids=name_of)
def test_distribution(keys: dict[str, Any], mean: float, cdf: Callable[[float], float]) -> None:
    """The draws follow the distribution function (Kolmogorov and Smirnov, at 1 %)."""
    draws = sorted(samples(law(**keys), 20_000))
    count = len(draws)
    distance = max(
        max(abs(cdf(t) - i / count), abs(cdf(t) - (i + 1) / count)) for i, t in enumerate(draws)
    )

    assert distance < 1.63 / sqrt(count)


@pytest.mark.parametrize(("keys", "mean", "cdf"), KNOWN, ids=name_of)
def test_mean(keys: dict[str, Any], mean: float, cdf: Callable[[float], float]) -> None:
    """The draws have the law's mean."""
    draws = samples(law(**keys), 20_000)

    error = stdev(draws) / sqrt(len(draws))
    assert mean == pytest.approx(fmean(draws), abs=4 * error)


def test_all_are_tested() -> None:
    """Every law is tested here; those without a closed form, separately."""
    kinds = {
        get_args(kind.model_fields["law"].annotation)[0] for kind in get_args(get_args(Law)[0])
    }

    assert kinds == {keys["law"] for keys, _, _ in KNOWN} | {"constant", "empirical"}


def test_constant() -> None:
    """A constant is drawn exactly, and takes nothing from the stream."""
    random = Random(1)

    assert law(law="constant", value=0.05).sample(random) == 0.05
    assert Random(1).random() == random.random()


@pytest.mark.parametrize(("keys", "mean", "cdf"), KNOWN, ids=name_of)
def test_equal_streams(keys: dict[str, Any], mean: float, cdf: Callable[[float], float]) -> None:
    """Equal streams give equal draws, and different streams different ones."""
    one = law(**keys)

    assert samples(one, 50) == samples(law(**keys), 50)
    assert samples(one, 50) != samples(one, 50, seed=929)


DOUBLED = [
    ({"law": "constant", "value": 0.3}, {"law": "constant", "value": 0.6}),
    ({"law": "uniform", "low": 0.1, "high": 0.7}, {"law": "uniform", "low": 0.2, "high": 1.4}),
    ({"law": "exponential", "mean": 0.3}, {"law": "exponential", "mean": 0.6}),
    (
        {"law": "shifted-exponential", "shift": 0.1, "mean": 0.3},
        {"law": "shifted-exponential", "shift": 0.2, "mean": 0.6},
    ),
    (
        {"law": "lognormal", "median": 0.3, "sigma": 0.7},
        {"law": "lognormal", "median": 0.6, "sigma": 0.7},
    ),
    (
        {"law": "pareto", "alpha": 1.5, "scale": 0.3},
        {"law": "pareto", "alpha": 1.5, "scale": 0.6},
    ),
]


@pytest.mark.parametrize(("single", "double"), DOUBLED, ids=name_of)
def test_doubled_times(single: dict[str, Any], double: dict[str, Any]) -> None:
    """A law with all its times doubled gives exactly doubled draws."""
    assert [2 * t for t in samples(law(**single), 1000)] == samples(law(**double), 1000)


def test_doubled_mixture() -> None:
    """A mixture of doubled laws gives doubled draws, since the same laws are chosen."""
    laws = [(single, double) for single, double in DOUBLED]
    weights = [1, 2, 3, 4, 5, 6]
    singles = law(law="mixture", weights=weights, laws=[single for single, _ in laws])
    doubles = law(law="mixture", weights=weights, laws=[double for _, double in laws])

    assert [2 * t for t in samples(singles, 1000)] == samples(doubles, 1000)


@pytest.mark.parametrize("greatest", [False, True])
@pytest.mark.parametrize(
    ("keys", "least", "most"),
    [
        ({"law": "uniform", "low": 0.5, "high": 2.5}, 0.5, 2.5),
        ({"law": "uniform", "low": 0.5, "high": 0.5}, 0.5, 0.5),
        ({"law": "exponential", "mean": 1.0}, 0.0, inf),
        ({"law": "shifted-exponential", "shift": 0.5, "mean": 1.0}, 0.5, inf),
        ({"law": "lognormal", "median": 1.0, "sigma": 50.0}, 0.0, inf),
        ({"law": "pareto", "alpha": 0.1, "scale": 0.5}, 0.5, inf),
    ],
    ids=name_of,
)
def test_edges(keys: dict[str, Any], least: float, most: float, greatest: bool) -> None:
    """Whatever the random numbers are, a draw is finite and in its range."""
    time = law(**keys).sample(Edge(greatest))

    assert least <= time <= most
    assert isfinite(time)


def test_mixture_edges() -> None:
    """The smallest random number selects the first law, and the greatest the last."""
    laws = [{"law": "constant", "value": value} for value in (1.0, 2.0, 3.0)]
    mixture = law(law="mixture", weights=[0.1, 0.1, 0.1], laws=laws)

    assert mixture.sample(Edge(greatest=False)) == 1.0
    assert mixture.sample(Edge(greatest=True)) == 3.0


def test_nested_mixture() -> None:
    """A mixture may contain a mixture; the weights multiply."""
    inner = {
        "law": "mixture",
        "weights": [0.5, 0.5],
        "laws": [{"law": "constant", "value": 1.0}, {"law": "constant", "value": 2.0}],
    }
    outer = law(law="mixture", weights=[40, 60], laws=[inner, {"law": "constant", "value": 3.0}])
    draws = samples(outer, 10_000)

    assert set(draws) == {1.0, 2.0, 3.0}
    assert pytest.approx(draws.count(1.0) / 10_000, abs=0.02) == 0.2
    assert pytest.approx(draws.count(2.0) / 10_000, abs=0.02) == 0.2
    assert pytest.approx(draws.count(3.0) / 10_000, abs=0.02) == 0.6


CONSTANT = {"law": "constant", "value": 1.0}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"law": "constant"}, "value"),
        ({"law": "constant", "value": -0.1}, "greater than or equal to 0"),
        ({"law": "constant", "value": inf}, "finite"),
        ({"law": "constant", "value": float("nan")}, "finite"),
        ({"law": "constant", "value": True}, "number"),
        ({"law": "constant", "value": "0.05"}, "number"),
        ({"law": "constant", "value": 0.05, "mean": 1.0}, "mean"),
        ({"law": "uniform", "low": 2.0, "high": 1.0}, "should be 2.0 .low. or more, not 1.0"),
        ({"law": "uniform", "low": -1.0, "high": 1.0}, "greater than or equal to 0"),
        ({"law": "exponential", "mean": 0}, "greater than 0"),
        ({"law": "exponential", "mean": -1.0}, "greater than 0"),
        ({"law": "shifted-exponential", "shift": -1.0, "mean": 1.0}, "shift"),
        ({"law": "shifted-exponential", "shift": 1.0, "mean": 0.0}, "mean"),
        ({"law": "lognormal", "median": 0.0, "sigma": 1.0}, "median"),
        ({"law": "lognormal", "median": 1.0, "sigma": -1.0}, "sigma"),
        ({"law": "lognormal", "median": 1.0, "sigma": 51.0}, "less than or equal to 50"),
        ({"law": "pareto", "alpha": 0.0, "scale": 1.0}, "alpha"),
        ({"law": "pareto", "alpha": 1.0, "scale": 0.0}, "scale"),
        ({"law": "mixture", "weights": [1.0], "laws": [CONSTANT] * 2}, "1 weights for 2 laws"),
        ({"law": "mixture", "weights": [1.0, 0.0], "laws": [CONSTANT] * 2}, "greater than 0"),
        ({"law": "mixture", "weights": [1.0, -1.0], "laws": [CONSTANT] * 2}, "greater than 0"),
        ({"law": "mixture", "weights": [inf], "laws": [CONSTANT]}, "finite"),
        ({"law": "mixture", "weights": [], "laws": []}, "at least 1"),
        ({"law": "mixture", "weights": [1], "laws": [{"law": "constant"}]}, "value"),
        ({"law": "shifted", "shift": -1.0, "base": CONSTANT}, "shift"),
        ({"law": "shifted", "shift": 1.0}, "base"),
        ({"law": "sum", "laws": []}, "at least 1"),
        ({"law": "quantiles", "table": [[0, 1.0]]}, "at least 2"),
        ({"law": "quantiles", "table": [[0, 1.0], [0.9, 2.0]]}, "0 to 1, not 0 to 0.9"),
        ({"law": "quantiles", "table": [[0.1, 1.0], [1, 2.0]]}, "0 to 1, not 0.1 to 1"),
        ({"law": "quantiles", "table": [[0, 2.0], [1, 1.0]]}, "1, 1. should come before .0, 2"),
        (
            {"law": "quantiles", "table": [[0, 1.0], [0.5, 1.0], [0.5, 2.0], [1, 2.0]]},
            "should come before",
        ),
        ({"law": "preset", "name": "pbs-ymmr"}, "did you mean 'pbs-ymmr-one-way'"),
        ({"law": "gaussian"}, "'lognormal'"),
        ({"value": 1.0}, "law"),
    ],
)
def test_refused(keys: dict[str, Any], words: str) -> None:
    """An invalid law is refused, with the reason."""
    with pytest.raises(ValidationError, match=words):
        law(**keys)


@pytest.mark.parametrize(
    ("content", "column"),
    [
        ("0.1\n0.2\n0.4\n", None),
        ("0.1\n\n0.2\n0.4", None),
        ("0.1\r\n0.2\r\n0.4\r\n", None),
        ("  0.1\n1e-1\n0.2\n.2\n4e-1\n+0.4\n", None),
        ("rtt\n0.1\n0.2\n0.4\n", None),
        ("rtt\n0.1\n0.2\n0.4\n", "rtt"),
        ("when, rtt, server\n1, 0.1, s0\n2, 0.2, s1\n3, 0.4, s2\n", "rtt"),
        ('"the time, in s",rtt\n1,"0.1"\n2,0.2\n3,0.4\n', "rtt"),
    ],
)
def test_empirical(content: str, column: str | None, tmp_path: Path) -> None:
    """Times are read from a text file, or from a column of a CSV file, with equal probabilities."""
    draws = samples(measured(tmp_path, content, column), 3000)

    assert set(draws) == {0.1, 0.2, 0.4}
    assert all(900 < draws.count(time) < 1100 for time in set(draws))


def test_empirical_weights(tmp_path: Path) -> None:
    """A time that occurs twice is twice as likely."""
    draws = samples(measured(tmp_path, "1\n1\n2\n"), 3000)

    assert pytest.approx(draws.count(1.0), rel=0.05) == 2000


@pytest.mark.parametrize("greatest", [False, True])
def test_empirical_edges(greatest: bool, tmp_path: Path) -> None:
    """The smallest random number selects the first time, and the greatest the last."""
    assert (3.0 if greatest else 1.0) == measured(tmp_path, "1\n2\n3\n").sample(Edge(greatest))


def test_byte_order_mark(tmp_path: Path) -> None:
    """A byte order mark, as Windows programs write it, loses no time and hides no column."""
    text = measured(tmp_path, b"\xef\xbb\xbf0.1\n0.2\n")

    assert set(samples(text, 100)) == {0.1, 0.2}
    assert set(samples(measured(tmp_path, b"\xef\xbb\xbfrtt,x\n0.3,1\n", "rtt"), 10)) == {0.3}


@pytest.mark.parametrize(
    ("content", "column", "words"),
    [
        ("", None, "holds no times"),
        ("\n\n", None, "holds no times"),
        ("rtt\n", None, "holds no times"),
        ("when,rtt\n1,0.1\n", None, "has the columns when, rtt: say which"),
        ("when,rtt\n1,0.1\n", "time", "has no column 'time'; there are when, rtt"),
        ("0.1\n0.2\n", "rtt", "has no column 'rtt'"),
        ("0.1\n\nfast\n", None, "line 3: 'fast' is not a time"),
        ("rtt\n0.1\nfast\n", None, "line 3: 'fast' is not a time"),
        ("0.1\n-0.2\n", None, "line 2: '-0.2' is not a time"),
        ("-0.1\n", None, "line 1: '-0.1' is not a time"),
        ("0.1\nnan\n", None, "line 2: 'nan' is not a time"),
        ("0.1\ninf\n", None, "line 2: 'inf' is not a time"),
        ("when,rtt\n1,0.1\n2\n", "rtt", "line 3: '' is not a time"),
        ("0.1\n0.2 s\n", None, "line 2: '0.2 s' is not a time"),
        (b"0.1\n\xe9\n", None, "is not UTF-8 text"),
    ],
)
def test_bad_file(content: str | bytes, column: str | None, words: str, tmp_path: Path) -> None:
    """An invalid file of times is refused, with the line."""
    with pytest.raises(ValidationError) as caught:
        measured(tmp_path, content, column)

    assert f"times.txt: {words}" in caught.value.errors()[0]["ctx"]["found"][0][1]


@pytest.mark.parametrize(
    "content", ["0,05\n0,06\n", "1,0.05\n2,0.06\n", "0.05,fast\n"], ids=["comma", "two", "more"]
)
def test_more_than_one_number(content: str, tmp_path: Path) -> None:
    """A line with several numbers, without a header, is refused.

    A decimal comma would else make every time a whole number of seconds.
    """
    with pytest.raises(ValidationError, match=r"times\.txt"):
        measured(tmp_path, content)


def test_one_endless_line(tmp_path: Path) -> None:
    """A file that is one long line is refused, like any other without times."""
    with pytest.raises(ValidationError, match=r"times\.txt"):
        measured(tmp_path, "x" * 200_000)


@pytest.mark.parametrize(("path", "words"), [("nope.txt", "No such file"), (".", "directory")])
def test_no_file(path: str, words: str, tmp_path: Path) -> None:
    """A missing file is reported by its path in the scenario."""
    with pytest.raises(ValidationError) as caught:
        _LAWS.validate_python({"law": "empirical", "path": path}, context={"folder": tmp_path})

    key, message = caught.value.errors()[0]["ctx"]["found"][0]

    assert key == "path"
    assert message.startswith(f"{path}: ")
    assert words in message


#: The exact 99.9th percentiles, in ms, of the k-th of n answers, each the sum of two draws of
#: pbs-ymmr-one-way: recomputed by quadrature from the parameters in the paper.
EXACT = {(1, 1): 168.19, (1, 2): 11.05, (2, 2): 200.39, (1, 3): 5.6, (2, 3): 32.95, (3, 3): 219.23}


@pytest.mark.parametrize(("k", "n"), few_rows(1, EXACT))
def test_published_quantiles(k: int, n: int) -> None:
    """A preset has the quantiles that follow from the paper."""
    one_way = {"law": "preset", "name": "pbs-ymmr-one-way"}
    law_ = law(law="sum", laws=[one_way, one_way])
    random, runs = Random(2012), 100_000
    later = sum(
        sorted(law_.sample(random) for _ in range(n))[k - 1] > EXACT[k, n] / 1000
        for _ in range(runs)
    )

    assert 0.001 * runs == pytest.approx(later, abs=4 * sqrt(0.001 * runs))
