"""Strategies: how a download finds its shares and reads them, as data.

A strategy is a frozen record of choices; the code in `locate` and `fetch` reads them.
To try one of your own, compose it from the same fields and pass it to `download`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True, slots=True)
class Strategy:
    """How a download goes about it.

    `description` says so in half a sentence. `locating_ends` says when phase 1 is over:
    when `all-answered`, that is, every server has answered or failed, or as soon as
    `k-distinct` share numbers are known (or all have answered). `late_answers`, those that
    come after that, are `ignored`, or `used`: their shares join the pool, and a shortage
    waits for them.
    """

    name: str
    locating_ends: Literal["all-answered", "k-distinct"]
    late_answers: Literal["ignored", "used"] = "ignored"
    description: str = ""


_ALL = (
    # Tahoe-LAFS up to 1.5.
    Strategy(
        "wait-for-all",
        locating_ends="all-answered",
        description="asks every server where the shares are, and waits for every answer",
    ),
    # Tahoe-LAFS 1.6.0, ticket #928.
    Strategy(
        "first-k",
        locating_ends="k-distinct",
        description="starts as soon as it knows K distinct shares, and ignores later answers",
    ),
    # The same with the regression of ticket #287 mended, 31 January 2010.
    Strategy(
        "first-k-late",
        locating_ends="k-distinct",
        late_answers="used",
        description="starts as first-k does, and falls back on shares from later answers",
    ),
)

#: The strategies that have names, in the order in which they are compared.
STRATEGIES: Mapping[str, Strategy] = MappingProxyType({s.name: s for s in _ALL})


def find_strategy(strategy: Strategy | str) -> Strategy:
    """Return the strategy of this name; a `Strategy` is returned as it is.

    Raises `ValueError` for a name that no strategy has.
    """
    if isinstance(strategy, Strategy):
        return strategy
    try:
        return STRATEGIES[strategy]
    except KeyError:
        raise ValueError(
            f"no strategy is called {strategy!r}; there are {', '.join(STRATEGIES)}"
        ) from None
