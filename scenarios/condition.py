"""Conditions on downloads: a quantile of their times, how many succeed, how busy a grid is."""

from __future__ import annotations

import re
from dataclasses import dataclass

from firstk.downloader.text import shown


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a target.

    It requires that a quantile of the time to first byte is less than `limit` seconds. Without a
    `quantile` it is "busy", which requires that the utilisation of the busiest resource is less
    than `limit`, or "success", which requires that the probability that a download succeeds is
    greater. With a workload, all of them are over all downloads of all runs.

    >>> print(Condition("p99", 0.99, 2.0))
    p99 < 2 s
    """

    name: str
    quantile: float | None
    limit: float

    @property
    def is_busy(self) -> bool:
        """Whether it limits the utilisation of the busiest resource."""
        return self.name == BUSY

    def __str__(self) -> str:
        if self.quantile is None:
            return f"{self.name} {'<' if self.is_busy else '>'} {100 * self.limit:.10g} %"
        return f"{self.name} < {self.limit:.10g} s"


#: The names of the conditions that are not about a quantile.
BUSY, SUCCESS = "busy", "success"

_FORM = re.compile(
    r"\s*(?P<name>p(?P<percent>\d{1,2}(?:\.\d{1,9})?)|busy|success)\s*(?P<sign><=?|>=?)"
    r"\s*(?P<number>\d{1,9}(?:\.\d{1,9})?)\s*(?P<unit>ms|s|%)\s*"
)

#: The number of seconds in a unit of time.
_UNITS = {"s": 1.0, "ms": 0.001}


def parse_condition(text: str) -> Condition:
    """Return the condition that a text such as "p99 <= 2 s" or "busy <= 90%" stands for.

    `<` and `<=` mean the same, since times and utilisations are continuous. Raises `ValueError`
    with the problem if it is not a condition.

    >>> parse_condition("p99.9 <= 250 ms")
    Condition(name='p99.9', quantile=0.999, limit=0.25)
    >>> parse_condition("success >= 99%").limit
    0.99
    """
    found = _FORM.fullmatch(text)
    if found is None:
        examples = '"p99 <= 2 s", "busy <= 90%" or "success >= 99%"'
        raise ValueError(f"should be like {examples}, not {shown(text, 60)}")
    name, unit, number = found["name"], found["unit"], float(found["number"])
    sign = ">" if name == SUCCESS else "<"
    if found["sign"][0] != sign:
        raise ValueError(f"{name} should be followed by {sign}=, not {found['sign']}")
    if found["percent"] is not None:
        quantile = float(f"{float(found['percent']) / 100:.12g}")
        if unit == "%" or not number or not quantile:
            raise ValueError(f"{name} should be limited by a time over 0, as 2 s or 250 ms")
        return Condition(name, quantile, number * _UNITS[unit])
    if unit != "%" or not 0 < number < 100:
        raise ValueError(f"{name} should be limited by a percentage between 0 % and 100 %")
    return Condition(name, None, number / 100)
