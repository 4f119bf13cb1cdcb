"""The names of marks in a picture, placed so that they cover neither marks nor one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from firstk.reports.plots import style

#: The distance from a mark to its name, the width of a letter, the height of a line, in points.
_BESIDE = 8
_LETTER = 4.8
_HIGH = 9

#: The places of a name relative to its mark, the best first.
_SIDES = ((1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1.3), (0, -1.3))


def points_at(axes: Axes, x: float, y: float) -> tuple[float, float]:
    """Return a position in a panel, in points from its lower left corner."""
    px, py = axes.transData.transform((x, y))
    return float(px - axes.bbox.x0) * 72 / axes.figure.dpi, float(
        py - axes.bbox.y0
    ) * 72 / axes.figure.dpi


def name_marks(axes: Axes, spots: Mapping[tuple[float, float], Sequence[str]]) -> None:
    """Write names next to their marks, without covering marks or other names."""
    marks = [points_at(axes, *spot) for spot in spots]
    taken = [Bbox.from_bounds(x - 5, y - 5, 10, 10) for x, y in marks]
    width, height = (size * 72 / axes.figure.dpi for size in (axes.bbox.width, axes.bbox.height))
    for (px, py), names in zip(marks, spots.values(), strict=True):
        text = style.plain(", ".join(names), 45)
        found = []
        for sideways, up in _SIDES:
            wide = len(text) * _LETTER
            left = px - wide / 2 + sideways * (wide / 2 + _BESIDE)
            box = Bbox.from_bounds(left, py + up * _HIGH - _HIGH / 2, wide, _HIGH)
            inside = box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height
            found.append((sum(map(box.overlaps, taken)) + 3 * (not inside), box, sideways))
        _, box, sideways = min(found, key=lambda place: place[0])
        taken.append(box)
        axes.annotate(
            text, (0, 0), xycoords="axes fraction", va="center", size=7.5, zorder=5,
            xytext=(px + sideways * _BESIDE, (box.y0 + box.y1) / 2), textcoords="offset points",
            ha={1: "left", -1: "right"}.get(sideways, "center"),
        )  # fmt: skip
