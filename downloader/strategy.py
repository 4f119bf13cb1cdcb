"""Strategies: how a download finds its shares and reads them, as data.

A strategy is a frozen dataclass of settings, which `locate`, `fetch`, `windowed` and `pipelined`
implement. To try a strategy of your own, set the same fields and pass it to `download`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from types import MappingProxyType
from typing import Literal

from firstk.downloader.names import did_you_mean
from firstk.downloader.text import shown

#: The largest number of spares in a name: a file has at most 256 shares.
_MOST_SPARES = 255

#: When a read is overdue. The values were chosen by measurements: see the documentation of
#: strategies.
_QUANTILE = 0.8
_LATENESS = 1.25

#: The least window that `ample` means. When few of many shares are needed, most queries find one.
_AMPLE = 32


@dataclass(frozen=True, slots=True)
class Strategy:
    """How a download finds its shares and reads them, as data.

    `description` is a short summary. `locating_ends` says when phase 1 ends: `all-answered`, when
    every server has answered or failed; `k-distinct`, as soon as K distinct share numbers are
    known (or all servers have answered); or `never`. If it ends, reading proceeds in phases: UEB,
    crypttext hash tree, blocks. If it never ends, reading starts with the first shares, the
    fastest answer first, and everything needed from a share is requested at once.

    `late_answers` says what happens to answers that arrive after phase 1. If they are `ignored`,
    their shares are not used. If they are `used`, their shares join the pool, and a download that
    is short of shares waits for them. If locating never ends, no answer is late.

    `window` is the number of queries that may be outstanding: a number, `all`, `2N` for twice the
    number of shares, or `ample`, which is 2N but at most the larger of 4K and 32. An overdue query
    gives its place to another; its answer still counts. `overdue` says when a query is overdue:
    after a number of seconds, `never`, or `adaptive`, which depends on the round trips observed.

    `delay`, in seconds, is for strategies that end locating at K distinct shares: at first they
    query only K servers, and the others after this time, or as soon as no query is outstanding.

    The remaining fields are for strategies whose locating never ends. Without `hedge`, shares are
    read as Tahoe-LAFS reads them. With `hedge`, a read can be overdue too, and then another share
    is read in addition; the first K valid blocks win. The other fields require `hedge`. `spares` is
    the number of shares beyond K that are read for the first segment. A read is overdue when it has
    been silent for `lateness` times the `quantile` of the round trips seen; each spare lowers that
    quantile by 0.2, but not below 0.5. After `give_up` seconds without progress the download fails;
    None means that it waits forever. With `asks_again`, a server whose connection was lost is
    queried again until then. With `speculates`, the first servers are queried and read from in one
    round trip, if they support it.

    Raises `ValueError` for numbers that are out of range, and for settings that contradict one
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
    delay: float = 0.0
    hedge: bool = False
    asks_again: bool = False
    speculates: bool = False
    spares: int = 0
    quantile: float = _QUANTILE
    lateness: float = _LATENESS
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
        if not 0 <= self.delay < inf:
            raise ValueError(f"a delay should be a number of seconds, not {self.delay}")
        if self.delay and self.locating_ends != "k-distinct":
            raise ValueError("delay needs locating_ends='k-distinct'")
        if not 0 < self.quantile < 1:
            raise ValueError(f"a quantile should be between 0 and 1, not {self.quantile}")
        if not 0 < self.lateness < inf:
            raise ValueError(f"lateness should be a number above 0, not {self.lateness}")
        if self.hedge and self.locating_ends != "never":
            raise ValueError("hedge needs locating_ends='never'")
        if not self.hedge and (
            self.spares
            or (self.quantile, self.lateness) != (_QUANTILE, _LATENESS)
            or self.give_up is not None
            or self.asks_again
            or self.speculates
        ):
            raise ValueError(
                "spares, quantile, lateness, give_up, asks_again and speculates need hedge=True"
            )

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
    # The same, with the regression of ticket #287 fixed (31 January 2010).
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

#: The built-in strategies by name, in the order in which comparisons list them.
STRATEGIES: Mapping[str, Strategy] = MappingProxyType({s.name: s for s in _ALL})


#: `hedged` for servers that can read a share in the round trip of a query.
ONE_ROUND = replace(
    STRATEGIES["hedged"],
    name="one-round",
    speculates=True,
    description="as hedged, but reads the first shares in the round trip of the queries",
)


#: The fields that a name such as `hedged+1,quantile=0.9,give_up=30` can set, in their order.
_IN_NAMES = ("quantile", "lateness", "give_up")

_NUMBER = r"\d{1,9}(?:\.\d{1,9})?"

#: The pattern of names of `hedged` with other settings.
_HEDGED = re.compile(
    r"hedged(?:\+(?P<spares>[1-9]\d{0,2}))?"
    + "".join(rf"(?:,{field}=(?P<{field}>{_NUMBER}))?" for field in _IN_NAMES),
    re.ASCII,
)

#: The pattern of names of strategies with a delay.
_DELAYED = re.compile(rf"(?P<base>first-k|first-k-late),delay=(?P<delay>{_NUMBER})", re.ASCII)


def hedged_with(**settings: float) -> Strategy:
    """Return `hedged` with other values of `spares`, `quantile`, `lateness` and `give_up`.

    Its name lists the fields that differ from those of `hedged`, and `find_strategy` finds it by
    that name. Raises `ValueError` for numbers that are out of range, and `TypeError` for other
    fields.

    >>> hedged_with(spares=1, lateness=2.0, give_up=60.0).name
    'hedged+1,lateness=2'
    """
    hedged = STRATEGIES["hedged"]
    made = replace(hedged, **settings)  # type: ignore[arg-type]
    name = f"hedged+{made.spares}" if made.spares else "hedged"
    for field in _IN_NAMES:
        if (value := getattr(made, field)) != getattr(hedged, field):
            name += f",{field}={value:.10g}"
    return replace(made, name=name) if name != hedged.name else hedged


def find_strategy(strategy: Strategy | str) -> Strategy:
    """Return the strategy with this name; a `Strategy` is returned unchanged.

    `hedged+2` is `hedged` with two spares, and so on; `hedged,quantile=0.9,lateness=2,give_up=30`
    has other values of these fields, or of some of them. `first-k,delay=0.5` is `first-k` with a
    delay, and `first-k-late,delay=0.5` likewise. `one-round` is `hedged` with queries that
    also read, for servers that support it. Raises `ValueError` for an unknown name.

    >>> find_strategy("hedged+2").spares
    2
    >>> find_strategy("hedged+1,give_up=30").give_up
    30.0
    >>> find_strategy("first-k,delay=0.5").delay
    0.5
    """
    if isinstance(strategy, Strategy):
        return strategy
    if strategy in STRATEGIES:
        return STRATEGIES[strategy]
    if strategy == ONE_ROUND.name:
        return ONE_ROUND
    found = _HEDGED.fullmatch(strategy)
    if found and int(found["spares"] or 0) <= _MOST_SPARES:
        settings = {field: float(found[field]) for field in _IN_NAMES if found[field]}
        try:
            return hedged_with(spares=int(found["spares"] or 0), **settings)
        except ValueError as e:
            raise ValueError(f"{strategy}: {e}") from None
    found = _DELAYED.fullmatch(strategy)
    if found and (delay := float(found["delay"])) > 0:
        name = f"{found['base']},delay={delay:.15g}"
        return replace(STRATEGIES[found["base"]], name=name, delay=delay)
    meant = did_you_mean(strategy, STRATEGIES)
    raise ValueError(
        f"no strategy is called {shown(strategy)}; {meant}there are {', '.join(STRATEGIES)}, and"
        " hedged+1, hedged+2, ... with as many spares, hedged,quantile=0.9,lateness=2,give_up=30"
        " with any of these fields in this order, first-k,delay=0.5, first-k-late,delay=0.5, and"
        " one-round"
    )
