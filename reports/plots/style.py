"""The common style of all pictures, and the functions that write them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import shorten
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from firstk.downloader.strategy import STRATEGIES, Strategy, find_strategy
from firstk.harness.stats.formats import seconds
from firstk.scenarios.model import TAHOE


@dataclass(frozen=True, slots=True)
class Look:
    """The colour and the marker of a strategy; `hollow` markers are outlines."""

    colour: str
    marker: str
    hollow: bool = False

    def mark(self, size: float) -> dict[str, Any]:
        """Return matplotlib's arguments for the marker, `size` points high."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "markersize": 1.3 * size if self.marker == "*" else size,  # a star is mostly gaps
            "markerfacecolor": "white" if self.hollow else self.colour,
            "markeredgewidth": 1.3 if self.hollow else 0.8,
        }


def nested(looks: Sequence[Look], size: float) -> list[dict[str, Any]]:
    """Return marks for one position, each inside the one before, so that all are visible."""
    marks = []
    for i, look in enumerate(looks):
        mark = look.mark(size + _NESTED * (len(looks) - 1 - i))
        if len(looks) > 1 and not look.hollow:
            mark |= {"markeredgecolor": "white", "markeredgewidth": 0.9}
        marks.append(mark)
    return marks


def shared(number: int, of: int) -> str | tuple[float, tuple[float, float]]:
    """Return the dashes of one of several coinciding lines, so that all are visible."""
    return "-" if of == 1 else (_DASH * number, (_DASH, _DASH * (of - 1)))


#: How much larger a mark is than the one inside it, and the length of a dash, in points.
_NESTED = 3.4
_DASH = 4.0

#: The look of each strategy: colours for the colour-blind (Okabe and Ito, 2008; the
#: last of Tol, 2021), shapes for greyscale prints. Other downloaders use the rest.
_LOOKS = {
    "wait-for-all": Look("#D55E00", "s"),
    "first-k": Look("#0072B2", "o"),
    "first-k-late": Look("#009E73", "D"),
    "windowed": Look("#CC79A7", "v"),
    "hedged": Look("#E69F00", "P"),
    TAHOE: Look("#882255", "*"),
}
_OTHER = Look("#000000", "^")

#: The outlines of hedged+1, hedged+2 and so on, darker than hedged; they repeat.
_SPARED = ("o", "s", "^", "D", "p")
_SPARED_COLOUR = "#7A4E00"

GREY = "#767676"
INK = "#222222"

_STYLE: Mapping[Any, Any] = {
    "font.family": "DejaVu Sans",  # included in matplotlib, so equal everywhere
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.parse_math": False,  # a description may contain dollar signs
    "svg.hashsalt": "firstk",  # makes files reproducible
}


def look(strategy: str) -> Look:
    """Return the look of a strategy."""
    if strategy in _LOOKS:
        return _LOOKS[strategy]
    if _known_delay(strategy):
        return replace(_LOOKS[strategy.partition(",")[0]], hollow=True)
    if (known := _known_hedged(strategy)) is None:
        return _OTHER
    if known.spares:
        return Look(_SPARED_COLOUR, _SPARED[(known.spares - 1) % len(_SPARED)], hollow=True)
    return replace(_LOOKS["hedged"], hollow=True)


def description(strategy: str) -> str:
    """Return half a sentence about what a strategy does; empty if it is not known."""
    if strategy == TAHOE:
        return "the downloader of Tahoe-LAFS 1.20, unmodified"
    if strategy in STRATEGIES:
        return STRATEGIES[strategy].description
    if delay := _known_delay(strategy):
        return f"queries K servers, and the others only after {seconds(delay)}"
    if (known := _known_hedged(strategy)) is None:
        return ""
    if replace(known, name="", spares=0) != replace(STRATEGIES["hedged"], name=""):
        return "as hedged, with other settings"
    return f"as hedged, and reads {known.spares} more than the K shares that it needs"


def _known_hedged(strategy: str) -> Strategy | None:
    """Return a strategy that is `hedged` with other settings, by its name."""
    try:
        found = find_strategy(strategy)
    except ValueError:
        return None
    return found if strategy.startswith("hedged") else None


def _known_delay(strategy: str) -> float:
    """Return the delay with which a named strategy queries the servers beyond K, in seconds."""
    try:
        return find_strategy(strategy).delay
    except ValueError:
        return 0.0


def plain(text: str, width: int) -> str:
    """Return a user's text on one line, cut to `width` letters, and valid in an SVG."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return shorten(printable, width, placeholder=" ...")


@contextmanager
def style() -> Iterator[None]:
    """Draw in our style, whatever the user's matplotlib settings are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def save(figure: Figure, path: Path) -> list[Path]:
    """Write a figure as PNG and as SVG; return the two files."""
    png, svg = path.with_name(f"{path.name}.png"), path.with_name(f"{path.name}.svg")
    figure.savefig(png, dpi=144, metadata={"Software": None})
    figure.savefig(svg, metadata={"Date": None})
    drawing = svg.read_text(encoding="utf-8")
    svg.write_text(_PATH.sub(_shorter, drawing), encoding="utf-8", newline="\n")
    return [png, svg]


#: A path in an SVG, and digits of its points that are invisible: beyond hundredths of a point.
_PATH = re.compile(r' d="[^"]*"')
_DIGITS = re.compile(r"(\.\d\d)\d+")


def _shorter(path: re.Match[str]) -> str:
    """Return a path without invisible digits."""
    return _DIGITS.sub(r"\1", path[0])
