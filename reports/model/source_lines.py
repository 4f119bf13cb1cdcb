"""Lines of code as text, equal wherever the package with the code is installed."""

from __future__ import annotations

import linecache
import sys
from functools import lru_cache
from pathlib import Path

from firstk.harness.kernel.raised import Place
from firstk.scenarios.text import cut

#: The maximum length of the text of a line.
_MOST_LETTERS = 120


def line_of(place: Place) -> str:
    """Return a line as `FILE:LINE in FUNCTION`; the path is that of the import."""
    return f"{_short(place.path)}:{place.line} in {place.function}"


def code_of(place: Place) -> str:
    """Return the text of a line; empty if its file cannot be read."""
    return cut(linecache.getline(place.path, place.line).strip(), _MOST_LETTERS)


@lru_cache(maxsize=256)
def _short(path: str) -> str:
    """Return a path relative to the folder that Python imports it from."""
    parents = [Path(folder or ".").resolve() for folder in sys.path]
    found = [Path(path).relative_to(p) for p in parents if Path(path).is_relative_to(p)]
    return min((one.as_posix() for one in found), key=len, default=Path(path).name)
