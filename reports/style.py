"""How all pictures look, and how they are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

#: A colour and a marker for each strategy: told apart by the colour-blind (Okabe and Ito,
#: 2008), and by their shapes in grey. Strategies of one's own take the last.
_LOOKS = {
    "wait-for-all": ("#D55E00", "s"),
    "first-k": ("#0072B2", "o"),
    "first-k-late": ("#009E73", "D"),
    "windowed": ("#CC79A7", "v"),
    "hedged": ("#E69F00", "P"),
}
_OTHER = ("#000000", "^")

GREY = "#767676"
INK = "#222222"

_STYLE: Mapping[Any, Any] = {
    "font.family": "DejaVu Sans",  # it comes with matplotlib: the same everywhere
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.parse_math": False,  # a description may speak of dollars
    "svg.hashsalt": "firstk",  # without it no two files are equal
}


def look(strategy: str) -> tuple[str, str]:
    """Return a strategy's colour and marker."""
    return _LOOKS.get(strategy, _OTHER)


def plain(text: str, width: int) -> str:
    """Return a user's text on one line, cut to so many letters, and fit for an SVG."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return shorten(printable, width, placeholder=" ...")


@contextmanager
def style() -> Iterator[None]:
    """Draw in our style, whatever the user's own matplotlib settings are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def save(figure: Figure, path: Path) -> list[Path]:
    """Write a figure as PNG and as SVG; return the two files."""
    png, svg = path.with_name(f"{path.name}.png"), path.with_name(f"{path.name}.svg")
    figure.savefig(png, dpi=144, metadata={"Software": None})
    figure.savefig(svg, metadata={"Date": None})
    return [png, svg]
