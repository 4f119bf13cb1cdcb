"""Pictures look the same everywhere, whatever the user's settings are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from firstk.downloader.strategy import STRATEGIES
from firstk.reports.plots import latency, style
from tests.reports.samples import OK, STALLED, made, summary

#: Settings that would change everything.
SETTINGS: dict[Any, Any] = {
    "axes.facecolor": "black",
    "axes.titlesize": "30",
    "figure.dpi": "30",
    "figure.facecolor": "red",
    "font.family": "serif",
    "font.size": "30",
    "hatch.linewidth": "9",
    "lines.linewidth": "9",
    "lines.markersize": "30",
    "savefig.bbox": "tight",
    "savefig.dpi": "30",
    "svg.fonttype": "none",
    "svg.hashsalt": "mine",
    "xtick.labelsize": "30",
}

COMPARED = [made([summary(STALLED, strategy="wait-for-all"), summary(OK)])]

#: A program that draws the same picture in a separate process.
PROGRAM = """
import sys
from pathlib import Path
from typing import Any
from firstk.reports.plots import latency
from tests.reports.plots.test_style import COMPARED
latency.draw(COMPARED, Path(sys.argv[1]), "1.0")
"""


def drawn(folder: Path) -> list[bytes]:
    """Return the bytes of a picture."""
    folder.mkdir()
    return [file.read_bytes() for file in latency.draw(COMPARED, folder / "latency", "1.0")]


def test_settings_in_use(tmp_path: Path) -> None:
    """Settings that are active while a picture is drawn do not change it."""
    usual = drawn(tmp_path / "usual")
    with mpl.rc_context(SETTINGS):
        other = drawn(tmp_path / "other")

    assert usual == other


@pytest.mark.slow
def test_users_file(tmp_path: Path) -> None:
    """The user's matplotlibrc and the hash seed do not change a picture in another process."""
    rc = tmp_path / "matplotlibrc"
    rc.write_text("".join(f"{key}: {value}\n" for key, value in SETTINGS.items()))
    (tmp_path / "other").mkdir()
    subprocess.run(  # noqa: S603 - the program is above
        [sys.executable, "-c", PROGRAM, str(tmp_path / "other" / "latency")],
        env={**os.environ, "MATPLOTLIBRC": str(rc), "PYTHONHASHSEED": "928"},
        cwd=Path(__file__).parents[2],
        check=True,
    )
    other = [(tmp_path / "other" / f"latency.{kind}").read_bytes() for kind in ("png", "svg")]

    assert drawn(tmp_path / "usual") == other


def test_left_as_they_were() -> None:
    """The settings are restored, even after an error."""
    before = dict(mpl.rcParams)
    with style.style():
        inside = dict(mpl.rcParams)
    with pytest.raises(ZeroDivisionError), style.style():
        raise ZeroDivisionError

    assert inside["svg.hashsalt"] == "firstk"
    assert before == dict(mpl.rcParams)


def test_looks() -> None:
    """Strategies, and Tahoe-LAFS, differ in their colours, and also in their markers alone."""
    looks = [style.look(name) for name in (*STRATEGIES, "tahoe")]

    assert len(looks) == len({look.colour for look in looks})
    assert len(looks) == len({look.marker for look in looks})
    assert style.look("one of my own") not in looks


def test_looks_with_spares() -> None:
    """Hedged with spares is darker than hedged, with different outlines."""
    looks = [style.look(f"hedged+{spares}") for spares in (1, 2, 3)]

    assert style.look("hedged").colour not in {look.colour for look in looks}
    assert all(look.hollow for look in looks)
    assert looks[0].mark(5)["markerfacecolor"] == "white"
    assert len({look.marker for look in looks}) == 3


def test_descriptions() -> None:
    """Each strategy is described; with spares, by their number; a custom one is not."""
    assert STRATEGIES["first-k"].description == style.description("first-k")
    assert "reads 2 more" in style.description("hedged+2")
    assert "the others only after 0.5 s" in style.description("first-k,delay=0.5")
    assert "Tahoe-LAFS 1.20" in style.description("tahoe")
    assert style.description("one of my own") == ""


@pytest.mark.parametrize("name", ["a", "a.b", "v1.2.svg", "a.png"])
def test_names(name: str, tmp_path: Path) -> None:
    """A name's dots are kept: the last part is not taken for a suffix."""
    files = style.save(Figure(figsize=(1, 1)), tmp_path / name)

    assert [tmp_path / f"{name}.png", tmp_path / f"{name}.svg"] == files
    assert files == sorted(tmp_path.iterdir())


def test_look_with_a_delay() -> None:
    """A strategy with a delay has the colour of the plain one, in outline."""
    with_delay, without = style.look("first-k-late,delay=0.5"), style.look("first-k-late")

    assert (without.colour, without.marker) == (with_delay.colour, with_delay.marker)
    assert (with_delay.hollow, without.hollow) == (True, False)


def test_tuned() -> None:
    """Hedged with other settings is drawn in outline, and described as such."""
    usual, tuned = style.look("hedged"), style.look("hedged,lateness=2")

    assert (tuned.colour, tuned.marker, tuned.hollow) == (usual.colour, usual.marker, True)
    assert style.look("hedged+1,lateness=2") == style.look("hedged+1")
    assert style.description("hedged,lateness=2") == "as hedged, with other settings"
    assert style.description("hedged+1,lateness=2") == "as hedged, with other settings"
    assert style.description("hedged+1").startswith("as hedged, and reads 1 more")
    assert style.look("mine:download") == style.look("other:download") != tuned
    assert style.description("mine:download") == ""
