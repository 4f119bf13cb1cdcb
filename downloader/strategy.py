"""Strategies: how a download finds its shares and reads them, as data.

A strategy is a frozen record of choices; the code in `locate`, `fetch`, `windowed` and `pipelined`
reads them. To try one of your own, compose it from the same fields and pass it to
`download`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from firstk.downloader.names import did_you_mean
from firstk.downloader.text import shown

#: The most spares that a name may ask for: no file has more shares.
_MOST_SPARES = 255

#: So many queries are ample where few shares of many are needed: most find one.
_AMPLE = 32


@dataclass(frozen=True, slots=True)
class Strategy:
    """How a download finds its shares and reads them, as data.

    `description` says so in half a sentence. `locating_ends` says when phase 1 is over:
    when `all-answered`, that is, every server has answered or failed; as soon as
    `k-distinct` share numbers are known (or all have answered); or `never`. Where it ends,
    reading goes through phases: UEB, crypttext hash tree, blocks. Where it never does,
    reading starts with the first shares, the fastest answer first, and all that is needed
    of a share is asked for at once.

    `late_answers`, those that come after phase 1, are `ignored`, or `used`: their shares
    join the pool, and a shortage waits for them. Where locating never ends, none is late.

    `window` is how many queries may be outstanding: a number, `all`, `2N` for twice the
    number of shares made, or `ample`, which is the same up to 4K, or up to 32 if that is more. A
    query that is overdue gives its place to another; its answer still counts. `overdue` says when
    one is: after a number of seconds, `never`, or `adaptive`, from the round trips seen.

    The rest is for strategies whose locating never ends. Without `hedge` shares are read as
    Tahoe-LAFS does. With it, a read can be overdue too, and another share is then read beside it;
    the first K valid blocks win. It is needed for what follows: so many `spares`, shares beyond K,
    are read for the first segment; after `give_up` seconds in which nothing happened, the download
    fails; None means that it waits forever. With `asks_again` a server whose connection was lost is
    asked again until then. With `speculates` the first servers are read from in the same round
    trip in which they are asked, if they can.

    Raises `ValueError` for numbers that are out of range, and for choices that contradict one
    another.

    >>> from dataclasses import replace
    >>> patient = replace(STRATEGIES["hedged"], name="patient", give_up=None)
    >>> patient.window
    'ample'
    """

    name: str
    locating_ends: Literal["all-answered", "k-distinct", "never"]
    late_answers: Literal["ignored", "used"] = "ignored"
    window: int | Literal["all", "2N", "ample"] = "all"
    overdue: float | Literal["never", "adaptive"] = "never"
    hedge: bool = False
    asks_again: bool = False
    speculates: bool = False
    spares: int = 0
    give_up: float | None = None
    description: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.window, int) and self.window < 1:
            raise ValueError(f"a window of {self.window} has no room for a query")
        if isinstance(self.overdue, int | float) and not self.overdue > 0:
            raise ValueError(f"nothing can be overdue after {self.overdue} seconds")
        if self.give_up is not None and not self.give_up > 0:
            raise ValueError(f"to give up after {self.give_up} seconds is not to begin")
        if self.spares < 0:
            raise ValueError(f"{self.spares} spares are impossible")
        if self.hedge and self.locating_ends != "never":
            raise ValueError("hedge needs locating_ends='never'")
        if not self.hedge and (
            self.spares or self.give_up is not None or self.asks_again or self.speculates
        ):
            raise ValueError("spares, give_up, asks_again and speculates need hedge=True")

    def outstanding(self, k: int, n: int) -> float:
        """Return how many queries may be outstanding for a file that needs `k` of `n` shares."""
        match self.window:
            case "all":
                return float("inf")
            case "2N":
                return 2 * n
            case "ample":
                return min(2 * n, max(_AMPLE, 4 * k))
            case number:
                return number


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
    # The same with the regression of ticket #287 fixed, 31 January 2010.
    Strategy(
        "first-k-late",
        locating_ends="k-distinct",
        late_answers="used",
        description="starts as first-k does, and falls back on shares from later answers",
    ),
    # Tahoe-LAFS 1.8 to 1.20.
    Strategy(
        "windowed",
        locating_ends="never",
        late_answers="used",
        window=10,
        overdue=10.0,
        description="asks ten servers at a time, and reads the first shares, as Tahoe-LAFS does",
    ),
    Strategy(
        "hedged",
        locating_ends="never",
        late_answers="used",
        window="ample",
        overdue="adaptive",
        hedge=True,
        asks_again=True,
        give_up=60.0,
        description="as windowed, but reads another share beside one that takes too long",
    ),
)

#: The strategies that have names, in the order in which they are compared.
STRATEGIES: Mapping[str, Strategy] = MappingProxyType({s.name: s for s in _ALL})


def find_strategy(strategy: Strategy | str) -> Strategy:
    """Return the strategy of this name; a `Strategy` is returned as it is.

    `hedged+2` is `hedged` with two spares, and so on. Raises `ValueError` for a name that
    no strategy has.

    >>> find_strategy("hedged+2").spares
    2
    """
    if isinstance(strategy, Strategy):
        return strategy
    if strategy in STRATEGIES:
        return STRATEGIES[strategy]
    spared = re.fullmatch(r"hedged\+([1-9]\d{0,2})", strategy, re.ASCII)
    if spared and int(spared[1]) <= _MOST_SPARES:
        return replace(STRATEGIES["hedged"], name=strategy, spares=int(spared[1]))
    meant = did_you_mean(strategy, STRATEGIES)
    raise ValueError(
        f"no strategy is called {shown(strategy)}; {meant}there are {', '.join(STRATEGIES)}, and"
        " hedged+1, hedged+2, ... with as many spares"
    )
