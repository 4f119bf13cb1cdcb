"""Names that are misspelt: which one was meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `did you mean 'x'? ` with the known name closest to `name`, or nothing.

    It ends with a space, so that a list of the known names can follow.
    """
    # The comparison takes time in proportion to both lengths: few names are close in length.
    near = [one for one in known if abs(len(one) - len(name)) <= max(4, len(one))]
    close = get_close_matches(name, near, n=1)
    return f"did you mean {close[0]!r}? " if close else ""
